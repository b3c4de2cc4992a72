"""When to try again: backoff, and what the server asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rotator.http.dates import http_date

_MOST_STEPS = 64
"""Steps of growth. By then every pause has reached its longest, and a float can't hold 2 to the
power of 1,024."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that grow with each failure in a row, in seconds."""

    first: float
    longest: float
    factor: float = 2.0

    def pause(self, failures: int, jitter: float = 0.0) -> float:
        """How long to wait after so many failures, 1 being the first.

        `jitter` is the share to take off, from 0 to 1. The caller draws it.
        """
        steps = min(failures - 1, _MOST_STEPS)
        return min(self.longest, self.first * self.factor**steps) * (1.0 - jitter)


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
