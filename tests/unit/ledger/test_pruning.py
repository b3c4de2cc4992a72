"""What a ledger forgets when a run begins."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from rotator.ledger import SqlLedger
from rotator.ledger.engine import Database
from rotator.ledger.pruning import KEPT, KEPT_OUTCOMES, prune
from tests.support.ledger_values import NOW, RECORD, RUN, now, settled


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SqlLedger]:
    opened = await SqlLedger.open(path, now)
    yield opened
    await opened.aclose()


async def names(ledger: SqlLedger) -> list[str]:
    return [outcome.connection for outcome in await ledger.outcomes()]


async def test_what_is_too_old_goes_but_the_state_stays(ledger: SqlLedger) -> None:
    old = NOW - KEPT - timedelta(days=1)
    await ledger.begin(replace(RUN, id="old", started_at=old))
    await ledger.settle([settled("old", record=replace(RECORD, at=old), at=old)])
    await ledger.settle([settled("young", at=NOW - KEPT)])
    await ledger.begin(RUN)
    assert await names(ledger) == ["young"]
    assert await ledger.run("old") is None
    assert set(await ledger.records("prod")) == {"a"}


async def test_a_gap_in_the_numbers_costs_no_history(ledger: SqlLedger, path: Path) -> None:
    """Numbers of outcomes that were deleted count for nothing."""
    await ledger.settle([settled("first"), settled("second")])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE outcomes SET number = ? WHERE number = 2", [2 + KEPT_OUTCOMES])
    await ledger.begin(RUN)
    assert await names(ledger) == ["second", "first"]


@pytest.mark.parametrize("gap", [0, 100])
async def test_the_oldest_outcomes_go_where_there_are_too_many(
    ledger: SqlLedger, path: Path, gap: int
) -> None:
    await ledger.settle([settled(f"c-{number}") for number in range(7)])
    database = Database(path)
    with database.transaction() as db:
        db.execute(
            sa.text("UPDATE outcomes SET number = number + :gap WHERE number > 2"), {"gap": gap}
        )
        prune(db, RUN, NOW, keep=4)
    assert await names(ledger) == ["c-6", "c-5", "c-4", "c-3"]
    with database.transaction() as db:
        prune(db, RUN, NOW, keep=4)
    assert len(await names(ledger)) == 4
    with database.transaction() as db:
        prune(db, RUN, NOW, keep=3)
    database.close()
    assert await names(ledger) == ["c-6", "c-5", "c-4"]


async def test_an_index_finds_what_was_left_unchanged(ledger: SqlLedger, path: Path) -> None:
    """Else every run of a large ledger would begin by reading all of it."""
    with closing(sqlite3.connect(path)) as db:
        plan = db.execute(
            "EXPLAIN QUERY PLAN DELETE FROM outcomes WHERE rotation = ? AND result = 'unchanged'",
            ["openai"],
        ).fetchall()
    assert "outcomes_unchanged" in plan[0][3]
