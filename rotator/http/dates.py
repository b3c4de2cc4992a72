"""Times in the headers and bodies of answers."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime


def rfc3339(text: object) -> datetime | None:
    """A time in JSON, in UTC; None for anything else, and for a time without a zone.

    Go writes nanoseconds; Python keeps six digits of them.
    """
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        return moment.astimezone(UTC) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def http_date(text: str | None) -> datetime | None:
    """A date in a header, with its zone; None for anything else."""
    try:
        moment = email.utils.parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError):
        return None
    return moment if moment is not None and moment.tzinfo else None


def clock_ahead(date: str | None, now: datetime) -> float | None:
    """Seconds by which the server's clock is ahead of ours, by the header Date.

    The header has whole seconds, so a difference of less than one means nothing.
    """
    theirs = http_date(date)
    if theirs is None:
        return None
    ahead = (theirs - now).total_seconds()
    return ahead if ahead > 0 else min(0.0, ahead + 1.0)
