"""Carrying out a plan: intent, update, look, verify, record — stage by stage.

Every step is safe to die in. Before a request leaves, its intent is in the ledger; after its
answer, that it was put; after READY, that it was verified. What the next run makes of each is
decided in `plan`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from rotator.config.models import RotationConfig
from rotator.errors import (
    TargetError,
    TargetRefused,
    TargetUnavailable,
    UpdateConflict,
    UpdateUncertain,
)
from rotator.model import (
    Change,
    Connection,
    Credential,
    Outcome,
    Record,
    Result,
    Settled,
    Stage,
    Updated,
)
from rotator.rotation.plan import before_of
from rotator.rotation.rollout import halted, stages
from rotator.rotation.survey import World
from rotator.rotation.verify import State, judge, pauses

LOOKS_AFTER_A_LOST_ANSWER = 7
"""Reads may lag behind writes, so one look that shows the old version proves little."""
FIRST_LOOK_AFTER = 0.1
"""Seconds; doubles with every further look."""


@dataclass(slots=True)
class _Awaited:
    """An update that was put, until READY is seen for it."""

    change: Change
    before: Connection
    record: Record
    put_at: datetime
    since: float
    misses: int = 0


@dataclass(slots=True)
class Execution:
    """One plan on its way. `stop` is set from outside: nothing new starts after it."""

    world: World
    run_id: str
    rotation: str
    rule: RotationConfig
    stop: asyncio.Event
    failures: int = 0
    settled: set[tuple[str, str]] = field(default_factory=set)
    _awaited: dict[tuple[str, str], _Awaited] = field(default_factory=dict)
    _gates: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _sent: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once all updates of the stage were answered."""

    async def roll_out(self, changes: Iterable[Change]) -> None:
        """Stage by stage, each verified before the next. Raises LedgerError, and nothing else.

        Rollback has its place here: after a stage that ended in `self.halted`, before the return.
        """
        for stage in stages(changes, self.rule.rollout):
            if self.halted or self.stop.is_set():
                return
            await self._stage(stage)

    @property
    def halted(self) -> bool:
        return halted(self.failures, self.rule.rollout)

    async def _stage(self, stage: tuple[Change, ...]) -> None:
        now = self.world.clock.monotonic()
        for change in stage:
            if change.verify_only and change.record is not None:
                self._await(change, before_of(change), change.record, change.record.at, now)
        self._sent.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                for target in {change.connection.target for change in stage}:
                    tasks.create_task(self._verify(target))
                async with asyncio.TaskGroup() as updates:
                    for change in stage:
                        if change.update:
                            updates.create_task(self._update(change))
                self._sent.set()
        except BaseExceptionGroup as group:
            raise _first(group) from None

    # Updating

    async def _update(self, change: Change) -> None:
        target = change.connection.target
        gate = self._gates.get(target)
        if gate is None:
            concurrency = self.world.config.targets[target].concurrency
            gate = self._gates[target] = asyncio.Semaphore(concurrency)
        async with gate:
            if self.halted or self.stop.is_set():
                return
            await self._send(change, _credential(change))

    async def _send(self, change: Change, credential: Credential) -> None:
        """Send until the update is surely in place or surely refused.

        An answer that is lost or strange says nothing: the list does. Where the version moved, the
        update arrived; where it did not, it is sent again.
        """
        connection = change.connection
        target = self.world.targets[connection.target]
        record = self._intent(change, credential, connection)
        await self.world.ledger.intend(record)
        error: TargetError | None = None
        pause = FIRST_LOOK_AFTER
        for _ in range(LOOKS_AFTER_A_LOST_ANSWER):
            try:
                version = await target.update(connection, credential)
            except (UpdateUncertain, UpdateConflict) as trouble:
                error = trouble
            except (TargetUnavailable, TargetRefused) as trouble:
                refused = replace(record, stage=Stage.REFUSED)
                return await self._fail(change, refused, str(trouble))
            else:
                return await self._put(change, connection, record, version)
            await _either(self.world.clock.sleep(pause), self.stop)
            if self.stop.is_set():
                return None
            pause *= 2
            try:
                seen = (await target.look([connection.name])).get(connection.name)
            except TargetError as trouble:
                error = trouble
                continue
            if seen is None:
                continue
            if seen.moved_since(connection):
                if isinstance(error, UpdateUncertain):
                    return await self._put(change, connection, record, seen.resource_version)
                connection = seen
                record = replace(record, version_before=seen.resource_version)
                await self.world.ledger.intend(record)
        await self._fail(change, record, f"no answer that can be trusted: {error}")
        return None

    def _intent(self, change: Change, credential: Credential, connection: Connection) -> Record:
        before = change.record
        return Record(
            target=connection.target,
            connection=connection.name,
            rotation=self.rotation,
            stage=Stage.INTENDED,
            fingerprint=credential.fingerprint,
            secret_version=credential.secret_version,
            resource_version=None,
            version_before=connection.resource_version,
            run_id=self.run_id,
            at=self.world.clock.now(),
            uid=connection.uid,
            verified_fingerprint=before.verified_fingerprint if before else None,
            rotated_at=before.rotated_at if before else None,
            verified_at=before.verified_at if before else None,
        )

    async def _put(
        self, change: Change, before: Connection, record: Record, version: str | None
    ) -> None:
        now = self.world.clock.now()
        record = replace(record, stage=Stage.PUT, resource_version=version, at=now)
        await self.world.ledger.put(record)
        self.world.observe(
            Updated(self.run_id, self.rotation, record.target, record.connection),
        )
        self._await(change, before, record, now, self.world.clock.monotonic())

    # Verifying

    def _await(
        self, change: Change, before: Connection, record: Record, put_at: datetime, since: float
    ) -> None:
        key = (change.connection.target, change.connection.name)
        self._awaited[key] = _Awaited(change, before, record, put_at, since)

    async def _verify(self, target: str) -> None:
        """Look at what was put until all of it is settled, one list page for 100 connections."""
        interval = self.rule.verify.interval.total_seconds()
        ramp = list(pauses(interval))
        while True:
            if not self._sent.is_set():
                await _either(self.world.clock.sleep(interval), self._sent)
            elif self.stop.is_set() or not self._names(target):
                return
            else:
                await _either(self.world.clock.sleep(ramp.pop(0) if ramp else interval), self.stop)
            if names := self._names(target):
                await self._look(target, names)

    def _names(self, target: str) -> list[str]:
        return [name for of, name in self._awaited if of == target]

    async def _look(self, target: str, names: list[str]) -> None:
        asked = self.world.clock.monotonic()
        try:
            seen: Mapping[str, Connection] | None = await self.world.targets[target].look(names)
        except TargetError as error:
            seen, trouble = None, str(error)
        for name in names:
            awaited = self._awaited.get((target, name))
            if awaited is None or awaited.since > asked:
                continue
            waited = asked - awaited.since
            if seen is None:
                # What was put stays PUT: the next run looks again, and doesn't put it again.
                if waited >= self.rule.verify.timeout.total_seconds():
                    await self._settle(awaited, Result.FAILED, f"could not be looked at: {trouble}")
                continue
            await self._judge(awaited, seen.get(name), waited)

    async def _judge(self, awaited: _Awaited, now: Connection | None, waited: float) -> None:
        awaited.misses = awaited.misses + 1 if now is None else 0
        judgement = judge(
            awaited.before,
            now,
            misses=awaited.misses,
            waited=waited,
            timeout=self.rule.verify.timeout.total_seconds(),
        )
        reason = _credential(awaited.change).scrub(judgement.reason)
        record = awaited.record
        if now is not None and now.moved_since(awaited.before):
            record = replace(record, resource_version=now.resource_version, phase=now.phase)
        at = self.world.clock.now()
        match judgement.state:
            case State.VERIFIED:
                awaited.record = replace(
                    record,
                    stage=Stage.VERIFIED,
                    at=at,
                    verified_fingerprint=record.fingerprint,
                    rotated_at=awaited.put_at,
                    verified_at=at,
                )
                await self._settle(awaited, Result.ROTATED, reason, waited)
            case State.FAILED:
                awaited.record = replace(record, stage=Stage.FAILED, at=at, error=reason)
                await self._settle(awaited, Result.FAILED, reason)
            case State.PENDING:
                pass

    # Recording

    async def _settle(
        self, awaited: _Awaited, result: Result, reason: str, verified: float | None = None
    ) -> None:
        key = (awaited.record.target, awaited.record.connection)
        del self._awaited[key]
        await self._record(awaited.record, result, reason, verified)

    async def _fail(self, change: Change, record: Record, reason: str) -> None:
        reason = _credential(change).scrub(reason)
        record = replace(record, at=self.world.clock.now(), error=reason)
        await self._record(record, Result.FAILED, reason)

    async def _record(
        self, record: Record, result: Result, reason: str, verified: float | None = None
    ) -> None:
        if result is Result.FAILED:
            self.failures += 1
        self.settled.add((record.target, record.connection))
        outcome = Outcome(
            run_id=self.run_id,
            rotation=self.rotation,
            target=record.target,
            connection=record.connection,
            result=result,
            reason=reason,
            at=self.world.clock.now(),
            phase=record.phase,
            resource_version=record.resource_version,
            fingerprint=record.fingerprint,
            secret_version=record.secret_version,
            verify_seconds=verified,
        )
        await self.world.ledger.settle(record, outcome)
        self.world.observe(Settled(outcome))


async def _either(sleep: Coroutine[Any, Any, None], event: asyncio.Event) -> None:
    """Return when the time is over or the event is set, whichever comes first."""
    tasks = {asyncio.ensure_future(sleep), asyncio.ensure_future(event.wait())}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a stage; the cancellations that it caused say nothing more."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _credential(change: Change) -> Credential:
    if change.credential is None:
        raise AssertionError("a change that is carried out has a credential")
    return change.credential
