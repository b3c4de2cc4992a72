"""Cron expressions as everybody else reads them, for APScheduler's trigger."""

from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY = r"(?:[0-7]|sun|mon|tue|wed|thu|fri|sat)"
_WEEKDAY_PART = re.compile(
    rf"(?P<first>\*|{_DAY})(?:-(?P<last>{_DAY}))?(?:/(?P<step>[1-7]))?", re.IGNORECASE
)
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * sun",
    "@monthly": "0 0 1 * *",
}


def cron_trigger(expression: str, timezone: str, jitter: timedelta = timedelta(0)) -> CronTrigger:
    """Five fields (minute hour day month weekday), or six with seconds first. Raises ValueError.

    In weekdays 0 and 7 are Sunday, as in crontab(5); to APScheduler 3 a bare 0 is Monday
    (https://github.com/agronholm/apscheduler/issues/286). A day of the month together with a
    weekday is refused: crontab takes either, APScheduler wants both.
    """
    fields = ALIASES.get(expression.strip(), expression).split()
    if len(fields) not in {5, 6}:
        raise ValueError(f"it has {len(fields)} fields")
    second = fields[0] if len(fields) == 6 else "0"
    minute, hour, day, month, weekday = fields[-5:]
    if day != "*" and weekday != "*":
        raise ValueError("give a day of the month or a weekday, not both")
    return CronTrigger(
        second=second,
        minute=minute,
        hour=hour,
        day=day,
        month=month,
        day_of_week=_weekdays(weekday),
        timezone=ZoneInfo(timezone),
        jitter=int(jitter.total_seconds()) or None,
    )


def _weekdays(field: str) -> str:
    if field == "*":
        return field
    days: set[int] = set()
    for part in field.split(","):
        match = _WEEKDAY_PART.fullmatch(part)
        if match is None:
            raise ValueError(f"no weekday: {part}")
        if match["first"] == "*":
            first, last = 0, 6
        else:
            first = _number(match["first"])
            last = _number(match["last"]) if match["last"] else (6 if match["step"] else first)
        if match["last"] and last < first:
            last += 7  # fri-mon, and 5-0
        days.update(day % 7 for day in range(first, last + 1, int(match["step"] or 1)))
    return ",".join(_WEEKDAYS[day] for day in sorted(days))


def _number(word: str) -> int:
    return int(word) if word.isdecimal() else _WEEKDAYS.index(word.lower())
