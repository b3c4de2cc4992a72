"""When to look: cron and watch ticks, over APScheduler.

A tick only says that it is time; others decide what happens. So a tick that is missed, late or
doubled changes nothing but the time. Ticks that were missed while the process was busy or asleep
are coalesced into one, however late; `missed_while_down` finds those missed while it was down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from rotator.config.cron import cron_trigger
from rotator.config.models import RotationConfig
from rotator.config.ticks import scheduled_since

HEARTBEAT = timedelta(seconds=5)
LOOK = timedelta(minutes=5)
"""Between looks at the connections of a rotation that is not watched; a watch has its own."""


@dataclass(frozen=True, slots=True)
class Ticks:
    """What happens at each kind of tick. None of it may raise: APScheduler would only log it."""

    on_cron: Callable[[str], None]
    """The schedule of a rotation is due."""
    on_watch: Callable[[str], Awaitable[float | None]]
    """Look at the secrets of a rotation. Returns after how many seconds to look again, if that
    should be sooner than usual."""
    on_look: Callable[[str], Awaitable[None]]
    """Look at the connections of a rotation."""
    on_keep: Callable[[], Awaitable[None]]
    """Look after tokens and leases."""
    on_heartbeat: Callable[[Mapping[str, datetime | None]], None]
    """The scheduler works. Gets the next scheduled run of each rotation."""


class Ticker:
    """Ticks of a set of rotations, which a reload replaces."""

    def __init__(self, ticks: Ticks) -> None:
        self._ticks = ticks
        self._rotations: tuple[str, ...] = ()
        self._watched: dict[str, timedelta] = {}
        self._scheduler = AsyncIOScheduler(
            timezone="UTC",
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def start(self, rotations: Mapping[str, RotationConfig]) -> None:
        self._scheduler.start()
        self.replace(rotations)

    def replace(self, rotations: Mapping[str, RotationConfig]) -> None:
        self._scheduler.remove_all_jobs()
        self._rotations = tuple(rotations)
        self._watched = {name: rule.watch for name, rule in rotations.items() if rule.watch}
        for tick in (self._heartbeat, self._ticks.on_keep):
            self._scheduler.add_job(tick, IntervalTrigger(seconds=HEARTBEAT.total_seconds()))
        for name, rule in rotations.items():
            if rule.schedule:
                trigger = cron_trigger(
                    rule.schedule.cron, rule.schedule.timezone, rule.schedule.jitter
                )
                self._scheduler.add_job(self._cron, trigger, args=[name], id=f"cron:{name}")
            if rule.watch:
                every = IntervalTrigger(seconds=rule.watch.total_seconds())
                self._scheduler.add_job(self._watch, every, args=[name], id=f"watch:{name}")
            else:
                every = IntervalTrigger(seconds=LOOK.total_seconds())
                self._scheduler.add_job(self._ticks.on_look, every, args=[name])
        self._beat()

    async def _cron(self, rotation: str) -> None:
        self._ticks.on_cron(rotation)

    async def _watch(self, rotation: str) -> None:
        seconds = await self._ticks.on_watch(rotation)
        if seconds is not None:
            self.look_again(rotation, seconds)

    async def _heartbeat(self) -> None:
        self._beat()

    def _beat(self) -> None:
        self._ticks.on_heartbeat({name: self.next_run(name) for name in self._rotations})

    def look_again(self, rotation: str, seconds: float) -> None:
        """Tick the watch once more after so many seconds, unless a regular tick comes sooner."""
        watch = self._watched.get(rotation)
        if watch is None or seconds >= watch.total_seconds():
            return
        due = datetime.now(UTC) + timedelta(seconds=max(1.0, seconds))
        planned = self._scheduler.get_job(f"look:{rotation}")
        if planned is not None and planned.next_run_time <= due:
            return
        self._scheduler.add_job(
            self._watch,
            DateTrigger(due),
            args=[rotation],
            id=f"look:{rotation}",
            replace_existing=True,
        )

    def look_now(self, rotation: str) -> None:
        """Look at the connections of a rotation once more, now."""
        self._scheduler.add_job(
            self._ticks.on_look, DateTrigger(datetime.now(UTC)), args=[rotation]
        )

    def next_run(self, rotation: str) -> datetime | None:
        try:
            job = self._scheduler.get_job(f"cron:{rotation}")
        except JobLookupError:
            return None
        due: datetime | None = job.next_run_time if job else None
        return due

    def stop(self) -> None:
        """No tick fires after this."""
        self._scheduler.shutdown(wait=False)


def missed_while_down(rule: RotationConfig, last: datetime | None, now: datetime) -> bool:
    """Whether a tick was due since the last run; a rotation that never ran has missed nothing."""
    return last is not None and scheduled_since(rule.schedule, last, now)
