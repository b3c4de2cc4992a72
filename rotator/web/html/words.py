"""Schedules in words."""

from __future__ import annotations

from functools import lru_cache

from cron_descriptor import FormatException, Options, get_description

from rotator.config.cron import ALIASES


@lru_cache(maxsize=256)
def schedule(expression: str, timezone: str) -> str:
    """`0 3 * * sun` → `At 03:00, only on Sunday (Europe/Berlin)`.

    An expression that only APScheduler understands stays as it is.
    """
    options = Options()
    options.use_24hour_time_format = True
    options.verbose = False
    try:
        words = get_description(ALIASES.get(expression.strip(), expression), options)
    except FormatException:
        words = expression
    return f"{words} ({timezone})"
