"""The log of real daemons: what is in it after what really happened.

That it holds what deploy/logging.md says and nothing else, `Deployment.daemon` asserts of each.
"""

from __future__ import annotations

import signal
import sqlite3
from typing import Any

import pytest

from rotator.errors import Cause
from rotator.remedy import remedy
from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import BAD, GOOD, NEXT
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox

__all__ = ["deployment", "sandbox"]

NAME = "openai-001"
TOKEN = "canary-http-token"


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=3, types=("OPENAI",), settle=0.1)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    made.document["log"] = {"level": "debug"}
    made.rotation["schedule"] = {"cron": "0 0 1 1 *", "on_start": True}
    return made


async def test_the_log_has_a_daemon_from_its_start_to_its_end(
    installed: Deployment, cloud: Sandbox
) -> None:
    installed.rotation["watch"] = "1s"
    installed.document["http"]["token"] = {"env": "HTTP_TOKEN"}
    async with installed.daemon(HTTP_TOKEN=TOKEN) as running, running.client() as http:
        await running.event("run.finished", result="succeeded")
        cloud.state.connections().update(NAME, {"API_KEY": NEXT}, None)
        authorization = {"Authorization": f"Bearer {TOKEN}"}
        await http.post("/api/v1/rotations/openai/run", headers=authorization)
        await running.event("connection.drifted", connection=NAME)
        await running.event("run.finished", result="succeeded", trigger="http")
        installed.secret("openai", {"api_key": BAD})
        failed = await running.event("run.finished", result="failed")
        assert failed["todo"] == remedy(Cause.REJECTED, "openai")
        (installed.secrets / "openai").unlink()
        down = await running.event("watch.failed")
        assert (down["source"], down["todo"]) == ("mounted", remedy(Cause.SECRET, "openai"))
        installed.rotation["rollout"] = {"canary": -1}
        installed.write()
        running.process.send_signal(signal.SIGHUP)
        refused = await running.event("config.refused")
        assert "rollout.canary" in refused["reason"]
        assert "\n" not in refused["reason"]
        assert "rotator check" in refused["todo"]
        del installed.rotation["rollout"]
        installed.document["log"]["level"] = "info"
        installed.write()
        running.process.send_signal(signal.SIGHUP)
        await running.event("config.reloaded")
    assert [event["event"] for event in running.events][-2:] == [
        "daemon.draining",
        "daemon.stopped",
    ]
    of_runs = [e for e in running.events if e["event"].startswith(("run.", "connection."))]
    assert all("run" in event and event["rotation"] == "openai" for event in of_runs)


async def test_a_refused_update_says_which_request_it_was(
    installed: Deployment, cloud: Sandbox
) -> None:
    cloud.state.faults.order(Fault(FaultKind.UNAUTHORIZED, "PUT", times=None))
    async with installed.daemon() as running:
        settled = await running.event("connection.settled", result="failed")
        assert settled["request_id"] in settled["reason"]
        asked = [e for e in running.events if e["event"] == "target.request"]
        assert settled["request_id"] in [e["request_id"] for e in asked if e["method"] == "PUT"]
        finished = await running.event("run.finished", result="failed")
        assert finished["todo"] == remedy(Cause.KEY, "openai")


@pytest.mark.parametrize("on_failure", ["halt", "continue"])
async def test_a_secret_that_is_missing_is_looked_for_at_its_source(
    installed: Deployment, on_failure: str
) -> None:
    installed.rotation["secret"]["path"] = "nowhere"
    installed.rotation["rollout"] = {"on_failure": on_failure}
    async with installed.daemon() as running:
        finished = await running.event("run.finished")
    assert finished["result"] == ("refused" if on_failure == "halt" else "failed")
    assert finished["todo"] == remedy(Cause.SECRET, "openai")


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"credential": {"api-key": "no_such_field"}}, Cause.CREDENTIAL),
        ({"match": {"type": ["OPENAI"], "expect": {"min": 9}}}, Cause.MATCH),
        ({"secret": {"source": "mounted", "path": "nowhere"}}, Cause.SECRET),
    ],
)
async def test_a_plan_that_is_refused_says_why(
    installed: Deployment, cloud: Sandbox, settings: dict[str, Any], cause: Cause
) -> None:
    installed.rotation.update(settings)
    done = await installed.rotator("rotate", "-o", "json")
    (run,) = done.json()
    assert (run["result"], run["todo"]) == ("refused", remedy(cause, "openai"))
    assert not cloud.state.counters.updates


async def test_each_trouble_with_a_target_has_its_remedy(
    installed: Deployment, cloud: Sandbox
) -> None:
    async def told_remedy(**environment: str) -> str | None:
        done = await installed.rotator("rotate", "-o", "json", **environment)
        told: str | None = done.json()[0]["todo"]
        return told

    assert await told_remedy(SANDBOX_SECRET="another") == remedy(Cause.KEY, "openai")
    cloud.state.faults.order(Fault(FaultKind.METHOD_NOT_ALLOWED, "PUT", times=None))
    installed.target["update"] = "put"
    assert await told_remedy() == remedy(Cause.REFUSED, "openai")
    cloud.state.faults.clear()
    cloud.state.change(settle=3600.0)
    installed.rotation["verify"]["timeout"] = "1s"
    assert await told_remedy() == remedy(Cause.NOT_READY, "openai")


async def test_a_ledger_that_breaks_is_logged_with_its_remedy(installed: Deployment) -> None:
    installed.rotation["watch"] = "1s"
    installed.document["http"]["token"] = {"env": "HTTP_TOKEN"}
    async with installed.daemon(HTTP_TOKEN=TOKEN) as running, running.client() as http:
        await running.event("run.finished", result="succeeded")
        with sqlite3.connect(installed.folder / "ledger.db") as ledger:
            ledger.execute("DROP TABLE runs")
        ledger.close()
        failed = await running.event("watch.failed")
        assert failed["todo"] == remedy(Cause.LEDGER, "openai")
        authorization = {"Authorization": f"Bearer {TOKEN}"}
        await http.post("/api/v1/rotations/openai/run", headers=authorization)
        for name in ("run.finished", "run.failed"):
            told = await running.event(name, todo=remedy(Cause.LEDGER, "openai"))
            assert told["level"] == "error"


async def test_a_run_by_hand_says_what_to_do_as_well(installed: Deployment) -> None:
    installed.rotation["match"]["expect"] = {"max": 1}
    shown = await installed.rotator("rotate")
    assert (shown.status, shown.err) == (1, f"openai: {remedy(Cause.MATCH, 'openai')}\n")
    machine = await installed.rotator("rotate", "-o", "json")
    assert machine.json()[0]["todo"] == remedy(Cause.MATCH, "openai")
    assert machine.err == ""
    del installed.rotation["match"]["expect"]
    done = await installed.rotator("rotate", "-o", "json")
    assert (done.err, done.json()[0]["todo"]) == ("", None)


async def test_people_read_lines_without_colour_in_a_file(installed: Deployment) -> None:
    installed.document["log"] = {"format": "console"}
    async with installed.daemon() as running:
        (name,) = await running.line(r"connection settled .* connection=(\S+) target=sandbox resul")
        await running.line(
            r"^\d\d:\d\d:\d\d         run finished         rotation=openai result=succ"
        )
    assert name.startswith("openai-")
    assert all(line.isprintable() for line in running.lines)
