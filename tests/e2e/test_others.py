"""What somebody else does to connections while a run updates them, or after it."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import BAD, GOOD, holders, updates
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.waiting import until

__all__ = ["deployment", "sandbox"]


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=5, types=("OPENAI",), settle=0.1, update_answer="connection")


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    return made


async def verdicts(installed: Deployment) -> dict[str, str]:
    planned = await installed.rotator("plan", "-o", "json")
    return {row["connection"]: row["verdict"] for row in planned.json()}


async def test_a_write_right_after_ours_is_put_right_in_the_same_run(
    installed: Deployment, cloud: Sandbox
) -> None:
    cloud.state.faults.order(Fault(FaultKind.FOREIGN_WRITE, "PUT", "*/openai-003"))
    done = await installed.rotator("rotate", "-o", "json")
    assert (done.status, done.json()[0]["rotated"]) == (0, 5)
    assert len(holders(cloud, GOOD)) == 5
    assert updates(cloud) == 6
    assert set((await verdicts(installed)).values()) == {"unchanged"}


async def test_it_is_only_named_where_drift_is_only_warned_of(
    installed: Deployment, cloud: Sandbox
) -> None:
    installed.rotation["on_drift"] = "warn"
    cloud.state.faults.order(Fault(FaultKind.FOREIGN_WRITE, "PUT", "*/openai-003"))
    done = await installed.rotator("rotate", "-o", "json")
    (run,) = done.json()
    assert (done.status, run["rotated"], run["failed"]) == (1, 4, 1)
    assert "openai-003 failed (changed by someone else before it was seen to work" in run["reason"]
    assert len(holders(cloud, GOOD)) == 4
    assert (await verdicts(installed))["openai-003"] == "drifted"


@pytest.mark.parametrize("name", ["openai-001", "openai-003"])
async def test_a_connection_deleted_after_its_update_stops_nothing(
    installed: Deployment, cloud: Sandbox, name: str
) -> None:
    """Not even the canary."""
    cloud.state.faults.order(Fault(FaultKind.DELETED, "PUT", f"*/{name}"))
    done = await installed.rotator("rotate", "-o", "json")
    (run,) = done.json()
    assert (done.status, run["result"]) == (0, "succeeded")
    assert (run["rotated"], run["skipped"], run["failed"]) == (4, 1, 0)
    (gone,) = (each for each in run["outcomes"] if each["result"] == "skipped")
    assert (gone["connection"], gone["reason"]) == (
        name,
        "the connection was deleted during the run",
    )
    assert len(holders(cloud, GOOD)) == 4


async def test_a_connection_deleted_before_its_update_stops_nothing(
    installed: Deployment, cloud: Sandbox
) -> None:
    installed.rotation["rollout"] = {"canary": 1, "batch": 2}
    cloud.state.change(settle=0.5)
    process = await installed.spawn("rotate", "-o", "json")
    await until(lambda: updates(cloud) == 1)
    cloud.state.connections().delete("openai-002")
    out, err = await process.communicate()
    assert process.returncode == 0, out + err
    assert len(holders(cloud, GOOD)) == 4


async def test_a_deleted_canary_proves_nothing(installed: Deployment, cloud: Sandbox) -> None:
    """Another connection takes its place, so the bad key still reaches one that exists."""
    installed.secret("openai", {"api_key": BAD})
    cloud.state.faults.order(Fault(FaultKind.DELETED, "PUT", "*/openai-001"))
    done = await installed.rotator("rotate", "-o", "json")
    (run,) = done.json()
    assert (done.status, run["rotated"], run["failed"], run["skipped"]) == (1, 0, 1, 4)
    assert holders(cloud, BAD) == {"openai-002"}


async def test_a_connection_made_again_is_not_called_verified(
    installed: Deployment, cloud: Sandbox
) -> None:
    cloud.state.faults.order(Fault(FaultKind.RECREATED, "PUT", "*/openai-001"))
    done = await installed.rotator("rotate", "-o", "json")
    (run,) = done.json()
    assert (done.status, run["rotated"], run["failed"]) == (1, 4, 1)
    assert run["reason"] == (
        "openai-001 failed (the connection was deleted and made again during the run; "
        "the next run rotates it)"
    )
    assert (await verdicts(installed))["openai-001"] == "new"


async def test_what_somebody_else_broke_is_put_right(installed: Deployment, cloud: Sandbox) -> None:
    """Its version moved, so it is drift; only what nobody changed since is broken."""
    await installed.rotator("rotate")
    connections = cloud.state.connections()
    connections.update("openai-002", {"API_KEY": "invalid"}, None)
    connections.force_phase("openai-004", "INVALID_AUTH", "")
    await until(lambda: connections.current("openai-002").phase == "INVALID_AUTH")
    found = await verdicts(installed)
    assert (found["openai-002"], found["openai-004"]) == ("drifted", "broken")

    connections.force_phase("openai-004", "READY", "")
    done = await installed.rotator("rotate", "-o", "json")
    (run,) = done.json()
    assert (done.status, run["rotated"], run["unchanged"]) == (0, 1, 4)
    assert len(holders(cloud, GOOD)) == 5


async def test_broken_connections_fail_a_run_until_they_work_again(
    installed: Deployment, cloud: Sandbox
) -> None:
    await installed.rotator("rotate")
    connections = cloud.state.connections()
    connections.force_phase("openai-004", "INVALID_AUTH", "")
    failed = await installed.rotator("rotate", "-o", "json")
    (run,) = failed.json()
    assert (failed.status, run["failed"], run["unchanged"]) == (1, 1, 4)
    assert run["reason"] == "openai-004 is rejected (INVALID_AUTH)"
    assert run["todo"] is not None

    connections.force_phase("openai-004", "READY", "")
    healed = await installed.rotator("rotate", "-o", "json")
    assert (healed.status, healed.json()[0]["unchanged"]) == (0, 5)
    rows: list[dict[str, Any]] = (await installed.rotator("status", "-o", "json")).json()
    assert {(row["phase"], row["error"]) for row in rows} == {("READY", None)}


@pytest.mark.parametrize("answer", ["connection", "empty"])
async def test_a_target_that_moves_the_version_as_a_phase_settles_needs_one_update(
    installed: Deployment, cloud: Sandbox, answer: str
) -> None:
    """It looks like somebody else's write, so the configuration has to say so."""
    cloud.state.change(settled_version=True, update_answer=answer, settle=0.3)
    installed.rotation["verify"]["settled_version"] = True
    done = await installed.rotator("rotate", "-o", "json")
    assert (done.status, done.json()[0]["rotated"]) == (0, 5), done.out
    assert updates(cloud) == 5
    assert set((await verdicts(installed)).values()) == {"unchanged"}
