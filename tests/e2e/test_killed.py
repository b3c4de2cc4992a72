"""Killed anywhere, the next run finishes the work and repeats at most what was in flight."""

from __future__ import annotations

import signal

import pytest

from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import GOOD, holders, updates
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.waiting import until

__all__ = ["deployment", "sandbox"]

CONNECTIONS = 60
CONCURRENCY = 4


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=CONNECTIONS, types=("OPENAI",), settle=0.3, latency=0.02)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    made.target["concurrency"] = CONCURRENCY
    return made


@pytest.mark.parametrize("after", [0, 1, 2, 7, 23, CONNECTIONS - 1, CONNECTIONS])
async def test_killed_after_so_many_updates(
    installed: Deployment, cloud: Sandbox, after: int
) -> None:
    process = await installed.spawn("rotate")
    counters = cloud.state.counters
    if after:
        await until(lambda: updates(cloud) >= after)
    else:
        await until(lambda: counters.requests.total() > 0)
    process.kill()
    await process.wait()

    done = await installed.rotator("rotate", "-o", "json")
    assert done.status == 0, done.out
    assert len(holders(cloud, GOOD)) == CONNECTIONS
    assert updates(cloud) <= CONNECTIONS + CONCURRENCY
    (run,) = done.json()
    assert run["failed"] == 0
    states = (await installed.rotator("status", "-o", "json")).json()
    assert {row["stage"] for row in states} == {"verified"}


async def test_what_was_put_is_verified_and_not_put_again(
    installed: Deployment, cloud: Sandbox
) -> None:
    cloud.state.change(settle=3600.0)
    installed.rotation["rollout"] = {"canary": 0}
    process = await installed.spawn("rotate")
    await until(lambda: updates(cloud) == CONNECTIONS)
    # The answer to the last update is on its way; a look says that the ledger holds it too.
    looks = cloud.state.counters.requests["GET", "200"]
    await until(lambda: cloud.state.counters.requests["GET", "200"] >= looks + 3)
    process.kill()
    await process.wait()

    cloud.state.change(settle=0.0)
    connections = cloud.state.connections()
    for name in connections.names():
        connections.force_phase(name, "READY", "")
    done = await installed.rotator("rotate", "-o", "json")
    assert done.status == 0, done.out
    assert done.json()[0]["rotated"] == CONNECTIONS
    assert updates(cloud) == CONNECTIONS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_after_sigterm_it_ends_cleanly_and_the_next_run_goes_on(
    installed: Deployment, cloud: Sandbox, number: signal.Signals
) -> None:
    process = await installed.spawn("rotate", "-o", "json")
    await until(lambda: updates(cloud) >= 10)
    process.send_signal(number)
    await process.communicate()
    assert process.returncode == 1
    sent = updates(cloud)
    assert sent < CONNECTIONS
    done = await installed.rotator("rotate", "-o", "json")
    assert done.status == 0
    assert updates(cloud) == CONNECTIONS, "an update that was answered was repeated"


async def test_a_second_process_is_refused_with_the_reason(
    installed: Deployment, cloud: Sandbox
) -> None:
    cloud.state.change(settle=2.0)  # the first is at work for longer than the second takes to start
    first = await installed.spawn("rotate")
    await until(lambda: updates(cloud) >= 1)
    second = await installed.rotator("rotate")
    assert second.status == 1
    assert "already running" in second.err
    await first.communicate()
    assert first.returncode == 0
    assert updates(cloud) == CONNECTIONS
