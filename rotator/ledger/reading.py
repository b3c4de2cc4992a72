"""Reads the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rotator.ledger import rows
from rotator.ledger.schema import (
    APPLICATION_ID,
    acted_on,
    connections,
    leases,
    outcomes,
    runs,
    sources,
)
from rotator.ledger.writer import Writer
from rotator.model.lease import HeldLease
from rotator.model.record import Record
from rotator.model.run import ActedOn, Outcome, Result, Run, RunResult
from rotator.model.source import SourceState
from rotator.ports import ConnectionKey

_TOLD = sa.or_(outcomes.c.result != Result.UNCHANGED, outcomes.c.reason != "")
"""What a history shows: changes, and reasons for none. Plain UNCHANGED outcomes are only kept for
the last run, so showing them would suggest that earlier runs did not look."""


class SqlReader:
    """Implements the core's LedgerReader, and the reading part of its RunLedger.

    Every method raises LedgerError.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    # The present state

    async def records(self, target: str) -> Mapping[str, Record]:
        statement = connections.select().where(connections.c.target == target)
        found = await self._all(statement)
        return {row["connection"]: rows.record(row) for row in found}

    async def records_of(self, rotation: str) -> tuple[Record, ...]:
        statement = connections.select().where(connections.c.rotation == rotation)
        return tuple(rows.record(row) for row in await self._all(statement))

    async def all_records(self) -> tuple[Record, ...]:
        statement = connections.select().order_by(connections.c.target, connections.c.connection)
        return tuple(rows.record(row) for row in await self._all(statement))

    async def acted_on(self, rotation: str) -> Mapping[ConnectionKey, ActedOn]:
        statement = acted_on.select().where(acted_on.c.rotation == rotation)
        found = await self._all(statement)
        return {
            (row["target"], row["connection"]): ActedOn(rows.ref_value(row["ref"]), row["version"])
            for row in found
        }

    async def leases(self, rotation: str | None = None) -> tuple[HeldLease, ...]:
        statement = leases.select().order_by(leases.c.made_at, leases.c.id)
        if rotation is not None:
            statement = statement.where(leases.c.rotation == rotation)
        return tuple(rows.lease(row) for row in await self._all(statement))

    async def source_states(self) -> tuple[SourceState, ...]:
        found = await self._all(sources.select().order_by(sources.c.source))
        return tuple(rows.source_state(row) for row in found)

    # Runs

    async def run(self, run_id: str) -> tuple[Run, tuple[Outcome, ...]] | None:
        run_id = rows.storable(run_id)
        found = await self._all(runs.select().where(runs.c.id == run_id))
        if not found:
            return None
        statement = outcomes.select().where(outcomes.c.run_id == run_id).order_by(outcomes.c.number)
        return rows.run(found[0]), tuple(rows.outcome(row) for row in await self._all(statement))

    async def runs(self, rotation: str | None = None, *, limit: int = 100) -> tuple[Run, ...]:
        statement = runs.select().order_by(runs.c.started_at.desc(), runs.c.id.desc()).limit(limit)
        if rotation is not None:
            statement = statement.where(runs.c.rotation == rotation)
        return tuple(rows.run(row) for row in await self._all(statement))

    async def last_run(self, rotation: str) -> Run | None:
        return next(iter(await self.runs(rotation, limit=1)), None)

    async def last_success(self, rotation: str) -> Run | None:
        statement = (
            runs.select()
            .where(runs.c.rotation == rotation, runs.c.result == RunResult.SUCCEEDED)
            .order_by(runs.c.started_at.desc(), runs.c.id.desc())
            .limit(1)
        )
        return next((rows.run(row) for row in await self._all(statement)), None)

    # Outcomes

    async def latest_outcomes(self) -> tuple[Outcome, ...]:
        newest = sa.select(sa.func.max(outcomes.c.number)).group_by(
            outcomes.c.connection, outcomes.c.target
        )
        statement = (
            outcomes.select()
            .where(outcomes.c.number.in_(newest))
            .order_by(outcomes.c.target, outcomes.c.connection)
        )
        return tuple(rows.outcome(row) for row in await self._all(statement))

    async def outcomes(
        self,
        connection: str | None = None,
        *,
        since: datetime | None = None,
        limit: int = 10_000,
    ) -> tuple[Outcome, ...]:
        statement = outcomes.select().where(_TOLD).order_by(outcomes.c.number.desc()).limit(limit)
        if connection is not None:
            statement = statement.where(outcomes.c.connection.op("GLOB")(_glob(connection)))
        if since is not None:
            statement = statement.where(outcomes.c.at >= rows.stamp(since))
        return tuple(rows.outcome(row) for row in await self._all(statement))

    async def outcomes_of(self, target: str, name: str, *, limit: int) -> tuple[Outcome, ...]:
        statement = (
            outcomes.select()
            .where(
                _TOLD,
                outcomes.c.target == rows.storable(target),
                outcomes.c.connection == rows.storable(name),
            )
            .order_by(outcomes.c.number.desc())
            .limit(limit)
        )
        return tuple(rows.outcome(row) for row in await self._all(statement))

    # Health

    async def check(self) -> None:
        def work(db: sa.Connection) -> None:
            # This sets what is set already, and still writes a page to disk. An UPDATE that matches
            # no row would write none, and so would not notice a full disk.
            db.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")

        await self._writer.do(work)

    async def _all(self, statement: sa.Select[Any]) -> list[dict[str, Any]]:
        return await self._writer.do(
            lambda db: [{**found} for found in db.execute(statement).mappings()]
        )


def _glob(pattern: str) -> str:
    """The pattern as SQLite writes it: `[^a]` instead of `[!a]`. Both are case-sensitive."""
    return str(rows.storable(pattern)).replace("[!", "[^")
