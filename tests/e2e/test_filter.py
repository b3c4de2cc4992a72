"""`--connection GLOB`: a filter that matches nothing is an error, not a run without changes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rotator.clock import SystemClock
from rotator.ledger import SqlLedger
from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import GOOD, NEXT, holders, updates
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.waiting import until

__all__ = ["deployment", "sandbox"]


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    started = await sandbox(connections=2, types=("OPENAI",), settle=0.1)
    started.state.seed(started.state.connections(), 2, ["ANTHROPIC"])
    return started


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    add(made, "anthropic", match={"type": ["ANTHROPIC"]})
    made.secret("openai", {"api_key": GOOD})
    return made


def add(to: Deployment, rotation: str, **changes: Any) -> None:
    to.document["rotations"][rotation] = deepcopy(to.rotation) | changes


async def runs(installed: Deployment) -> list[str]:
    """The rotations of the runs on record, the newest first."""
    ledger = await SqlLedger.open(installed.folder / "ledger.db", SystemClock().now)
    try:
        return [run.rotation for run in await ledger.runs()]
    finally:
        await ledger.aclose()


@pytest.mark.parametrize(
    "command",
    [("plan",), ("rotate", "--dry-run"), ("rotate",)],
    ids=" ".join,
)
async def test_a_filter_that_matches_nothing_is_an_error(
    installed: Deployment, cloud: Sandbox, command: tuple[str, ...]
) -> None:
    done = await installed.rotator(*command, "openai", "--connection", "openia-*")
    assert done.status == 1
    assert done.err == (
        "Error: no connection of rotation openai is named openia-*; "
        "the nearest are openai-001, openai-002\n"
    )
    assert updates(cloud) == 0
    assert await runs(installed) == []


@pytest.mark.parametrize("command", ["plan", "rotate"])
async def test_the_error_names_each_rotation_in_one_line(
    installed: Deployment, command: str
) -> None:
    done = await installed.rotator(command, "--connection", "nomatch-*")
    assert done.status == 1
    assert done.err == (
        "Error: no connection of the rotations openai, anthropic is named nomatch-*; "
        "`rotator connections` lists the names\n"
    )


async def test_a_rotation_without_such_a_connection_is_not_run(
    installed: Deployment, cloud: Sandbox
) -> None:
    done = await installed.rotator("rotate", "--connection", "openai-001", "-o", "json")
    assert (done.status, done.err) == (0, "")
    assert [(run["rotation"], run["rotated"]) for run in done.json()] == [("openai", 1)]
    assert updates(cloud) == 1
    assert await runs(installed) == ["openai"]


async def test_a_rotation_without_such_a_connection_does_not_make_a_plan_fail(
    installed: Deployment,
) -> None:
    """Not even one that would refuse to run, since it matches fewer than it expects."""
    add(installed, "other", match={"type": ["OPENAI"], "name": ["nomatch-*"]})
    planned = await installed.rotator("plan", "--connection", "openai-001", "-o", "json")
    assert (planned.status, planned.err) == (0, "")
    assert [change["connection"] for change in planned.json()] == ["openai-001"]


async def test_a_connection_that_a_list_lacks_is_found_by_its_name(
    installed: Deployment, cloud: Sandbox
) -> None:
    await installed.rotator("rotate", "openai")
    installed.secret("openai", {"api_key": NEXT})
    cloud.state.faults.order(Fault(FaultKind.UNLISTED, path="*/openai-002", times=None))
    done = await installed.rotator("rotate", "--connection", "openai-002", "-o", "json")
    assert (done.status, done.err) == (0, "")
    assert holders(cloud, NEXT) == {"openai-002"}


async def test_the_watch_rotates_the_connections_that_a_filter_left_out(
    installed: Deployment, cloud: Sandbox
) -> None:
    """The version of the secret was acted on for one connection only."""
    await installed.rotator("rotate", "openai")
    installed.secret("openai", {"api_key": NEXT})
    await installed.rotator("rotate", "openai", "--connection", "openai-001")
    assert holders(cloud, NEXT) == {"openai-001"}

    del installed.document["rotations"]["anthropic"]
    installed.rotation["watch"] = "1s"
    async with installed.daemon() as running:
        run = await running.event("run.finished", trigger="watch", result="succeeded")
        await until(lambda: len(holders(cloud, NEXT)) == 2)
    assert (run["rotated"], run["unchanged"]) == (1, 1)
