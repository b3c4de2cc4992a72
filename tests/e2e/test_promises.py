"""What README promises, each promise in a test of the same name.

tests/unit/test_readme.py holds the two lists to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import BAD, GOOD, NEXT, holders, requests, updates
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.targets import add_target, holders_in
from tests.support.waiting import until

__all__ = ["deployment", "sandbox"]


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=6, types=("OPENAI",), settle=0.1, update_answer="connection")


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    return made


async def rotate(installed: Deployment, *options: str, status: int = 0) -> Any:
    """The run, as `rotator rotate -o json` prints it."""
    done = await installed.rotator("rotate", *options, "-o", "json")
    assert done.status == status, done.out + done.err
    (run,) = done.json()
    return run


async def states(installed: Deployment) -> list[dict[str, Any]]:
    """The rows of `rotator status`."""
    rows: list[dict[str, Any]] = (await installed.rotator("status", "-o", "json")).json()
    return rows


async def stages(installed: Deployment) -> Mapping[str, str]:
    """Connection → stage."""
    return {row["connection"]: row["stage"] for row in await states(installed)}


async def test_an_unchanged_secret_costs_no_update(
    sandbox: SandboxFactory, deployment: DeploymentFactory
) -> None:
    cloud = await sandbox(connections=100, types=("OPENAI",), settle=0)
    installed = deployment(cloud.url)
    installed.secret("openai", {"api_key": GOOD})
    await rotate(installed)
    cloud.state.counters.clear()
    run = await rotate(installed)
    assert (run["unchanged"], updates(cloud)) == (100, 0)
    assert cloud.state.counters.requests.total() == 1


@pytest.mark.parametrize("phase_lag", [0, 0.5])
async def test_a_bad_credential_reaches_one_connection_and_no_other(
    sandbox: SandboxFactory, deployment: DeploymentFactory, phase_lag: float
) -> None:
    """With the defaults of `verify`; also where a phase follows its version half a second late."""
    cloud = await sandbox(connections=30, types=("OPENAI",), settle=0, phase_lag=phase_lag)
    installed = deployment(cloud.url)
    del installed.rotation["verify"]
    installed.secret("openai", {"api_key": BAD})
    for _ in range(2):
        run = await rotate(installed, status=1)
        assert (run["failed"], run["skipped"], run["rotated"]) == (1, 29, 0)
        assert holders(cloud, BAD) == {"openai-001"}
        assert "verified" not in (await stages(installed)).values()


async def test_ready_counts_once_it_was_seen_twice(installed: Deployment, cloud: Sandbox) -> None:
    """At the new version, the first look still shows the phase from before. It proves nothing."""
    installed.rotation["verify"]["interval"] = "600ms"
    installed.rotation["rollout"] = {"canary": 0}
    cloud.state.change(phase_lag=0.5, settle=0)
    installed.secret("openai", {"api_key": BAD})
    run = await rotate(installed, status=1)
    assert (run["failed"], run["rotated"]) == (6, 0)
    assert set((await stages(installed)).values()) == {"failed"}

    installed.secret("openai", {"api_key": GOOD})
    assert (await rotate(installed))["rotated"] == 6


async def test_the_canary_is_looked_at_again_before_each_batch(
    installed: Deployment, cloud: Sandbox
) -> None:
    installed.rotation["rollout"] = {"canary": 1, "batch": 2}
    process = await installed.spawn("rotate", "-o", "json")
    await until(lambda: updates(cloud) == 1)
    cloud.state.change(settle=1.0)  # the first batch takes long enough for the canary to turn
    await until(lambda: updates(cloud) == 3)
    cloud.state.connections().force_phase("openai-001", "INVALID_AUTH", "revoked")
    await process.communicate()
    assert process.returncode == 1
    assert updates(cloud) == 3, "the second batch began although the canary is refused"
    found = await stages(installed)
    assert (found["openai-001"], found["openai-004"]) == ("failed", "untouched")


@pytest.mark.parametrize("update_answer", ["empty", "connection"])
@pytest.mark.parametrize(
    "fault", [FaultKind.FOREIGN_WRITE_INSTEAD, FaultKind.EMPTY, FaultKind.ERROR_AFTER]
)
async def test_only_an_answer_of_its_own_proves_a_write(
    installed: Deployment, cloud: Sandbox, fault: FaultKind, update_answer: str
) -> None:
    """The answer is lost, with somebody else's write in place of ours; or a proxy says 200."""
    cloud.state.change(update_answer=update_answer)
    installed.rotation["verify"] = {"timeout": "4s", "interval": "200ms"}
    cloud.state.faults.order(Fault(fault, "PUT", "*/openai-003"))
    run = await rotate(installed)
    assert (run["rotated"], len(holders(cloud, GOOD))) == (6, 6)
    assert (await rotate(installed))["unchanged"] == 6


async def test_another_version_than_the_answer_told_is_not_ours(
    installed: Deployment, cloud: Sandbox
) -> None:
    """Another credential is put right after ours; another connection takes the name of ours."""
    cloud.state.faults.order(Fault(FaultKind.FOREIGN_WRITE, "PUT", "*/openai-002"))
    cloud.state.faults.order(Fault(FaultKind.RECREATED, "PUT", "*/openai-003"))
    run = await rotate(installed, status=1)
    assert (run["rotated"], run["failed"]) == (5, 1)
    assert "openai-003 failed" in run["reason"]
    assert "made again" in run["reason"]
    assert holders(cloud, GOOD) == cloud_names(cloud) - {"openai-003"}
    assert (await stages(installed))["openai-003"] != "verified"

    run = await rotate(installed)
    assert (run["rotated"], run["unchanged"]) == (1, 5)
    assert holders(cloud, GOOD) == cloud_names(cloud)


async def test_a_killed_run_is_finished_by_the_next_one(
    installed: Deployment, cloud: Sandbox
) -> None:
    installed.target["concurrency"] = 1
    cloud.state.change(latency=0.05, settle=0.5)
    process = await installed.spawn("rotate")
    await until(lambda: updates(cloud) >= 3)
    process.kill()
    await process.communicate()
    await rotate(installed)
    assert len(holders(cloud, GOOD)) == 6
    assert updates(cloud) <= 7, "more was repeated than what was in flight"
    assert set((await stages(installed)).values()) == {"verified"}


async def test_a_credential_that_stops_working_is_a_failure(
    installed: Deployment, cloud: Sandbox
) -> None:
    await rotate(installed)
    for name in cloud_names(cloud):
        cloud.state.connections().force_phase(name, "INVALID_AUTH", "revoked")
    run = await rotate(installed, status=1)
    assert (run["result"], run["failed"]) == ("failed", 6)
    assert "openai-001 is rejected (INVALID_AUTH)" in run["reason"]
    planned = await installed.rotator("plan", "-o", "json")
    assert planned.status == 1
    assert {row["verdict"] for row in planned.json()} == {"broken"}
    shown = await states(installed)
    assert {row["phase"] for row in shown} == {"INVALID_AUTH"}
    assert all("INVALID_AUTH" in row["error"] for row in shown)
    assert updates(cloud) == 6, "what the endpoint refuses was put again"


async def test_a_sick_target_holds_back_no_other(installed: Deployment, cloud: Sandbox) -> None:
    for name in ("east", "west"):
        add_target(installed, cloud, name, connections=10)
    cloud.state.faults.order(
        Fault(FaultKind.UNAUTHORIZED, "PUT", "*/environments/env-east/*", times=None)
    )
    run = await rotate(installed, status=1)
    assert (run["rotated"], run["failed"], run["skipped"]) == (16, 1, 9)
    assert run["reason"].startswith("target east: ")
    assert "9 others were not touched" in run["reason"]
    assert len(holders(cloud, GOOD)) == 6
    assert len(holders_in(cloud, "west", GOOD)) == 10
    assert holders_in(cloud, "east", GOOD) == set()


async def test_every_connection_of_a_plan_has_an_outcome_on_record(
    installed: Deployment, cloud: Sandbox
) -> None:
    """Those that a halted run did not touch too, on the run's page, in its API and in listings."""
    installed.secret("openai", {"api_key": BAD})
    run = await rotate(installed, status=1)
    everyone = cloud_names(cloud)
    assert {each["connection"] for each in run["outcomes"]} == everyone
    past = (await installed.rotator("history", "-o", "json")).json()
    assert {row["connection"] for row in past} == everyone
    assert {row["result"] for row in past} == {"failed", "skipped"}
    now = {row["connection"]: row for row in await states(installed)}
    assert now.keys() == everyone
    assert now["openai-001"]["put_at"] is not None, "it holds a credential, though a bad one"
    assert now["openai-001"]["verified_at"] is None
    assert {row["stage"] for row in now.values()} == {"failed", "untouched"}
    async with installed.daemon() as daemon, daemon.client() as http:
        answer = (await http.get(f"/api/v1/runs/{run['run']}")).json()
        page = (await http.get("/run", params={"id": run["run"]})).text
    assert {each["connection"] for each in answer["outcomes"]} == everyone
    assert all(name in page for name in everyone)
    assert run["reason"] == (
        "Stopped after openai-001 was rejected (INVALID_AUTH); 5 others were not touched"
    )


async def test_a_connection_that_a_list_lacks_is_rotated_all_the_same(
    installed: Deployment, cloud: Sandbox
) -> None:
    await rotate(installed)
    cloud.state.faults.order(Fault(FaultKind.UNLISTED, path="*/openai-004", times=None))
    installed.secret("openai", {"api_key": NEXT})
    run = await rotate(installed)
    assert (run["rotated"], holders(cloud, NEXT)) == (6, cloud_names(cloud))


@pytest.mark.parametrize("update_answer", ["empty", "connection"])
async def test_reads_that_lag_cause_no_second_update(
    installed: Deployment, cloud: Sandbox, update_answer: str
) -> None:
    """With the defaults of `verify`, and longer than those wait for an update to show."""
    cloud.state.change(lag=8.0, update_answer=update_answer)
    del installed.rotation["verify"]
    installed.rotation["rollout"] = {"canary": 0}  # one stage, so one time of waiting
    run = await rotate(installed)
    assert (run["rotated"], updates(cloud)) == (6, 6)
    assert (await rotate(installed))["unchanged"] == 6
    assert updates(cloud) == 6


async def test_a_rotation_never_runs_twice_at_the_same_time(
    installed: Deployment, cloud: Sandbox
) -> None:
    cloud.state.change(settle=3600.0)  # the first run lasts until the second was refused
    first = await installed.spawn("rotate")
    await until(lambda: updates(cloud) == 1)
    second = await installed.rotator("rotate")
    assert second.status == 1
    assert "already running" in second.err
    cloud.state.change(settle=0)
    cloud.state.connections().force_phase("openai-001", "READY", "")
    await first.communicate()
    assert first.returncode == 0
    assert updates(cloud) == 6


async def test_after_a_429_the_whole_target_waits(installed: Deployment, cloud: Sandbox) -> None:
    installed.rotation["rollout"] = {"canary": 0}
    installed.target["concurrency"] = 2
    cloud.state.change(latency=0.02)
    cloud.state.faults.order(Fault(FaultKind.THROTTLED, "PUT", after=2, retry_after=1))
    run = await rotate(installed)
    assert run["rotated"] == 6
    at = [when for when, _ in cloud.state.counters.update_order]
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert max(gaps) > 0.9
    assert gaps.index(max(gaps)) < 4, "more left than what was in flight when the 429 came"
    assert requests(cloud, "PUT") == 7


def cloud_names(cloud: Sandbox) -> set[str]:
    return set(cloud.state.connections().names())
