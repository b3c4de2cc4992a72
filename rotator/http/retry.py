"""What a server says about when to ask again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from rotator.http.dates import http_date


def retry_after(
    headers: Mapping[str, str], longest: float, now: datetime | None = None
) -> float | None:
    """Seconds that an answer asks to wait, at most `longest`; None if it asks for nothing usable.

    The names in `headers` are in lower case, or it ignores case. A date is compared with the
    answer's own Date, since clocks differ, or with `now` if there is no Date.
    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    said = headers.get("retry-after")
    seconds = number(said)
    if seconds is None:
        until, since = http_date(said), http_date(headers.get("date")) or now
        if until is None or since is None:
            return None
        seconds = max(0.0, (until - since).total_seconds())
    return min(seconds, longest)


def number(text: str | None) -> float | None:
    """The number in a header, from 0 up; None for anything else."""
    try:
        found = float(text) if text is not None else None
    except ValueError:
        return None
    return found if found is not None and 0 <= found < float("inf") else None
