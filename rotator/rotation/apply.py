"""Carrying out a plan: intent, update, look, verify, record — stage by stage.

Every step is safe to die in. Before a request leaves, its intent is in the ledger; after its
answer, that it was put; after READY, that it was verified. What the next run makes of each is
decided in `plan`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Never

from rotator.clock import either
from rotator.config.models import RotationConfig
from rotator.errors import Cause, CredentialInvalid, RotatorError, SourceError, TargetError
from rotator.leases.issuer import Issuer
from rotator.model.connection import Connection
from rotator.model.credential import Credential
from rotator.model.events import Settled, Updated
from rotator.model.plan import Change
from rotator.model.record import Record, Stage
from rotator.model.run import Outcome, Result
from rotator.rotation.context import RunContext
from rotator.rotation.plan import before_of
from rotator.rotation.rollout import halted, stages
from rotator.rotation.sending import Lost, Put, Refused, Unsent, send
from rotator.rotation.verify import State, judge, pauses, resend_after

Key = tuple[str, str]
"""Target and name of a connection."""

MOST_RESENDS = 3
PAUSE_WHILE_SENDING = 1.0
"""Seconds at the least between looks while updates leave: they compete for the same requests."""


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

    context: RunContext
    run_id: str
    rotation: str
    rule: RotationConfig
    stop: asyncio.Event
    issuer: Issuer
    failures: int = 0
    cause: Cause | None = None
    """Of the first of them."""
    settled: set[Key] = field(default_factory=set)
    _awaited: dict[Key, _Awaited] = field(default_factory=dict)
    _resends: dict[Key, int] = field(default_factory=dict)
    _gates: dict[str, tuple[asyncio.Semaphore, asyncio.Semaphore]] = field(default_factory=dict)
    _sent: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once all updates of the stage were answered."""

    async def roll_out(self, changes: Iterable[Change]) -> None:
        """Stage by stage, each verified before the next. Raises LedgerError, and nothing else.

        Rollback has its place here: after a stage that ended in `self.halted`, before the return.
        """
        for stage in stages(changes, self.rule.rollout):
            if self._over():
                return
            await self._stage(stage)

    @property
    def halted(self) -> bool:
        return halted(self.failures, self.rule.rollout)

    def _over(self) -> bool:
        return self.halted or self.stop.is_set()

    async def _stage(self, stage: tuple[Change, ...]) -> None:
        now = self.context.clock.monotonic()
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
            _raise_first(group)

    # Updating

    async def _update(self, change: Change) -> None:
        connection = change.connection
        concurrency = self.context.config.targets[connection.target].concurrency
        # Intents are written a little ahead, so that the ledger doesn't hold up the target. What
        # has left keeps its place until its answer is on record: a kill repeats no more than that.
        ahead, gate = self._gates.setdefault(
            connection.target,
            (asyncio.Semaphore(concurrency + concurrency // 4), asyncio.Semaphore(concurrency)),
        )
        async with ahead:
            if self._over():
                return
            issued = await self._issued(change)
            if issued is None:
                return
            change = issued
            intent = self._intent(change, connection)
            await self.context.ledger.intend(intent)
            async with gate:
                if not self._over():
                    await self._send(change, connection, intent)
                else:
                    await self._as_it_was(change)

    async def _as_it_was(self, change: Change) -> None:
        """The update never left."""
        if change.record is not None:
            await self.context.ledger.put(change.record)

    async def _issued(self, change: Change) -> Change | None:
        """With its credential, made now if it was not only read; None where it can't be had.

        What the connection has stays in place then.
        """
        if change.credential is not None or change.secret is None:
            return change
        try:
            credential = await self.issuer.credential(change, change.secret)
        except (SourceError, CredentialInvalid) as error:
            await self._unissued(change, error)
            return None
        return replace(change, credential=credential)

    async def _unissued(self, change: Change, error: RotatorError) -> None:
        connection = change.connection
        self.failed(error.cause)
        self.settled.add((connection.target, connection.name))
        outcome = Outcome(
            run_id=self.run_id,
            rotation=self.rotation,
            target=connection.target,
            connection=connection.name,
            result=Result.FAILED,
            reason=str(error),
            at=self.context.clock.now(),
            phase=connection.phase,
            resource_version=connection.resource_version,
        )
        await self.context.ledger.settle(None, outcome)
        self.context.observe(Settled(outcome, error.cause))

    async def _send(
        self, change: Change, connection: Connection, intent: Record, *, sent_before: bool = False
    ) -> None:
        credential = _credential(change)
        match await send(
            self.context, intent, connection, credential, self.stop, sent_before=sent_before
        ):
            case Put(record, before, version):
                now = self.context.clock.now()
                record = replace(record, stage=Stage.PUT, resource_version=version, at=now)
                await self.context.ledger.put(record)
                self.context.observe(
                    Updated(self.run_id, self.rotation, record.target, record.connection)
                )
                self._await(change, before, record, now, self.context.clock.monotonic())
            case Refused(record, error):
                await self._fail(replace(record, stage=Stage.REFUSED), str(error), error)
            case Lost(record, error):
                await self._fail(record, f"no answer that can be trusted: {error}", error)
            case Unsent():
                await self._as_it_was(change)
            case None:
                pass

    def _intent(self, change: Change, connection: Connection) -> Record:
        former, credential = change.record, _credential(change)
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
            at=self.context.clock.now(),
            uid=connection.uid,
            verified_fingerprint=former.verified_fingerprint if former else None,
            rotated_at=former.rotated_at if former else None,
            verified_at=former.verified_at if former else None,
            verified_version=former.verified_version if former else None,
        )

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
                pause = max(interval, PAUSE_WHILE_SENDING)
                await either(self.context.clock.sleep(pause), self._sent)
            elif self.stop.is_set() or not self._names(target):
                return
            else:
                await either(self.context.clock.sleep(ramp.pop(0) if ramp else interval), self.stop)
            if names := self._names(target):
                await self._look(target, names)

    def _names(self, target: str) -> list[str]:
        return [name for of, name in self._awaited if of == target]

    async def _look(self, target: str, names: list[str]) -> None:
        asked = self.context.clock.monotonic()
        answer = await self._seen(target, names)
        steps: list[Coroutine[Any, Any, None]] = []
        for name in names:
            awaited = self._awaited.get((target, name))
            if awaited is None or awaited.since > asked:
                continue
            if isinstance(answer, TargetError):
                step = self._unseen(awaited, answer, asked - awaited.since)
            else:
                step = self._judge(awaited, answer.get(name), asked - awaited.since)
            if step is not None:
                steps.append(step)
        # All at once, so that their records share a transaction.
        await asyncio.gather(*steps)

    async def _seen(self, target: str, names: list[str]) -> dict[str, Connection] | TargetError:
        try:
            return dict(await self.context.targets[target].look(names))
        except TargetError as error:
            return error

    def _unseen(
        self, awaited: _Awaited, trouble: TargetError, waited: float
    ) -> Coroutine[Any, Any, None] | None:
        """What was put stays PUT: the next run looks again, and doesn't put it again."""
        if waited < self.rule.verify.timeout.total_seconds():
            return None
        reason = f"could not be looked at: {trouble}"
        return self._settle(
            awaited, Result.FAILED, reason, cause=trouble.cause, request_id=trouble.request_id
        )

    def _judge(
        self, awaited: _Awaited, now: Connection | None, waited: float
    ) -> Coroutine[Any, Any, None] | None:
        """The step that follows from one look, if any does."""
        awaited.misses = awaited.misses + 1 if now is None else 0
        credential = awaited.change.credential
        if now is not None and credential is not None:
            # Before anything shortens it: half a value is still too much of one.
            now = replace(now, detail=credential.scrub(now.detail))
        timeout = self.rule.verify.timeout.total_seconds()
        judgement = judge(
            awaited.before, now, misses=awaited.misses, waited=waited, timeout=timeout
        )
        reason = judgement.reason
        record = awaited.record
        if now is not None and now.moved_since(awaited.before):
            record = replace(record, resource_version=now.resource_version, phase=now.phase)
        at = self.context.clock.now()
        match judgement.state:
            case State.VERIFIED:
                awaited.record = replace(
                    record,
                    stage=Stage.VERIFIED,
                    at=at,
                    verified_fingerprint=record.fingerprint,
                    rotated_at=awaited.put_at,
                    verified_at=at,
                    verified_version=record.secret_version,
                )
                return self._settle(awaited, Result.ROTATED, reason, verified=waited)
            case State.FAILED:
                awaited.record = replace(record, stage=Stage.FAILED, at=at, error=reason)
                return self._settle(awaited, Result.FAILED, reason, cause=judgement.cause)
            case State.PENDING:
                interval = self.rule.verify.interval.total_seconds()
                late = not judgement.visible and waited >= resend_after(interval, timeout)
                if late and credential is not None:
                    return self._resend(awaited)
                return None

    async def _resend(self, awaited: _Awaited) -> None:
        """A proxy may answer 200 to what it never passed on; once more does no harm."""
        key = (awaited.record.target, awaited.record.connection)
        sent = self._resends[key] = self._resends.get(key, 0) + 1
        if sent > MOST_RESENDS or self.stop.is_set():
            return
        intent = self._intent(awaited.change, awaited.before)
        await self.context.ledger.intend(intent)
        await self._send(awaited.change, awaited.before, intent, sent_before=True)

    # Recording

    def failed(self, cause: Cause | None) -> None:
        self.failures += 1
        self.cause = self.cause or cause

    async def _settle(
        self,
        awaited: _Awaited,
        result: Result,
        reason: str,
        *,
        verified: float | None = None,
        cause: Cause | None = None,
        request_id: str | None = None,
    ) -> None:
        del self._awaited[awaited.record.target, awaited.record.connection]
        await self._record(awaited.record, result, reason, verified, cause, request_id)

    async def _fail(self, record: Record, reason: str, error: TargetError) -> None:
        self._awaited.pop((record.target, record.connection), None)
        record = replace(record, at=self.context.clock.now(), error=reason)
        await self._record(record, Result.FAILED, reason, None, error.cause, error.request_id)

    async def _record(
        self,
        record: Record,
        result: Result,
        reason: str,
        verified: float | None,
        cause: Cause | None,
        request_id: str | None,
    ) -> None:
        if result is Result.FAILED:
            self.failed(cause)
        self.settled.add((record.target, record.connection))
        outcome = Outcome(
            run_id=self.run_id,
            rotation=self.rotation,
            target=record.target,
            connection=record.connection,
            result=result,
            reason=reason,
            at=self.context.clock.now(),
            phase=record.phase,
            resource_version=record.resource_version,
            fingerprint=record.fingerprint,
            secret_version=record.secret_version,
            verify_seconds=verified,
        )
        await self.context.ledger.settle(record, outcome)
        self.context.observe(Settled(outcome, cause, request_id))


def _credential(change: Change) -> Credential:
    if change.credential is None:
        raise AssertionError("a change that is carried out has a credential")
    return change.credential


def _raise_first(group: BaseExceptionGroup[BaseException]) -> Never:
    """The error that ended a stage; the cancellations that it caused say nothing more."""
    error = group.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        _raise_first(error)
    raise error from None
