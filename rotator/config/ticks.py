"""When schedules are due."""

from __future__ import annotations

from datetime import datetime, timedelta

from rotator.config.cron import cron_trigger
from rotator.config.models import ScheduleConfig


def next_after(schedule: ScheduleConfig, moment: datetime) -> datetime | None:
    """The first tick after `moment`, without jitter; None if there is none."""
    trigger = cron_trigger(schedule.cron, schedule.timezone)
    due: datetime | None = trigger.get_next_fire_time(None, moment + timedelta(microseconds=1))
    return due


def scheduled_since(schedule: ScheduleConfig | None, since: datetime, now: datetime) -> bool:
    """Whether a tick was due after `since`, without jitter."""
    if schedule is None:
        return False
    due = next_after(schedule, since)
    return due is not None and due <= now
