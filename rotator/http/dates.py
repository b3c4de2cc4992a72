"""The times that answers tell."""

from __future__ import annotations

import email.utils
from datetime import datetime


def http_date(text: str | None) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


def clock_ahead(date: str | None, now: datetime) -> float | None:
    """Seconds by which the clock of whoever wrote the header Date is ahead of ours.

    It has whole seconds, so less than one says nothing.
    """
    theirs = http_date(date)
    if theirs is None or theirs.tzinfo is None:
        return None
    ahead = (theirs - now).total_seconds()
    return ahead if ahead > 0 else min(0.0, ahead + 1.0)
