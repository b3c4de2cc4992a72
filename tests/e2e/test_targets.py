"""One rotation over several targets: each has its own stages, and counts its own failures."""

from __future__ import annotations

import pytest

from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import GOOD, holders
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.targets import add_target, holders_in

__all__ = ["deployment", "sandbox"]


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=4, types=("OPENAI",), settle=0.5)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    for name in ("east", "west"):
        add_target(made, cloud, name, connections=4)
    return made


def fail_updates(cloud: Sandbox, path: str) -> None:
    cloud.state.faults.order(Fault(FaultKind.UNAUTHORIZED, "PUT", path, times=None))


async def test_max_failures_holds_for_each_target(installed: Deployment, cloud: Sandbox) -> None:
    """One failure in each of two targets is no more than one."""
    installed.rotation["rollout"] = {"batch": 1, "max_failures": 1}
    for name in ("east", "west"):
        fail_updates(cloud, f"*/env-{name}/connections/openai-002")
    done = await installed.rotator("rotate", "-o", "json")
    (run,) = done.json()
    assert (done.status, run["rotated"], run["failed"], run["skipped"]) == (1, 10, 2, 0)
    assert {len(holders_in(cloud, name, GOOD)) for name in ("east", "west")} == {3}


async def test_max_failures_total_stops_all_targets(installed: Deployment, cloud: Sandbox) -> None:
    installed.rotation["rollout"] = {"batch": 1, "max_failures": 4, "max_failures_total": 1}
    for name in ("east", "west"):
        fail_updates(cloud, f"*/env-{name}/*")
    done = await installed.rotator("rotate", "-o", "json")
    (run,) = done.json()
    assert done.status == 1
    assert "in all targets together" in run["reason"]
    assert run["rotated"] == len(holders(cloud, GOOD))
    assert run["rotated"] <= 1, "more than the canary of the healthy target"
    assert run["failed"] <= 3, "more than the two that failed, and what was in flight then"
    assert run["rotated"] + run["failed"] + run["skipped"] == 12


async def test_one_failure_stops_all_targets_where_none_may_fail(
    installed: Deployment, cloud: Sandbox
) -> None:
    installed.rotation["rollout"] = {"batch": 1, "max_failures_total": 0}
    fail_updates(cloud, "*/env-east/*")
    done = await installed.rotator("rotate", "-o", "json")
    (run,) = done.json()
    assert (done.status, run["failed"]) == (1, 1)
    assert run["rotated"] <= 2, "more than the canaries of the healthy targets"
    assert "stopped after 1 connection failed in all targets together" in run["reason"]


async def test_a_target_that_cannot_be_listed_holds_back_no_other(
    installed: Deployment, cloud: Sandbox
) -> None:
    cloud.state.faults.order(Fault(FaultKind.UNAUTHORIZED, "GET", "*/env-east/*", times=None))
    done = await installed.rotator("rotate", "-o", "json")
    (run,) = done.json()
    assert (done.status, run["result"], run["rotated"]) == (1, "failed", 8)
    assert "target east" in run["reason"]
