"""Carries out what a roll-out asks for, and tells it what came of it. Decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Never

from rotator.clock import either
from rotator.errors import (
    CredentialInvalid,
    SourceError,
    TargetError,
    TargetRefused,
    TargetUnavailable,
    UpdateConflict,
    UpdateUncertain,
    UpdateWithheld,
)
from rotator.model.credential import Credential
from rotator.model.plan import Change
from rotator.ports import RunContext
from rotator.rotation import effects as fx
from rotator.rotation.rollout import RollOut

MakeCredential = Callable[[Change], Awaitable[Credential]]
"""Raises SourceError and CredentialInvalid."""


async def drive(
    machine: RollOut, context: RunContext, make: MakeCredential, stop: asyncio.Event
) -> None:
    """Return when the roll-out is done. Raises LedgerError, and nothing else of its own.

    Once `stop` is set, nothing new leaves, and what is in flight ends.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            await _Driver(machine, context, make, stop, tasks).run()
    except BaseExceptionGroup as group:
        _raise_first(group)


class _Driver:
    def __init__(
        self,
        machine: RollOut,
        context: RunContext,
        make: MakeCredential,
        stop: asyncio.Event,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._machine, self._context, self._make = machine, context, make
        self._stop, self._tasks = stop, tasks
        self._changed = asyncio.Event()
        self._looks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        if self._stop.is_set():
            self._carry_out(self._machine.stop(self._now()))
        self._carry_out(self._machine.begin(self._now()))
        stopping = self._tasks.create_task(self._pass_on_stop())
        while not self._machine.done:
            self._changed.clear()
            await self._until_due()
            self._carry_out(self._machine.tick(self._now()))
        stopping.cancel()
        for look in self._looks:
            look.cancel()  # nobody needs its answer any more

    async def _until_due(self) -> None:
        """Until it is time for a tick, or something happened that may have moved that time."""
        due = self._machine.wake_at
        if due is None:
            await self._changed.wait()
        else:
            left = max(0.0, due - self._context.clock.monotonic())
            await either(self._context.clock.sleep(left), self._changed)

    async def _pass_on_stop(self) -> None:
        await self._stop.wait()
        self._carry_out(self._machine.stop(self._now()))

    def _now(self) -> fx.Moment:
        return fx.Moment(self._context.clock.now(), self._context.clock.monotonic())

    def _carry_out(self, effects: list[fx.Effect]) -> None:
        """Begun in this order, so that the ledger keeps it."""
        for effect in effects:
            if isinstance(effect, fx.Tell):
                self._context.observe(effect.event)
                continue
            task = self._tasks.create_task(self._feed_back(effect))
            if isinstance(effect, fx.Look):
                self._looks.add(task)
                task.add_done_callback(self._looks.discard)
        self._changed.set()

    async def _feed_back(self, work: fx.Work) -> None:
        event = await self._done(work)
        if event is not None:
            self._carry_out(self._machine.handle(event, self._now()))

    async def _done(self, work: fx.Work) -> fx.Event | None:
        ledger = self._context.ledger
        match work:
            case fx.Write(key, record):
                await ledger.write(record)
                return fx.Written(key)
            case fx.Settle(settlements, events):
                await ledger.settle(settlements)
                for event in events:
                    self._context.observe(event)
                return None
            case fx.Issue(key, change):
                try:
                    return fx.Issued(key, await self._make(change))
                except (SourceError, CredentialInvalid) as error:
                    return fx.NotIssued(key, error)
            case fx.Send():
                return await self._sent(work)
            case fx.Look(target, names):
                return await self._seen(target, names)

    async def _sent(self, send: fx.Send) -> fx.Event:
        target = self._context.targets[send.connection.target]
        try:
            version = await target.update(send.connection, send.credential)
        except UpdateWithheld:
            return fx.Withheld(send.key)
        except UpdateUncertain as error:
            return fx.Lost(send.key, error)
        except UpdateConflict as error:
            return fx.Conflicted(send.key, error)
        except (TargetUnavailable, TargetRefused) as error:
            return fx.Refused(send.key, error)
        return fx.Answered(send.key, version)

    async def _seen(self, target: str, names: frozenset[str]) -> fx.Seen:
        asked_at = self._context.clock.monotonic()
        try:
            found = await self._context.targets[target].look(names)
        except TargetError as error:
            return fx.Seen(target, names, error, asked_at)
        return fx.Seen(target, names, found, asked_at)


def _raise_first(group: BaseExceptionGroup[BaseException]) -> Never:
    """The error that ended the roll-out; the cancellations that it caused say nothing more."""
    error = group.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        _raise_first(error)
    raise error from None
