"""`rotator status` and `rotator history`, from a ledger as a halted run leaves it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.ledger import SqlLedger
from rotator.model.record import Stage
from rotator.model.run import Result
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.ledger_values import NOW, OUTCOME, RECORD, VERIFIED, now, settled

__all__ = ["deployment"]

HALTED = "halted after failures elsewhere"


@pytest.fixture
async def halted(deployment: DeploymentFactory) -> Deployment:
    """A bad key on the canary, one connection as it was, one untouched, and one that is gone."""
    made = deployment("http://127.0.0.1:1")
    ledger = await SqlLedger.open(made.folder / "ledger.db", now)
    why = "INVALID_AUTH: 401"
    bad = replace(RECORD, connection="bad", stage=Stage.FAILED, put_at=NOW, error=why)
    gone = replace(VERIFIED, connection="gone", gone_at=NOW + timedelta(days=1))
    await ledger.settle(
        [
            settled("bad", bad, result=Result.FAILED, reason=why),
            settled(
                "same", replace(VERIFIED, connection="same"), result=Result.UNCHANGED, reason=""
            ),
            settled("gone", gone),
            settled("never", result=Result.SKIPPED, reason=HALTED, phase="READY"),
            settled("never", target="dev", result=Result.SKIPPED, reason="an older reason"),
            settled("never", target="dev", result=Result.FAILED, reason="no field api_key"),
            settled("same", result=Result.SKIPPED, reason=HALTED),
        ]
    )
    await ledger.aclose()
    return made


async def test_status_lists_every_connection_that_a_run_planned_for(halted: Deployment) -> None:
    done = await halted.rotator("status", "-o", "json")
    assert done.status == 0, done.err
    rows = {(row["target"], row["connection"]): row for row in done.json()}
    assert list(rows) == [
        ("dev", "never"),
        ("prod", "bad"),
        ("prod", "gone"),
        ("prod", "never"),
        ("prod", "same"),
    ]
    stages = {name: row["stage"] for (target, name), row in rows.items() if target == "prod"}
    assert stages == {
        "bad": "failed",
        "gone": "gone",
        "never": "untouched",
        "same": "verified",
    }
    bad, never = rows["prod", "bad"], rows["prod", "never"]
    assert bad["put_at"] == NOW.isoformat()
    assert (bad["rotated_at"], bad["verified_at"]) == (None, None)
    assert (never["error"], never["phase"], never["run"]) == (HALTED, "READY", OUTCOME.run_id)
    assert {never[key] for key in ("put_at", "rotated_at", "verified_at", "fingerprint")} == {None}
    assert rows["dev", "never"]["error"] == "no field api_key", "the newest outcome"
    assert {tuple(row) for row in rows.values()} == {tuple(bad)}, "every row has the same keys"


async def test_the_table_says_when_what_is_there_was_put(halted: Deployment) -> None:
    table = (await halted.rotator("status")).out
    lines = {line.split()[1]: line for line in table.splitlines() if line.startswith("prod")}
    assert HALTED in lines["never"]
    assert "Put At" in table
    assert NOW.astimezone().strftime("%Y-%m-%d %H:%M:%S") in lines["bad"]
    assert lines["never"].split()[3:7] == ["untouched", "READY", "-", "-"]


async def test_history_shows_skipped_connections_and_not_unchanged_ones(
    halted: Deployment,
) -> None:
    rows = (await halted.rotator("history", "-o", "json")).json()
    assert [(row["connection"], row["result"]) for row in rows][:2] == [
        ("same", "skipped"),
        ("never", "failed"),
    ]
    assert "unchanged" not in {row["result"] for row in rows}
