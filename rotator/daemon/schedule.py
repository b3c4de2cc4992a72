"""When to look: cron and watch ticks, over APScheduler.

A tick only says that it is time; what happens is decided elsewhere, so a missed, doubled or late
tick changes nothing but the time. Ticks that were missed while the process was busy or asleep are
coalesced into one, however late; those missed while it was down are found by `missed_while_down`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from rotator.config.cron import cron_trigger
from rotator.config.models import RotationConfig
from rotator.config.ticks import scheduled_since

Tick = Callable[[str], Awaitable[None]]

HEARTBEAT = timedelta(seconds=5)
LOOK = timedelta(minutes=5)
"""Between looks at the connections of a rotation that is not watched; a watch has its own."""


class Schedule:
    """Ticks of a set of rotations, which a reload replaces.

    `on_cron`, `on_watch` and `on_look` get the name of the rotation; `on_heartbeat` shows that the
    scheduler turns; at `on_keep` tokens and leases are tended. They must not raise: APScheduler
    would only log it.
    """

    def __init__(
        self,
        on_cron: Tick,
        on_watch: Tick,
        on_look: Tick,
        on_keep: Callable[[], Awaitable[None]],
        on_heartbeat: Callable[[], None],
    ) -> None:
        self._on_cron = on_cron
        self._on_watch = on_watch
        self._on_look = on_look
        self._on_keep = on_keep
        self._on_heartbeat = on_heartbeat
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

        async def heartbeat() -> None:
            self._on_heartbeat()

        for tick in (heartbeat, self._on_keep):
            self._scheduler.add_job(tick, IntervalTrigger(seconds=HEARTBEAT.total_seconds()))
        self._watched = {name: rule.watch for name, rule in rotations.items() if rule.watch}
        for name, rule in rotations.items():
            if rule.schedule:
                trigger = cron_trigger(
                    rule.schedule.cron, rule.schedule.timezone, rule.schedule.jitter
                )
                self._scheduler.add_job(self._on_cron, trigger, args=[name], id=f"cron:{name}")
            if rule.watch:
                every = IntervalTrigger(seconds=rule.watch.total_seconds())
                self._scheduler.add_job(self._on_watch, every, args=[name], id=f"watch:{name}")
            else:
                every = IntervalTrigger(seconds=LOOK.total_seconds())
                self._scheduler.add_job(self._on_look, every, args=[name])

    def look_again(self, rotation: str, seconds: float) -> None:
        """A tick of the watch besides its regular ones; none if the next of these is sooner."""
        watch = self._watched.get(rotation)
        if watch is None or seconds >= watch.total_seconds():
            return
        due = datetime.now(UTC) + timedelta(seconds=max(1.0, seconds))
        planned = self._scheduler.get_job(f"look:{rotation}")
        if planned is not None and planned.next_run_time <= due:
            return
        self._scheduler.add_job(
            self._on_watch,
            DateTrigger(due),
            args=[rotation],
            id=f"look:{rotation}",
            replace_existing=True,
        )

    def look_now(self, rotation: str) -> None:
        """A look besides the regular ones, as soon as nothing else is to be done."""
        self._scheduler.add_job(self._on_look, DateTrigger(datetime.now(UTC)), args=[rotation])

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
