"""rotator in the event loop of a test, with a clock that the test moves: for what takes hours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rotator.clock import SystemClock
from rotator.config.models import Config
from rotator.daemon.compose import SourcePool, open_context, open_ledger
from rotator.leases.keeper import Keeper
from rotator.model.events import Event
from rotator.model.lease import HeldLease, LeaseState
from rotator.model.run import Outcome, Run, RunResult
from rotator.ports import LedgerReader, RunContext
from rotator.rotation.run import Order, execute, new_run
from rotator.rotation.survey import Survey, survey


class MovedClock(SystemClock):
    """The system's clock, moved ahead. Sleeping still takes real time."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.jump = 0.0
        """Seconds by which only the time of day is moved."""

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead + self.jump)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@dataclass(slots=True)
class Process:
    """What one process of rotator has: a RunContext, and a keeper with its own memory."""

    context: RunContext
    ledger: LedgerReader
    clock: MovedClock
    events: list[Event]
    keeper: Keeper = field(default_factory=Keeper)

    async def run(self, rotation: str, stop: asyncio.Event | None = None, **order: Any) -> Run:
        run = new_run(Order(rotation, "command", **order), self.clock.now())
        wanted = Order(rotation, "command", **order)
        return await execute(self.context, wanted, run, stop or asyncio.Event())

    async def rotate(self, rotation: str, **order: Any) -> Run:
        """A run that must succeed."""
        run = await self.run(rotation, **order)
        assert run.result is RunResult.SUCCEEDED, run.reason
        return run

    async def plan(self, rotation: str) -> Survey:
        return await survey(self.context, rotation)

    async def keep(self) -> frozenset[str]:
        return await self.keeper.tend(self.context)

    async def leases(self, *states: LeaseState) -> list[HeldLease]:
        return [x for x in await self.context.ledger.leases() if not states or x.state in states]

    async def last_outcome(self) -> Outcome:
        return (await self.ledger.outcomes(limit=1))[0]


@asynccontextmanager
async def process(config: Config, clock: MovedClock) -> AsyncIterator[Process]:
    """One process, from its start to its orderly end. The ledger outlives it."""
    events: list[Event] = []
    async with open_ledger(config.ledger, clock) as (ledger, key):
        pool = SourcePool(key, events.append, clock)
        async with open_context(config, ledger, pool, events.append, clock) as context:
            yield Process(context, ledger, clock, events)
