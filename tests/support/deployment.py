"""rotator as a user runs it: a configuration, secrets in files, and its own processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import yaml

from rotator.sandbox.settings import API_KEY, API_SECRET, ENVIRONMENT, ORGANIZATION
from tests.support.events import misfits

T = TypeVar("T")

DEADLINE = 60.0
"""Seconds that a test waits for what should take a moment, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Finished:
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(slots=True)
class Deployment:
    """One configuration in a folder of its own. `write` replaces it."""

    folder: Path
    url: str
    document: dict[str, Any] = field(init=False)
    python: str = sys.executable

    def __post_init__(self) -> None:
        self.secrets.mkdir(exist_ok=True)
        self.document = {
            "ledger": {"url": f"sqlite:///{self.folder}/ledger.db"},
            "http": {"listen": "127.0.0.1:0"},
            "targets": {
                "sandbox": {
                    "url": self.url,
                    "organization": ORGANIZATION,
                    "environment": ENVIRONMENT,
                    "auth": {
                        "api_key": {"env": "SANDBOX_KEY"},
                        "api_secret": {"env": "SANDBOX_SECRET"},
                    },
                    "requests_per_second": 5000,
                    "timeout": "5s",
                }
            },
            "sources": {"mounted": {"kind": "file", "root": str(self.secrets)}},
            "rotations": {
                "openai": {
                    "targets": ["sandbox"],
                    "match": {"type": ["OPENAI"]},
                    "secret": {"source": "mounted", "path": "openai"},
                    "credential": {"api-key": "api_key"},
                    "verify": {"timeout": "10s", "interval": "200ms"},
                }
            },
        }

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def config(self) -> Path:
        return self.folder / "rotator.yaml"

    @property
    def rotation(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["rotations"]["openai"]
        return found

    @property
    def target(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["targets"]["sandbox"]
        return found

    def secret(self, name: str, fields: Mapping[str, str]) -> None:
        """Replaces a secret as the kubelet would: all of it at once."""
        folder = self.secrets / name
        version = self.secrets / f"..{name}-{os.urandom(4).hex()}"
        version.mkdir()
        for key, value in fields.items():
            (version / key).write_text(value)
        link = self.secrets / f"..{name}-link"
        link.unlink(missing_ok=True)
        link.symlink_to(version.name)
        link.rename(folder)

    def write(self) -> Path:
        self.config.write_text(yaml.safe_dump(self.document, sort_keys=False))
        return self.config

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "SANDBOX_KEY": API_KEY,
            "SANDBOX_SECRET": API_SECRET,
            "ROTATOR_CONFIG": str(self.config),
            "COLUMNS": "200",
        }

    async def spawn(self, *arguments: str, **extra: str) -> asyncio.subprocess.Process:
        self.write()
        return await asyncio.create_subprocess_exec(
            self.python,
            "-m",
            "rotator",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self.environment, **extra},
            cwd=self.folder,
        )

    async def rotator(self, *arguments: str, **extra: str) -> Finished:
        """Runs one command to its end."""
        process = await self.spawn(*arguments, **extra)
        async with asyncio.timeout(DEADLINE):
            out, err = await process.communicate()
        assert process.returncode is not None
        assert "Traceback" not in err.decode(), err.decode()
        return Finished(process.returncode, out.decode(), err.decode())

    @asynccontextmanager
    async def daemon(self, *options: str, **extra: str) -> AsyncIterator[Daemon]:
        """`rotator run`, from its start to SIGTERM; its log holds what deploy/logging.md says."""
        process = await self.spawn("run", *options, **extra)
        assert process.stderr is not None
        daemon = Daemon(process)
        reader = asyncio.create_task(daemon.read(process.stderr))
        try:
            (address,) = await daemon.line(r"daemon.started.*\baddress\W+([\w.]+:\d+)")
            daemon.url = f"http://{address}"
            yield daemon
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(DEADLINE):
                await process.wait()
                await reader
        if self.document.get("log", {}).get("format") != "console":
            assert list(misfits(daemon.lines)) == []


@dataclass(slots=True)
class Daemon:
    """A running `rotator run`, with its log as it comes."""

    process: asyncio.subprocess.Process
    url: str = ""
    lines: list[str] = field(default_factory=list)
    _grown: asyncio.Condition = field(default_factory=asyncio.Condition)
    _ended: bool = False

    async def read(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            async with self._grown:
                self.lines.append(line.decode().rstrip())
                self._grown.notify_all()
        async with self._grown:
            self._ended = True
            self._grown.notify_all()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    async def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """Wait for a line of the log with this event and these fields."""

        def found() -> dict[str, Any] | None:
            for event in self.events:
                if event["event"] == name and fields.items() <= event.items():
                    return event
            return None

        return await self._until(found, f"{name} {fields}")

    async def line(self, pattern: str) -> tuple[str, ...]:
        """Wait for a line of the log, in whichever format; the groups of the pattern."""

        def found() -> tuple[str, ...] | None:
            matches = (re.search(pattern, line) for line in self.lines)
            return next((match.groups() for match in matches if match), None)

        return await self._until(found, pattern)

    async def _until(self, found: Callable[[], T | None], what: str) -> T:
        async with asyncio.timeout(DEADLINE), self._grown:
            await self._grown.wait_for(lambda: found() is not None or self._ended)
        seen = found()
        assert seen is not None, f"no {what} in:\n" + "\n".join(self.lines)
        return seen

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, trust_env=False)


DeploymentFactory = Callable[[str], Deployment]


@pytest.fixture
def deployment(tmp_path: Path) -> DeploymentFactory:
    """A deployment against the target at a URL."""
    return lambda url: Deployment(tmp_path, url)
