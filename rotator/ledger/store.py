"""The ledger in SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from rotator.errors import RunInProgress
from rotator.ledger import rows
from rotator.ledger.engine import Database
from rotator.ledger.lock import exclusive, rotation_lock
from rotator.ledger.pruning import prune
from rotator.ledger.reading import SqlReader
from rotator.ledger.schema import acted_on, connections, leases, outcomes, runs, sources
from rotator.ledger.writer import Writer
from rotator.model.lease import HeldLease
from rotator.model.record import Record
from rotator.model.run import ActedOn, Run, RunResult, Settlement
from rotator.model.source import SourceState
from rotator.ports import ConnectionKey


def _upsert(table: sa.Table) -> Any:
    """A statement that writes whole rows and replaces those with the same key."""
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        # Without the key: then SQLite writes no page for a row that stays as it is.
        set_={
            column.name: statement.excluded[column.name]
            for column in table.columns
            if not column.primary_key
        },
    )


# Built once: building and looking up a statement costs more than running it.
_WRITE_RECORD = _upsert(connections)
_WRITE_LEASE = _upsert(leases)
_WRITE_SOURCE = _upsert(sources)
_ADD_OUTCOME = outcomes.insert()
_WRITE_ACTED_ON = _upsert(acted_on)


class SqlLedger(SqlReader):
    """Implements the core's RunLedger and LedgerReader.

    Every method raises LedgerError, and returns once what it wrote is durable.
    """

    def __init__(self, writer: Writer, path: Path, now: Callable[[], datetime]) -> None:
        super().__init__(writer)
        self._path = path
        self._now = now

    @classmethod
    async def open(cls, path: Path, now: Callable[[], datetime]) -> SqlLedger:
        """Opens the file, and creates it with mode 0600 if it is absent. Its folder must exist."""
        return cls(Writer(await asyncio.to_thread(Database, path)), path, now)

    async def aclose(self) -> None:
        await self._writer.aclose()

    # Runs

    @asynccontextmanager
    async def lock(self, rotation: str) -> AsyncIterator[None]:
        """Raises RunInProgress at once if another run of the rotation holds it.

        Closes runs that a dead process left open as INTERRUPTED: no process that works on them can
        be alive while this one holds the lock.
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

    async def begin(self, run: Run) -> None:
        def work(db: sa.Connection) -> None:
            prune(db, run, self._now())
            db.execute(runs.insert().values(rows.row(run)))

        await self._writer.do(work)

    async def finish(self, run: Run) -> None:
        await self._execute(runs.update().where(runs.c.id == run.id).values(rows.row(run)))

    # Connections

    async def write(self, record: Record) -> None:
        await self._writer.do(lambda db: _write(db, _WRITE_RECORD, [rows.row(record)]))

    async def settle(self, settlements: Collection[Settlement]) -> None:
        given = tuple(settlements)

        def work(db: sa.Connection) -> None:
            _write(db, _WRITE_RECORD, [rows.row(one.record) for one in given if one.record])
            _write(db, _ADD_OUTCOME, [rows.row(one.outcome) for one in given])

        await self._writer.do(work)

    async def remember(self, rotation: str, acted_on: Mapping[ConnectionKey, ActedOn]) -> None:
        given = dict(acted_on)

        def work(db: sa.Connection) -> None:
            changed = [
                {
                    "rotation": rotation,
                    "target": rows.storable(target),
                    "connection": rows.storable(name),
                    "ref": rows.ref_text(known.ref),
                    "version": rows.storable(known.version),
                }
                for (target, name), known in given.items()
            ]
            _write(db, _WRITE_ACTED_ON, changed)

        await self._writer.do(work)

    # Leases and sources

    async def keep_lease(self, lease: HeldLease, instead_of: str | None = None) -> None:
        def work(db: sa.Connection) -> None:
            if instead_of is not None:
                db.execute(leases.delete().where(leases.c.id == rows.storable(instead_of)))
            _write(db, _WRITE_LEASE, [rows.row(lease)])

        await self._writer.do(work)

    async def drop_lease(self, lease_id: str) -> None:
        await self._execute(leases.delete().where(leases.c.id == rows.storable(lease_id)))

    async def keep_source(self, state: SourceState) -> None:
        await self._writer.do(lambda db: _write(db, _WRITE_SOURCE, [rows.row(state)]))

    async def _execute(self, statement: sa.Update | sa.Delete) -> None:
        def work(db: sa.Connection) -> None:
            db.execute(statement)

        await self._writer.do(work)


def _write(db: sa.Connection, statement: Any, values: list[dict[str, Any]]) -> None:
    """Writes all rows with one statement. For no rows, SQLAlchemy would write an empty one."""
    if values:
        db.execute(statement, values)
