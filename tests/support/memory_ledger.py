"""A ledger in memory, for tests of what uses one. It passes the suite that every ledger passes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TypeVar

from rotator.errors import LedgerError, RunInProgress
from rotator.ledger import rows
from rotator.model.lease import HeldLease
from rotator.model.record import Record
from rotator.model.run import ActedOn, Outcome, Result, Run, RunResult, Settlement
from rotator.model.source import SourceState
from rotator.ports import ConnectionKey
from tests.support.ledger_values import RUN

V = TypeVar("V", Record, Outcome, Run, HeldLease, SourceState)


@dataclass(slots=True)
class Contents:
    """What all handles on one ledger share."""

    locks: set[str] = field(default_factory=set)
    runs: dict[str, Run] = field(default_factory=dict)
    records: dict[ConnectionKey, Record] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    acted_on: dict[str, dict[ConnectionKey, ActedOn]] = field(default_factory=dict)
    leases: dict[str, HeldLease] = field(default_factory=dict)
    sources: dict[str, SourceState] = field(default_factory=dict)


@dataclass(slots=True)
class MemoryLedger:
    """Fits RunLedger and LedgerReader."""

    now: Callable[[], datetime]
    contents: Contents = field(default_factory=Contents)
    writes_left: int | None = None
    """How much still fits on the disk. None: it never fills up."""
    closed: bool = False

    # Runs

    @asynccontextmanager
    async def lock(self, rotation: str) -> AsyncIterator[None]:
        self._open()
        if rotation in self.contents.locks:
            last = await self.last_run(rotation)
            raise RunInProgress(rotation, last.id if last and last.finished_at is None else None)
        self.contents.locks.add(rotation)
        try:
            for run in tuple(self.contents.runs.values()):
                if run.rotation == rotation and run.finished_at is None:
                    self.contents.runs[run.id] = replace(
                        run,
                        finished_at=self.now(),
                        result=RunResult.INTERRUPTED,
                        reason="the process ended before the run did",
                    )
            yield
        finally:
            self.contents.locks.discard(rotation)

    async def begin(self, run: Run) -> None:
        made = _kept(run)
        if made.id in self.contents.runs:
            raise LedgerError("there is a run of this id already")
        self._write()
        self.contents.outcomes = [
            each
            for each in self.contents.outcomes
            if each.rotation != run.rotation or each.result is not Result.UNCHANGED
        ]
        self.contents.runs[made.id] = made

    async def finish(self, run: Run) -> None:
        self._write()
        if run.id in self.contents.runs:
            self.contents.runs[run.id] = _kept(run)

    async def run(self, run_id: str) -> tuple[Run, tuple[Outcome, ...]] | None:
        self._open()
        run_id = rows.storable(run_id)
        found = self.contents.runs.get(run_id)
        if found is None:
            return None
        return found, tuple(each for each in self.contents.outcomes if each.run_id == run_id)

    async def runs(self, rotation: str | None = None, *, limit: int = 100) -> tuple[Run, ...]:
        self._open()
        found = [r for r in self.contents.runs.values() if rotation in {None, r.rotation}]
        found.sort(key=lambda run: (run.started_at, run.id), reverse=True)
        return tuple(found[:limit])

    async def last_run(self, rotation: str) -> Run | None:
        return next(iter(await self.runs(rotation)), None)

    async def last_success(self, rotation: str) -> Run | None:
        found = await self.runs(rotation)
        return next((run for run in found if run.result is RunResult.SUCCEEDED), None)

    # Connections

    async def records(self, target: str) -> Mapping[str, Record]:
        return {each.connection: each for each in await self.all_records() if each.target == target}

    async def records_of(self, rotation: str) -> tuple[Record, ...]:
        return tuple(each for each in await self.all_records() if each.rotation == rotation)

    async def all_records(self) -> tuple[Record, ...]:
        self._open()
        return tuple(record for _, record in sorted(self.contents.records.items()))

    async def write(self, record: Record) -> None:
        made = _kept(record)
        self._write()
        self.contents.records[made.target, made.connection] = made

    async def settle(self, settlements: Collection[Settlement]) -> None:
        records = [_kept(each.record) for each in settlements if each.record is not None]
        outcomes = [_kept(each.outcome) for each in settlements]
        self._write()
        self.contents.records |= {(each.target, each.connection): each for each in records}
        self.contents.outcomes += outcomes

    async def acted_on(self, rotation: str) -> Mapping[ConnectionKey, ActedOn]:
        self._open()
        return dict(self.contents.acted_on.get(rotation, {}))

    async def remember(self, rotation: str, acted_on: Mapping[ConnectionKey, ActedOn]) -> None:
        self._write()
        known = self.contents.acted_on.setdefault(rotation, {})
        known |= {key: replace(a, version=rows.storable(a.version)) for key, a in acted_on.items()}

    # Outcomes

    async def latest_outcomes(self) -> tuple[Outcome, ...]:
        self._open()
        latest = {(each.target, each.connection): each for each in self.contents.outcomes}
        return tuple(outcome for _, outcome in sorted(latest.items()))

    async def outcomes(
        self, connection: str | None = None, *, since: datetime | None = None, limit: int = 10_000
    ) -> tuple[Outcome, ...]:
        glob = "*" if connection is None else rows.storable(connection)
        found = [
            each
            for each in self._told()
            if fnmatchcase(each.connection, glob) and (since is None or each.at >= since)
        ]
        return tuple(found[:limit])

    async def outcomes_of(self, target: str, name: str, *, limit: int) -> tuple[Outcome, ...]:
        place = (rows.storable(target), rows.storable(name))
        found = [each for each in self._told() if (each.target, each.connection) == place]
        return tuple(found[:limit])

    def _told(self) -> Iterable[Outcome]:
        self._open()
        told = [o for o in self.contents.outcomes if o.result is not Result.UNCHANGED or o.reason]
        return reversed(told)

    # Leases and sources

    async def leases(self, rotation: str | None = None) -> tuple[HeldLease, ...]:
        self._open()
        found = [x for x in self.contents.leases.values() if rotation in {None, x.rotation}]
        return tuple(sorted(found, key=lambda lease: (lease.made_at, lease.id)))

    async def keep_lease(self, lease: HeldLease, instead_of: str | None = None) -> None:
        made = _kept(lease)
        self._write()
        self.contents.leases.pop(rows.storable(instead_of), None)
        self.contents.leases[made.id] = made

    async def drop_lease(self, lease_id: str) -> None:
        self._write()
        self.contents.leases.pop(rows.storable(lease_id), None)

    async def keep_source(self, state: SourceState) -> None:
        self._write()
        self.contents.sources[state.source] = _kept(state)

    async def source_states(self) -> tuple[SourceState, ...]:
        self._open()
        return tuple(state for _, state in sorted(self.contents.sources.items()))

    async def check(self) -> None:
        self._open()
        if self.writes_left == 0:
            raise LedgerError("the disk is full")

    async def aclose(self) -> None:
        self.closed = True

    # What every call does

    def _open(self) -> None:
        if self.closed:
            raise LedgerError("the ledger is closed")

    def _write(self) -> None:
        self._open()
        if self.writes_left is not None:
            if self.writes_left == 0:
                raise LedgerError("the disk is full")
            self.writes_left -= 1


class MemoryStore:
    """The place of one such ledger. A process that uses it is a handle on it."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._contents = Contents()

    async def open(self) -> MemoryLedger:
        return MemoryLedger(self._now, self._contents)

    async def run_elsewhere(self) -> Callable[[], Awaitable[None]]:
        other = await self.open()
        held = other.lock("openai")
        await held.__aenter__()
        await other.begin(replace(RUN, id="run-dead"))

        async def kill() -> None:
            self._contents.locks.discard("openai")

        return kill

    async def aclose(self) -> None:
        """Has nothing to close: its contents go with it."""


_READ: Mapping[type, Callable[[Mapping[str, object]], object]] = {
    Record: rows.record,
    Outcome: rows.outcome,
    Run: rows.run,
    HeldLease: rows.lease,
    SourceState: rows.source_state,
}


def _kept(value: V) -> V:
    """As it would be read again. Raises LedgerError where a text is missing that must be there."""
    if any(each.type == "str" and getattr(value, each.name) is None for each in fields(value)):
        raise LedgerError("a value is missing")
    found = _READ[type(value)](rows.row(value))
    assert isinstance(found, type(value))
    return found
