"""The ledger as the core and the listings use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from rotator.errors import RunInProgress
from rotator.ledger import rows
from rotator.ledger.engine import Database
from rotator.ledger.lock import exclusive, rotation_lock
from rotator.ledger.schema import (
    APPLICATION_ID,
    connections,
    leases,
    outcomes,
    runs,
    secrets_seen,
    sources,
)
from rotator.ledger.writer import Writer
from rotator.model.lease import HeldLease
from rotator.model.record import Record
from rotator.model.run import Outcome, Run, RunResult
from rotator.model.secret import SecretRef
from rotator.model.source import SourceState

KEPT = timedelta(days=400)
"""Of outcomes and runs: more than a year, so that a yearly rotation has a past."""
KEPT_OUTCOMES = 1_000_000
"""At most, about 300 MB: credentials that live for minutes would fill a disk within the year."""


# Built once: to build and to look up a statement costs more than to run it.
_INSERT = insert(connections)
_UPSERT = _INSERT.on_conflict_do_update(
    index_elements=["target", "connection"],
    set_={column.name: _INSERT.excluded[column.name] for column in connections.columns},
)
_OUTCOME = outcomes.insert()
_INSERT_LEASE = insert(leases)
_UPSERT_LEASE = _INSERT_LEASE.on_conflict_do_update(
    index_elements=["id"],
    set_={column.name: _INSERT_LEASE.excluded[column.name] for column in leases.columns},
)


class SqlLedger:
    """Fits the core's Ledger. Every method raises LedgerError, and returns once it is durable."""

    def __init__(self, writer: Writer, path: Path, now: Callable[[], datetime]) -> None:
        self._writer = writer
        self._path = path
        self._now = now

    @classmethod
    async def open(cls, path: Path, now: Callable[[], datetime]) -> SqlLedger:
        """Makes the file with mode 0600 where it is absent; its folder must be there."""
        return cls(Writer(await asyncio.to_thread(Database, path)), path, now)

    async def aclose(self) -> None:
        await self._writer.aclose()

    # One run at a time

    @asynccontextmanager
    async def lock(self, rotation: str) -> AsyncIterator[None]:
        """Raises RunInProgress at once where another run of the rotation holds it.

        Runs that a dead process left open are closed as INTERRUPTED: whoever holds the lock knows
        that nobody works on them.
        """
        with exclusive(rotation_lock(self._path, rotation)) as held:
            if not held:
                last = await self.last_run(rotation)
                under_way = last.id if last and last.finished_at is None else None
                raise RunInProgress(rotation, under_way)
            await self._close_abandoned(rotation)
            yield

    async def _close_abandoned(self, rotation: str) -> None:
        statement = (
            runs.update()
            .where(runs.c.rotation == rotation, runs.c.finished_at.is_(None))
            .values(
                finished_at=rows.stamp(self._now()),
                result=RunResult.INTERRUPTED,
                reason="the process ended before the run did",
            )
        )
        await self._execute(statement)

    # What a run writes

    async def begin(self, run: Run) -> None:
        oldest = rows.stamp(self._now() - KEPT)

        def work(db: sa.Connection) -> None:
            db.execute(outcomes.delete().where(outcomes.c.at < oldest))
            newest = sa.select(sa.func.max(outcomes.c.number)).scalar_subquery()
            db.execute(outcomes.delete().where(outcomes.c.number <= newest - KEPT_OUTCOMES))
            db.execute(runs.delete().where(runs.c.started_at < oldest))
            db.execute(runs.insert().values(rows.row(run)))

        await self._writer.do(work)

    async def finish(self, run: Run) -> None:
        values = rows.row(run)
        statement = runs.update().where(runs.c.id == run.id).values(values)
        await self._execute(statement)

    async def intend(self, record: Record) -> None:
        await self._writer.do(lambda db: _upsert(db, record))

    async def put(self, record: Record) -> None:
        await self._writer.do(lambda db: _upsert(db, record))

    async def settle(self, record: Record | None, outcome: Outcome) -> None:
        def work(db: sa.Connection) -> None:
            if record is not None:
                _upsert(db, record)
            db.execute(_OUTCOME, rows.row(outcome))

        await self._writer.do(work)

    async def seen(self, rotation: str, versions: Mapping[SecretRef, str]) -> None:
        def work(db: sa.Connection) -> None:
            for ref, version in versions.items():
                statement = insert(secrets_seen).values(
                    rotation=rotation, ref=rows.ref_text(ref), version=rows.storable(version)
                )
                db.execute(
                    statement.on_conflict_do_update(
                        index_elements=["rotation", "ref"],
                        set_={"version": statement.excluded.version},
                    )
                )

        await self._writer.do(work)

    async def keep_lease(self, lease: HeldLease, instead_of: str | None = None) -> None:
        def work(db: sa.Connection) -> None:
            if instead_of is not None:
                db.execute(leases.delete().where(leases.c.id == instead_of))
            db.execute(_UPSERT_LEASE, rows.row(lease))

        await self._writer.do(work)

    async def drop_lease(self, lease_id: str) -> None:
        await self._execute(leases.delete().where(leases.c.id == lease_id))

    async def keep_source(self, state: SourceState) -> None:
        statement = insert(sources).values(rows.row(state))
        changed = {
            column.name: statement.excluded[column.name]
            for column in sources.columns
            if column.name != "source"
        }

        def work(db: sa.Connection) -> None:
            db.execute(statement.on_conflict_do_update(index_elements=["source"], set_=changed))

        await self._writer.do(work)

    # What is asked of it

    async def source_states(self) -> tuple[SourceState, ...]:
        found = await self._all(sources.select().order_by(sources.c.source))
        return tuple(rows.source_state(row) for row in found)

    async def leases(self, rotation: str | None = None) -> tuple[HeldLease, ...]:
        statement = leases.select().order_by(leases.c.made_at, leases.c.id)
        if rotation is not None:
            statement = statement.where(leases.c.rotation == rotation)
        return tuple(rows.lease(row) for row in await self._all(statement))

    async def records_of(self, rotation: str) -> tuple[Record, ...]:
        statement = connections.select().where(connections.c.rotation == rotation)
        return tuple(rows.record(row) for row in await self._all(statement))

    async def records(self, target: str) -> Mapping[str, Record]:
        statement = connections.select().where(connections.c.target == target)
        found = await self._all(statement)
        return {row["connection"]: rows.record(row) for row in found}

    async def all_records(self) -> tuple[Record, ...]:
        statement = connections.select().order_by(connections.c.target, connections.c.connection)
        return tuple(rows.record(row) for row in await self._all(statement))

    async def run(self, run_id: str) -> tuple[Run, tuple[Outcome, ...]] | None:
        found = await self._all(runs.select().where(runs.c.id == run_id))
        if not found:
            return None
        statement = outcomes.select().where(outcomes.c.run_id == run_id).order_by(outcomes.c.number)
        return rows.run(found[0]), tuple(rows.outcome(row) for row in await self._all(statement))

    async def runs(self, rotation: str | None = None, *, limit: int = 100) -> tuple[Run, ...]:
        """The newest first."""
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
            .order_by(runs.c.started_at.desc())
            .limit(1)
        )
        return next((rows.run(row) for row in await self._all(statement)), None)

    async def outcomes(
        self,
        connection: str | None = None,
        *,
        since: datetime | None = None,
        limit: int = 10_000,
    ) -> tuple[Outcome, ...]:
        """The newest first; `connection` is a glob (of SQLite, which is case-sensitive too)."""
        statement = outcomes.select().order_by(outcomes.c.number.desc()).limit(limit)
        if connection is not None:
            statement = statement.where(outcomes.c.connection.op("GLOB")(connection))
        if since is not None:
            statement = statement.where(outcomes.c.at >= rows.stamp(since))
        return tuple(rows.outcome(row) for row in await self._all(statement))

    async def outcomes_of(self, target: str, name: str, *, limit: int) -> tuple[Outcome, ...]:
        """Of one connection, the newest first."""
        statement = (
            outcomes.select()
            .where(outcomes.c.target == target, outcomes.c.connection == name)
            .order_by(outcomes.c.number.desc())
            .limit(limit)
        )
        return tuple(rows.outcome(row) for row in await self._all(statement))

    async def seen_versions(self, rotation: str) -> Mapping[SecretRef, str]:
        statement = secrets_seen.select().where(secrets_seen.c.rotation == rotation)
        return {rows.ref_value(row["ref"]): row["version"] for row in await self._all(statement)}

    async def check(self) -> None:
        """Raises LedgerError where nothing can be written. Doesn't make the ledger grow."""

        def work(db: sa.Connection) -> None:
            # What is there already, but a page goes to disk: an UPDATE of no row would write none,
            # and find no disk full.
            db.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")

        await self._writer.do(work)

    async def _execute(self, statement: sa.Update | sa.Delete) -> None:
        def work(db: sa.Connection) -> None:
            db.execute(statement)

        await self._writer.do(work)

    async def _all(self, statement: sa.Select[Any]) -> list[dict[str, Any]]:
        return await self._writer.do(
            lambda db: [{**found} for found in db.execute(statement).mappings()]
        )


def _upsert(db: sa.Connection, record: Record) -> None:
    db.execute(_UPSERT, rows.row(record))
