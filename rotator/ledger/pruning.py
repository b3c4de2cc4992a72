"""Deletes what the ledger need not keep. It runs when a run begins."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from rotator.ledger import rows
from rotator.ledger.schema import outcomes, runs
from rotator.model.run import Result, Run

KEPT = timedelta(days=400)
"""How long outcomes and runs are kept: for a yearly rotation too, the last run is among them."""
KEPT_OUTCOMES = 1_000_000
"""How many outcomes are kept, about 300 MB. With credentials that live for minutes, a year of them
would fill a disk."""

# Written out, not bound: SQLite uses a partial index only where it sees the value.
_UNCHANGED = sa.text(f"result = '{Result.UNCHANGED}'")


def prune(db: sa.Connection, run: Run, now: datetime, *, keep: int = KEPT_OUTCOMES) -> None:
    """Delete what is too old, what is too much, and the UNCHANGED outcomes of earlier runs of the
    rotation."""
    oldest = rows.stamp(now - KEPT)
    db.execute(runs.delete().where(runs.c.started_at < oldest))
    db.execute(outcomes.delete().where(outcomes.c.at < oldest))
    db.execute(outcomes.delete().where(outcomes.c.rotation == run.rotation, _UNCHANGED))
    excess = _counted(db, keep) - keep
    if excess > 0:
        first = sa.select(outcomes.c.number).order_by(outcomes.c.number).limit(excess)
        db.execute(outcomes.delete().where(outcomes.c.number.in_(first)))


def _counted(db: sa.Connection, enough: int) -> int:
    """The number of outcomes, or a number up to `enough` where there can't be more than that."""
    number = outcomes.c.number
    first, last = (
        db.execute(sa.select(number).order_by(order).limit(1)).scalar()
        for order in (number.asc(), number.desc())
    )
    if first is None or last is None:
        return 0
    # Numbers have gaps, so there are at most this many. To count a million takes a while.
    at_most: int = last - first + 1
    if at_most <= enough:
        return at_most
    return db.execute(sa.select(sa.func.count()).select_from(outcomes)).scalar_one()
