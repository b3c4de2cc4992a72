"""When to look: real ticks of the real scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rotator.daemon.ticker import Ticker, Ticks, missed_while_down
from tests.support.configuration import configured

DEADLINE = 30.0
NIGHTLY = {"cron": "0 3 * * *", "jitter": "0s"}


@dataclass(slots=True)
class Ticked:
    """What ticked; a watch asks to be looked at again after `again` seconds."""

    again: float | None = None
    looks: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    next_runs: list[Mapping[str, datetime | None]] = field(default_factory=list)

    async def look(self, rotation: str) -> None:
        await self.looks.put(rotation)

    async def watch(self, rotation: str) -> float | None:
        await self.looks.put(rotation)
        return self.again

    async def keep(self) -> None:
        pass

    def ticks(self) -> Ticks:
        return Ticks(
            on_cron=self.looks.put_nowait,
            on_watch=self.watch,
            on_look=self.look,
            on_keep=self.keep,
            on_heartbeat=self.next_runs.append,
        )

    async def look_of(self) -> str:
        async with asyncio.timeout(DEADLINE):
            return await self.looks.get()


@asynccontextmanager
async def ticking(ticked: Ticked, **rotations: dict[str, object]) -> AsyncIterator[Ticker]:
    ticker = Ticker(ticked.ticks())
    ticker.start(configured(**rotations).rotations)
    try:
        yield ticker
    finally:
        ticker.stop()


async def test_a_schedule_that_is_due_ticks() -> None:
    ticked = Ticked()
    async with ticking(ticked, openai={"schedule": {"cron": "* * * * * *"}}):
        assert await ticked.look_of() == "openai"


async def test_a_watch_that_knows_when_a_secret_changes_is_asked_again_then() -> None:
    ticked = Ticked(again=1.0)
    async with ticking(ticked, openai={"watch": "1h"}) as ticker:
        ticker.look_again("openai", 0)
        assert [await ticked.look_of(), await ticked.look_of()] == ["openai", "openai"]


async def test_connections_are_looked_at_when_that_is_asked_for() -> None:
    ticked = Ticked()
    async with ticking(ticked, openai={}) as ticker:
        ticker.look_now("openai")
        assert await ticked.look_of() == "openai"


async def test_the_first_heartbeat_and_that_of_a_reload_tell_the_next_runs() -> None:
    ticked = Ticked()
    async with ticking(ticked, openai={"schedule": NIGHTLY}, vertex={}) as ticker:
        (first,) = ticked.next_runs
        assert first["vertex"] is None
        assert first["openai"] is not None
        assert first["openai"] - datetime.now(UTC) <= timedelta(days=1)
        ticker.replace(configured(vertex={}).rotations)
        assert ticked.next_runs[1:] == [{"vertex": None}]


def test_what_was_missed_while_no_process_ran() -> None:
    rule = configured(openai={"schedule": NIGHTLY}).rotations["openai"]
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert missed_while_down(rule, noon, noon + timedelta(days=1))
    assert not missed_while_down(rule, noon, noon + timedelta(hours=1))
    assert not missed_while_down(rule, None, noon), "what never ran has missed nothing"
