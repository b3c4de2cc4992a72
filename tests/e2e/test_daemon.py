"""`rotator run`: ticks, watches, signals, HTTP — a real process, real signals, real sockets."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import BAD, GOOD, NEXT, holders, updates
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.waiting import until

__all__ = ["deployment", "sandbox"]

TOKEN = "canary-http-token"


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=5, types=("OPENAI",), settle=0.1)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    made.document["http"]["token"] = {"env": "HTTP_TOKEN"}
    return made


def daemon(installed: Deployment) -> Any:
    return installed.daemon(HTTP_TOKEN=TOKEN)


async def test_cron_ticks_rotate(installed: Deployment, cloud: Sandbox) -> None:
    installed.rotation["schedule"] = {"cron": "* * * * * *"}
    async with daemon(installed) as running:
        await running.event("run.finished", result="succeeded")
        assert len(holders(cloud, GOOD)) == 5
        installed.secret("openai", {"api_key": NEXT})
        await until(lambda: len(holders(cloud, NEXT)) == 5)
    assert running.process.returncode == 0
    assert updates(cloud) == 10
    assert GOOD not in "\n".join(running.lines)


async def test_the_watch_sees_a_changed_secret(installed: Deployment, cloud: Sandbox) -> None:
    installed.rotation["watch"] = "1s"
    async with daemon(installed) as running:
        await running.event("run.finished", trigger="watch", result="succeeded")
        installed.secret("openai", {"api_key": BAD})
        await running.event("run.finished", trigger="watch", result="failed")
        assert len(holders(cloud, BAD)) == 1
        installed.secret("openai", {"api_key": NEXT})
        await until(lambda: len(holders(cloud, NEXT)) == 5)
    assert updates(cloud) == 5 + 1 + 5, "a bad credential was tried again and again"


async def test_on_start_and_a_missed_tick(installed: Deployment, cloud: Sandbox) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=2)
    hourly = f"{long_ago.minute} * * * *"
    installed.rotation["schedule"] = {"cron": hourly, "on_start": True}
    async with daemon(installed) as running:
        await running.event("run.finished", trigger="start", result="succeeded")
    installed.rotation["schedule"] = {"cron": hourly}
    async with daemon(installed) as running:
        await running.event("daemon.started")
    assert not [e for e in running.events if e["event"] == "run.started"], "nothing was missed"


async def test_a_killed_run_is_resumed_at_the_next_start(
    installed: Deployment, cloud: Sandbox
) -> None:
    installed.rotation["schedule"] = {"cron": "0 0 1 1 *", "on_start": True}
    cloud.state.change(latency=0.2)
    installed.rotation["verify"]["timeout"] = "30s"
    installed.target["concurrency"] = 1
    process = await installed.spawn("run", HTTP_TOKEN=TOKEN)
    await until(lambda: updates(cloud) >= 2)
    process.kill()
    await process.communicate()
    installed.rotation["schedule"] = {"cron": "0 0 1 1 *"}
    async with daemon(installed) as running:
        await running.event("run.finished", trigger="resume", result="succeeded")
    assert len(holders(cloud, GOOD)) == 5
    assert updates(cloud) <= 6


async def test_sigterm_lets_what_is_under_way_end(installed: Deployment, cloud: Sandbox) -> None:
    installed.rotation["schedule"] = {"cron": "0 0 1 1 *", "on_start": True}
    cloud.state.change(latency=0.3)
    installed.target["concurrency"] = 1
    async with daemon(installed) as running:
        await until(lambda: cloud.state.counters.requests["PUT", "200"] >= 1)
        asked = asyncio.get_running_loop().time()
        running.process.send_signal(signal.SIGTERM)
        assert await running.process.wait() == 0
        assert asyncio.get_running_loop().time() - asked < 10
    assert cloud.state.counters.in_flight == 0
    assert ("PUT", "reset") not in cloud.state.counters.requests


async def test_sigterm_doesnt_wait_for_a_request_that_hangs(
    installed: Deployment, cloud: Sandbox
) -> None:
    installed.rotation["schedule"] = {"cron": "0 0 1 1 *", "on_start": True}
    installed.target["timeout"] = "60s"
    cloud.state.faults.order(Fault(FaultKind.HANG, "PUT", times=None))
    async with daemon(installed) as running:
        await until(lambda: cloud.state.counters.in_flight == 1 and bool(running.lines))
        await running.event("run.planned")
        asked = asyncio.get_running_loop().time()
        running.process.send_signal(signal.SIGTERM)
        assert await running.process.wait() == 0
        assert asyncio.get_running_loop().time() - asked < 10


async def test_sighup_takes_a_good_configuration_and_refuses_a_bad_one(
    installed: Deployment, cloud: Sandbox
) -> None:
    async with daemon(installed) as running, running.client() as http:
        installed.rotation["schedule"] = {"cron": "* * * * * *"}
        installed.rotation["rollout"] = {"canary": -1}
        installed.write()
        running.process.send_signal(signal.SIGHUP)
        refused = await running.event("config.refused")
        assert "canary" in refused["reason"]
        metrics = (await http.get("/metrics")).text
        assert "rotator_config_last_reload_successful 0.0" in metrics
        del installed.rotation["rollout"]
        installed.write()
        running.process.send_signal(signal.SIGHUP)
        await running.event("config.reloaded")
        await running.event("run.finished", result="succeeded")
        metrics = (await http.get("/metrics")).text
        assert "rotator_config_last_reload_successful 1.0" in metrics


async def test_http(installed: Deployment, cloud: Sandbox) -> None:
    async with daemon(installed) as running, running.client() as http:
        assert (await http.get("/livez")).status_code == 200

        await running.event("daemon.ready")
        assert (await http.get("/readyz")).status_code == 200

        path = "/api/v1/rotations/openai/run"
        assert (await http.post(path)).status_code == 401
        authorization = {"Authorization": f"Bearer {TOKEN}"}
        assert (
            await http.post("/api/v1/rotations/x/run", headers=authorization)
        ).status_code == 404
        started = await http.post(path, headers=authorization)
        assert started.status_code == 202
        run_id = started.json()["run"]
        await running.event("run.finished", run=run_id)
        run = (await http.get(f"/api/v1/runs/{run_id}")).json()
        assert run["result"] == "succeeded"
        assert len(run["outcomes"]) == 5

        rotations = (await http.get("/api/v1/rotations")).json()
        connections = (await http.get("/api/v1/connections")).json()
        runs = (await http.get("/api/v1/runs")).json()
        assert "openai" in str(rotations)
        assert "openai-003" in str(connections)
        assert run_id in str(runs)
        page = (await http.get("/")).text
        assert "openai-003" in page
        metrics = (await http.get("/metrics")).text
        assert 'rotator_runs_total{result="succeeded",rotation="openai"} 1.0' in metrics
        assert (
            'rotator_connection_phase{connection="openai-003",phase="READY",target="sandbox"} 1.0'
            in metrics
        )
        for answer in (page, metrics, str(run), str(connections)):
            assert GOOD not in answer


async def test_a_run_that_is_under_way_is_named(installed: Deployment, cloud: Sandbox) -> None:
    cloud.state.change(settle=3600.0)
    async with daemon(installed) as running, running.client() as http:
        authorization = {"Authorization": f"Bearer {TOKEN}"}
        path = "/api/v1/rotations/openai/run"
        first = await http.post(path, headers=authorization)
        second = await http.post(path, headers=authorization)
        assert (first.status_code, second.status_code) == (202, 409)
        assert second.json()["run"] == first.json()["run"]


async def test_a_port_in_use_is_one_clear_line(installed: Deployment, cloud: Sandbox) -> None:
    installed.document["http"]["listen"] = f"127.0.0.1:{cloud.port}"
    failed = await installed.rotator("run", HTTP_TOKEN=TOKEN)
    assert failed.status == 1
    assert failed.err.count("\n") == 1
    assert str(cloud.port) in failed.err
