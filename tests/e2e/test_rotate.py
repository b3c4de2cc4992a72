"""`rotator rotate`, as real processes against the sandbox over real sockets."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from rotator.sandbox.settings import AcceptRule
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox

__all__ = ["deployment", "sandbox"]

GOOD = "sk-canary-good-1"
NEXT = "sk-canary-good-2"
BAD = "sk-canary-invalid"


def holders(cloud: Sandbox, value: str) -> set[str]:
    """The connections that hold this API key."""
    connections = cloud.state.connections()
    held = {name: connections.current(name).data for name in connections.names()}
    return {name for name, data in held.items() if data == {"API_KEY": value}}


def updates(cloud: Sandbox) -> int:
    return sum(cloud.state.counters.updates.values())


def requests(cloud: Sandbox, method: str) -> int:
    return sum(n for (of, _), n in cloud.state.counters.requests.items() if of == method)


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=5, types=("OPENAI",), settle=0.1)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    return made


async def test_a_changed_secret_reaches_every_connection(
    installed: Deployment, cloud: Sandbox
) -> None:
    done = await installed.rotator("rotate", "-o", "json")
    assert done.status == 0, done.err
    (run,) = done.json()
    assert (run["result"], run["rotated"], run["failed"]) == ("succeeded", 5, 0)
    assert len(holders(cloud, GOOD)) == 5
    assert updates(cloud) == 5

    cloud.state.counters.clear()
    again = await installed.rotator("rotate", "-o", "json")
    assert again.json()[0]["unchanged"] == 5
    assert updates(cloud) == 0
    assert requests(cloud, "GET") <= 3

    installed.secret("openai", {"api_key": NEXT})
    changed = await installed.rotator("rotate", "-o", "json")
    assert changed.json()[0]["rotated"] == 5
    assert len(holders(cloud, NEXT)) == 5


async def test_a_bad_credential_reaches_one_connection_and_no_other(
    installed: Deployment, cloud: Sandbox
) -> None:
    await installed.rotator("rotate")
    installed.secret("openai", {"api_key": BAD})
    for _ in range(3):
        failed = await installed.rotator("rotate", "-o", "json")
        (run,) = failed.json()
        assert failed.status == 1
        assert (run["result"], run["failed"], run["skipped"]) == ("failed", 1, 4)
        assert "INVALID_AUTH" in json.dumps(run["outcomes"])
        assert len(holders(cloud, BAD)) == 1

    installed.secret("openai", {"api_key": NEXT})
    healed = await installed.rotator("rotate", "-o", "json")
    assert healed.status == 0
    assert len(holders(cloud, NEXT)) == 5


async def test_continue_goes_on_past_failures(installed: Deployment, cloud: Sandbox) -> None:
    installed.rotation["rollout"] = {"on_failure": "continue"}
    installed.rotation["verify"] = {"timeout": "1s", "interval": "100ms"}
    cloud.state.faults.order(Fault(FaultKind.EMPTY, "PUT", "*/openai-002", times=None))
    done = await installed.rotator("rotate", "-o", "json")
    (run,) = done.json()
    assert (done.status, run["rotated"], run["failed"]) == (1, 4, 1)
    assert "not visible" in json.dumps(run["outcomes"])


async def test_batches_stop_at_the_first_that_fails(installed: Deployment, cloud: Sandbox) -> None:
    installed.rotation["rollout"] = {"canary": 1, "batch": 2}
    cloud.state.faults.order(Fault(FaultKind.UNAUTHORIZED, "PUT", "*/openai-003", times=None))
    done = await installed.rotator("rotate", "-o", "json")
    (run,) = done.json()
    assert (run["rotated"], run["failed"], run["skipped"]) == (2, 1, 2)
    assert holders(cloud, GOOD) == {"openai-001", "openai-002"}


async def test_a_change_by_another_hand_is_named_and_put_right(
    installed: Deployment, cloud: Sandbox
) -> None:
    await installed.rotator("rotate")
    connections = cloud.state.connections()
    connections.update("openai-003", {"API_KEY": "somebody-elses"}, None)

    shown = await installed.rotator("plan", "-o", "json")
    drifted = [row for row in shown.json() if row["verdict"] == "drifted"]
    assert [row["connection"] for row in drifted] == ["openai-003"]

    installed.rotation["on_drift"] = "warn"
    warned = await installed.rotator("rotate", "-o", "json")
    assert warned.json()[0]["skipped"] == 1
    assert len(holders(cloud, GOOD)) == 4

    installed.rotation["on_drift"] = "reapply"
    await installed.rotator("rotate")
    assert len(holders(cloud, GOOD)) == 5


async def test_plan_changes_nothing_and_its_exit_status_says_what_is_pending(
    installed: Deployment, cloud: Sandbox
) -> None:
    before = await installed.rotator("plan", "--detailed-exitcode")
    assert (before.status, updates(cloud)) == (2, 0)
    assert "never rotated before" in before.out
    assert (await installed.rotator("plan")).status == 0
    assert (await installed.rotator("rotate", "--dry-run")).status == 0
    assert updates(cloud) == 0
    await installed.rotator("rotate")
    assert (await installed.rotator("plan", "--detailed-exitcode")).status == 0


async def test_expect_refuses_before_anything_is_sent(
    installed: Deployment, cloud: Sandbox
) -> None:
    installed.rotation["match"]["expect"] = {"max": 4}
    refused = await installed.rotator("rotate", "-o", "json")
    assert refused.status == 1
    assert refused.json()[0]["result"] == "refused"
    assert "expect.max" in refused.json()[0]["reason"]
    assert updates(cloud) == 0


async def test_a_refused_plan_leaves_an_outcome_of_each_connection(
    installed: Deployment, cloud: Sandbox
) -> None:
    """One of five secrets is missing: nothing is sent, and the ledger says why for each."""
    installed.rotation["secret"]["path"] = "{connection}"
    for number in (1, 2, 3, 5):
        installed.secret(f"openai-00{number}", {"api_key": GOOD})
    refused = await installed.rotator("rotate", "-o", "json")
    (run,) = refused.json()
    assert (refused.status, run["result"], updates(cloud)) == (1, "refused", 0)
    assert (run["failed"], run["skipped"]) == (1, 4)
    reasons = {each["connection"]: each["reason"] for each in run["outcomes"]}
    assert "there is no such file" in reasons.pop("openai-004")
    assert set(reasons.values()) == {"not touched: the plan was refused"}
    states = (await installed.rotator("status", "-o", "json")).json()
    assert {row["stage"] for row in states} == {"untouched"}
    assert len(states) == 5

    installed.secret("openai-004", {"api_key": GOOD})
    healed = await installed.rotator("rotate", "-o", "json")
    assert (healed.status, healed.json()[0]["rotated"]) == (0, 5)


async def test_only_the_named_connections_and_force(installed: Deployment, cloud: Sandbox) -> None:
    await installed.rotator("rotate", "--connection", "*-004")
    assert holders(cloud, GOOD) == {"openai-004"}
    await installed.rotator("rotate", "--connection", "*-004", "--force")
    assert updates(cloud) == 2


async def test_one_405_makes_no_difference(installed: Deployment, cloud: Sandbox) -> None:
    """That PUT is tried again after a while, test_client shows."""
    cloud.state.faults.order(Fault(FaultKind.METHOD_NOT_ALLOWED))
    done = await installed.rotator("rotate", "-o", "json")
    assert (done.status, done.json()[0]["rotated"], len(holders(cloud, GOOD))) == (0, 5, 5)
    await installed.rotator("rotate", "--force")
    assert cloud.state.counters.requests["PUT", "200"] == 5, "the next process asks with PUT again"


async def test_a_lagging_list_doesnt_pass_for_ready(installed: Deployment, cloud: Sandbox) -> None:
    cloud.state.change(lag=1.0, settle=0.5, accept=AcceptRule(accepted=frozenset({NEXT})))
    failed = await installed.rotator("rotate", "-o", "json")
    (run,) = failed.json()
    assert (run["result"], run["failed"]) == ("failed", 1), "the old READY counted"


KINDS = (
    FaultKind.ERROR_500,
    FaultKind.ERROR_502,
    FaultKind.ERROR_503,
    FaultKind.ODD_ERROR,
    FaultKind.CONFLICT,
    FaultKind.THROTTLED,
    FaultKind.RESET,
    FaultKind.HTML,
    FaultKind.EMPTY,
    FaultKind.FOREIGN,
    FaultKind.ERROR_AFTER,
    FaultKind.RESET_AFTER,
    FaultKind.TRUNCATED,
    FaultKind.BROKEN_JSON,
)
TROUBLE = dict.fromkeys(KINDS, 0.2 / len(KINDS))


@pytest.mark.parametrize("seed", range(3))
async def test_with_a_fifth_of_all_requests_failing_every_connection_ends_right(
    sandbox: SandboxFactory, deployment: DeploymentFactory, seed: int
) -> None:
    cloud = await sandbox(connections=120, types=("OPENAI",), settle=0.2, faults=TROUBLE, seed=seed)
    installed = deployment(cloud.url)
    installed.secret("openai", {"api_key": GOOD})
    installed.rotation["verify"] = {"timeout": "30s", "interval": "200ms"}
    done = await installed.rotator("rotate", "-o", "json")
    assert len(holders(cloud, GOOD)) == 120, done.out + done.err
    assert (done.status, done.json()[0]["rotated"]) == (0, 120), done.out
    assert cloud.state.counters.faults.total() > 20


async def test_each_secret_is_read_once_and_the_ledger_holds_no_value(
    installed: Deployment, cloud: Sandbox, tmp_path: Path
) -> None:
    await installed.rotator("rotate")
    with sqlite3.connect(tmp_path / "ledger.db") as ledger:
        dump = "\n".join(ledger.iterdump())
    assert "openai-001" in dump
    assert GOOD not in dump
    assert GOOD.encode() not in (tmp_path / "ledger.db").read_bytes()


async def test_the_listings(installed: Deployment, cloud: Sandbox) -> None:
    await installed.rotator("rotate")
    listed = (await installed.rotator("connections", "-o", "json")).json()
    assert {row["name"]: row["rotation"] for row in listed}["openai-001"] == "openai"
    assert list(listed[0])[:8] == [
        "creation_date",
        "name",
        "environment",
        "cloud",
        "region",
        "type",
        "endpoint",
        "data",
    ]
    cloud_is_not_asked = requests(cloud, "GET")
    states = (await installed.rotator("status", "-o", "json")).json()
    assert {row["stage"] for row in states} == {"verified"}
    past = (await installed.rotator("history", "--connection", "*-00[12]", "-o", "json")).json()
    assert sorted(row["connection"] for row in past) == ["openai-001", "openai-002"]
    assert requests(cloud, "GET") == cloud_is_not_asked
    for command in ("connections", "status", "history"):
        table = await installed.rotator(command)
        assert "openai-001" in table.out
        assert (await installed.rotator(command, "-o", "json")).status == 0


async def test_without_a_ledger_connections_are_adopted_where_it_says_so(
    installed: Deployment, cloud: Sandbox
) -> None:
    """What another leader put: taken as it is, and the next secret is put all the same."""
    await installed.rotator("rotate")
    (installed.folder / "ledger.db").unlink()
    cloud.state.counters.clear()
    installed.document["ledger"]["on_unknown"] = "adopt"
    planned = await installed.rotator("plan", "-o", "json")
    assert {row["verdict"] for row in planned.json()} == {"adopted"}
    adopted = await installed.rotator("rotate", "-o", "json")
    assert adopted.json()[0]["unchanged"] == 5
    assert updates(cloud) == 0
    told = (await installed.rotator("history", "-o", "json")).json()
    assert [row["result"] for row in told] == ["unchanged"] * 5
    assert "on_unknown: adopt" in told[0]["reason"]

    installed.secret("openai", {"api_key": NEXT})
    changed = await installed.rotator("rotate", "-o", "json")
    assert changed.json()[0]["rotated"] == 5
    assert len(holders(cloud, NEXT)) == 5


async def test_or_get_the_credential_once_more(installed: Deployment, cloud: Sandbox) -> None:
    await installed.rotator("rotate")
    (installed.folder / "ledger.db").unlink()
    again = await installed.rotator("rotate", "-o", "json")
    assert again.json()[0]["rotated"] == 5
    assert updates(cloud) == 10
