"""What `rotator demo` does: it shows the whole job in under a minute.

It runs a sandbox with a dozen connections, an emulated AWS Secrets Manager (moto), secrets in
files, and the daemon as a process of its own. Secrets change, and each change is noticed, rolled
out and verified; then a bad secret comes, and reaches one connection only.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from rotator.errors import RotatorError

_CONNECTIONS = (("OPENAI", 5), ("MONGODB", 3), ("BEDROCK", 2), ("REST", 2))
_DEADLINE = 25.0
"""Seconds that one step may take before the demo says that it failed."""

_CONFIG = """\
# Made by `rotator demo`; this is the whole configuration of its daemon.
ledger: {{url: "sqlite:///{folder}/ledger.db"}}
http: {{listen: "127.0.0.1:{port}"}}
targets:
  sandbox:
    url: {target}
    organization: {organization}
    environment: {environment}
    auth: {{api_key: {{env: DEMO_API_KEY}}, api_secret: {{env: DEMO_API_SECRET}}}}
sources:
  aws: {{kind: aws-secrets-manager, region: us-east-1, endpoint_url: "{aws}"}}
  mounted: {{kind: file, root: "{folder}/secrets"}}
rotations:
  openai:
    targets: [sandbox]
    match: {{type: [OPENAI], expect: {{min: 1, max: 10}}}}
    secret: {{source: aws, path: flink/openai}}
    credential: {{api-key: api_key}}
    schedule: {{cron: "*/5 * * * * *", timezone: UTC}}
    verify: {{timeout: 20s, interval: 500ms}}
  databases:
    targets: [sandbox]
    match: {{type: [MONGODB]}}
    secret: {{source: mounted, path: mongodb.json}}
    credential: {{username: username, password: password}}
    watch: 1s
    verify: {{timeout: 20s, interval: 500ms}}
"""


class DemoFailed(RotatorError):
    """A step of the demo did not happen."""


@dataclass(slots=True)
class _Show:
    """Prints each step, and waits until the daemon's log says that it happened."""

    events: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    last: list[str] = field(default_factory=list)

    def say(self, text: str, colour: str | None = None) -> None:
        click.secho(text, fg=colour)

    def step(self, number: int, text: str) -> None:
        click.secho(f"\n{number}. {text}", bold=True)

    async def until(self, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_DEADLINE):
                while True:
                    event = await self.events.get()
                    self._tell(event)
                    if done(event):
                        return event
        except TimeoutError:
            said = "\n  ".join(self.last[-8:])
            raise DemoFailed(f"nothing happened for {_DEADLINE:g} s; last:\n  {said}") from None

    def _tell(self, event: dict[str, Any]) -> None:
        match event:
            case {"event": "run.planned", "rotation": rotation} if event.get("updates"):
                self.say(f"   noticed   {rotation}: {event['updates']} connections to update")
            case {"event": "connection.updated", "connection": name}:
                self.say(f"   updated   {name}")
            case {"event": "connection.settled", "connection": name, "result": "rotated"}:
                self.say(f"   verified  {name}: {event['reason']}", "green")
            case {"event": "connection.settled", "connection": name, "result": "failed"}:
                self.say(f"   refused   {name}: {event['reason']}", "red")
            case {"event": "run.finished", "rotation": rotation, "result": result} if (
                result != "succeeded"
            ):
                self.say(f"   {result:9} {rotation}: {event['reason']}", "yellow")
            case _:
                pass


async def demo(keep: bool, port: int) -> None:
    """Play the demo. Raises DemoFailed.

    SIGTERM ends it as Ctrl-C does: it removes everything that it started.
    """
    told: list[bool] = []
    play = asyncio.current_task()

    def stop() -> None:
        told.append(True)
        if play is not None:
            play.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        with tempfile.TemporaryDirectory(prefix="rotator-demo-") as name:
            folder = Path(name)
            async with _aws() as aws, _sandbox() as cloud:
                await _play(folder, aws, cloud, keep, port)
    except asyncio.CancelledError:
        if not told:
            raise
        raise DemoFailed("told to stop; everything that it made is removed") from None


async def _play(folder: Path, aws: Any, cloud: Any, keep: bool, port: int) -> None:
    show = _Show()
    mongodb = folder / "secrets" / "mongodb.json"
    mongodb.parent.mkdir()
    mongodb.write_text(json.dumps({"username": "flink", "password": "first-password"}))
    await aws.put("flink/openai", {"api_key": "sk-first"})
    config = folder / "rotator.yaml"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            port=port,
            target=cloud.url,
            organization=cloud.organization,
            environment=cloud.environment,
            aws=aws.url,
        )
    )
    show.say(f"An emulated Confluent Cloud with 12 connections runs at {cloud.url},", "cyan")
    show.say(f"AWS Secrets Manager's protocol at {aws.url} (moto).", "cyan")
    async with _daemon(config, show, cloud.environ | aws.environ) as (process, address):
        show.say(f"The daemon runs: http://{address}/ and http://{address}/metrics", "cyan")

        show.step(1, "Nothing was rotated yet: the first run puts each credential in place.")
        finished = 0
        while finished < 2:
            await show.until(_finished("succeeded"))
            finished += 1

        show.step(2, "Somebody changes the OpenAI key in AWS; cron looks every 5 seconds.")
        await aws.put("flink/openai", {"api_key": "sk-second"})
        await show.until(_finished("succeeded", rotation="openai", rotated=5))

        show.step(3, "Somebody changes the MongoDB password in a file; the watch sees it.")
        mongodb.write_text(json.dumps({"username": "flink", "password": "second-password"}))
        await show.until(_finished("succeeded", rotation="databases", rotated=3))

        show.step(4, "Somebody stores a bad OpenAI key: one connection sees it, and no other.")
        await aws.put("flink/openai", {"api_key": "sk-invalid"})
        await show.until(_finished("failed", rotation="openai"))
        show.say("   4 of 5 connections still hold the key that works.", "green")

        show.step(5, "The good key comes back, and so does the connection.")
        await aws.put("flink/openai", {"api_key": "sk-third"})
        await show.until(_finished("succeeded", rotation="openai", rotated=5))

        phases = await cloud.phases()
        show.say(f"\nAll of it: {phases}.", "green")
        if keep:
            show.say(f"Still running: http://{address}/ (Ctrl-C ends it; {config})", "cyan")
            await process.wait()


def _finished(
    result: str, rotation: str | None = None, rotated: int | None = None
) -> Callable[[dict[str, Any]], bool]:
    def done(event: dict[str, Any]) -> bool:
        return (
            event["event"] == "run.finished"
            and event["result"] == result
            and (rotation is None or event["rotation"] == rotation)
            and (rotated is None or event.get("rotated") == rotated)
        )

    return done


@asynccontextmanager
async def _daemon(
    config: Path, show: _Show, environ: dict[str, str]
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rotator",
        "run",
        "-c",
        str(config),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environ},
    )
    stream = process.stderr
    if stream is None:
        raise AssertionError("asked for a pipe")

    async def read() -> None:
        async for line in stream:
            text = line.decode(errors="replace").rstrip()
            show.last.append(text)
            if text.startswith("{"):
                show.events.put_nowait(json.loads(text))
        show.events.put_nowait({"event": "daemon.ended"})

    reader = asyncio.create_task(read())
    try:
        started = await show.until(lambda e: e["event"] in {"daemon.started", "daemon.ended"})
        if started["event"] == "daemon.ended":
            raise DemoFailed("the daemon did not start:\n  " + "\n  ".join(show.last))
        yield process, str(started["address"])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
        await reader


@dataclass(frozen=True, slots=True)
class _Cloud:
    url: str
    organization: str
    environment: str
    environ: dict[str, str]
    state: Any

    async def phases(self) -> str:
        connections = self.state.connections()
        phases = [connections.current(name).phase for name in connections.names()]
        counted = {phase: phases.count(phase) for phase in sorted(set(phases))}
        return ", ".join(f"{count} connections {phase}" for phase, count in counted.items())


@asynccontextmanager
async def _sandbox() -> AsyncIterator[_Cloud]:
    from rotator.sandbox.server import running
    from rotator.sandbox.settings import (
        API_KEY,
        API_SECRET,
        ENVIRONMENT,
        ORGANIZATION,
        SandboxSettings,
    )

    async with running(SandboxSettings(settle=1.0)) as sandbox:
        connections = sandbox.state.connections()
        for connection_type, count in _CONNECTIONS:
            sandbox.state.seed(connections, count, [connection_type])
        environ = {"DEMO_API_KEY": API_KEY, "DEMO_API_SECRET": API_SECRET}
        yield _Cloud(sandbox.url, ORGANIZATION, ENVIRONMENT, environ, sandbox.state)


@dataclass(frozen=True, slots=True)
class _Aws:
    url: str
    environ: dict[str, str]
    client: Any

    async def put(self, name: str, fields: dict[str, str]) -> None:
        await asyncio.to_thread(self._put, name, json.dumps(fields))

    def _put(self, name: str, value: str) -> None:
        try:
            self.client.create_secret(Name=name, SecretString=value)
        except self.client.exceptions.ResourceExistsException:
            self.client.put_secret_value(SecretId=name, SecretString=value)


@asynccontextmanager
async def _aws() -> AsyncIterator[_Aws]:
    try:
        import boto3
        from moto.server import ThreadedMotoServer
    except ImportError:
        raise DemoFailed("the demo needs moto: pip install 'rotator[demo]'") from None
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs every request
    keys = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo"}
    server = await asyncio.to_thread(ThreadedMotoServer, port=0, verbose=False)
    await asyncio.to_thread(server.start)
    try:
        _, port = server.get_host_and_port()
        url = f"http://127.0.0.1:{port}"
        client = boto3.client(
            "secretsmanager",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id="demo",
            aws_secret_access_key="demo",  # noqa: S106 - an emulator on loopback
        )
        yield _Aws(url, keys, client)
    finally:
        await asyncio.to_thread(server.stop)
