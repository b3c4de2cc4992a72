"""A canary goes through every path, and is looked for in every output and every file."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rotator.sandbox.faults import FaultKind
from rotator.sandbox.server import Sandbox
from rotator.sandbox.settings import API_SECRET
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.vault import ROOT, vault_running
from tests.support.waiting import until

__all__ = ["deployment", "sandbox"]

GOOD = "canary-0f8fad5b-good"
BAD = "canary-0f8fad5b-invalid"
TOKEN = "canary-0f8fad5b-http"
VALUES = (GOOD, BAD, TOKEN, API_SECRET, ROOT, "canary-0f8fad5b")


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    trouble = (FaultKind.ERROR_500, FaultKind.HTML, FaultKind.BROKEN_JSON, FaultKind.ERROR_AFTER)
    return await sandbox(
        connections=12, types=("OPENAI",), settle=0.1, faults=dict.fromkeys(trouble, 0.03)
    )


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.document["log"] = {"level": "debug"}
    made.document["http"]["token"] = {"env": "HTTP_TOKEN"}
    made.secret("openai", {"api_key": GOOD})
    return made


def without_values(text: str, *, but: tuple[str, ...] = ()) -> None:
    for value in VALUES:
        assert value in but or value not in text


async def test_no_output_of_any_command_and_no_file_holds_a_value(
    installed: Deployment, cloud: Sandbox, tmp_path: Path
) -> None:
    commands: list[tuple[str, ...]] = [
        ("check", "--online"),
        ("plan",),
        ("rotate",),
        ("rotate", "--force"),
        ("connections",),
        ("status",),
        ("history",),
        ("plan", "-o", "json"),
        ("rotate", "-o", "json"),
        ("connections", "-o", "json"),
        ("status", "-o", "json"),
        ("history", "-o", "json"),
        ("leases",),
        ("leases", "-o", "json"),
        ("check", "--online", "-o", "json"),
        ("policy",),
        ("schema",),
    ]
    for value in (GOOD, BAD):
        installed.secret("openai", {"api_key": value})
        for command in commands:
            done = await installed.rotator(*command, HTTP_TOKEN=TOKEN)
            without_values(done.out + done.err)
    for file in tmp_path.rglob("*"):
        if file.is_file() and installed.secrets not in file.parents:
            content = file.read_bytes()
            assert not [value for value in VALUES if value.encode() in content], file.name


@pytest.mark.parametrize("form", ["json", "console"])
async def test_no_answer_no_metric_and_no_line_of_the_daemon_holds_a_value(
    installed: Deployment, cloud: Sandbox, form: str
) -> None:
    installed.document["log"]["format"] = form
    with vault_running() as (vault, url):
        vault.put("flink/openai", {"api_key": GOOD})
        auth = {"method": "token", "token": {"env": "VAULT_SECRET"}}
        installed.document["sources"]["vault"] = {"kind": "vault", "url": url, "auth": auth}
        installed.rotation["secret"] = {"source": "vault", "path": "flink/openai"}
        # No schedule beside it: with a run every second, each look may find one under way.
        installed.rotation["watch"] = "1s"
        environment = {"HTTP_TOKEN": TOKEN, "VAULT_SECRET": ROOT}
        async with installed.daemon(**environment) as daemon, daemon.client() as http:
            await daemon.line(r"run.finished.*result\W+succeeded")
            vault.put("flink/openai", {"api_key": BAD})
            await daemon.line(r"run.finished.*result\W+failed")
            vault.sealed = True
            await daemon.line(r"watch.failed")
            assert await daemon.line(r"target.request") == (), "this is the level debug"
            authorization = {"Authorization": f"Bearer {TOKEN}"}
            answers = [await http.post("/api/v1/rotations/openai/run", headers=authorization)]
            paths = (
                "/",
                "/metrics",
                "/livez",
                "/readyz",
                "/api/v1/rotations",
                "/api/v1/connections",
            )
            answers += [await http.get(path) for path in paths]
            runs = await http.get("/api/v1/runs")
            ids = [run["id"] for run in runs.json()["runs"]]
            answers += [runs, *[await http.get(f"/api/v1/runs/{run_id}") for run_id in ids]]
            arguments = Path(f"/proc/{daemon.process.pid}/cmdline").read_text()
        for answer in answers:
            without_values(answer.text + str(answer.headers))
        without_values("\n".join(daemon.lines))
        without_values(arguments)


LOADED = """
import asyncio, json, sys
from rotator import daemon
from rotator.cli.plan import plan_now
from rotator.config.load import load
from pathlib import Path
asyncio.run(plan_now(load(Path(sys.argv[1])), ("openai",), only=None, force=False))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


async def test_vendors_are_imported_only_when_one_is_configured(installed: Deployment) -> None:
    installed.document["sources"]["unused"] = {"kind": "file", "root": "/"}
    path = installed.write()
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", LOADED, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env=installed.environment | {"HTTP_TOKEN": TOKEN},
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "httpx" in loaded
    assert not loaded & {"boto3", "botocore", "hvac", "requests", "rich", "moto", "alembic"}


async def test_a_daemon_that_is_killed_leaves_no_value_behind(
    installed: Deployment, cloud: Sandbox, tmp_path: Path
) -> None:
    installed.rotation["schedule"] = {"cron": "* * * * * *"}
    process = await installed.spawn("run", HTTP_TOKEN=TOKEN)
    await until(lambda: cloud.state.counters.updates.total() > 3)
    process.kill()
    await process.communicate()
    for file in tmp_path.glob("ledger*"):
        assert GOOD.encode() not in file.read_bytes()
