"""The rate limit: a number of requests in each window of the clock, over all clients."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rotator.sandbox.answers import Headers
from rotator.sandbox.settings import RateLimit


@dataclass(frozen=True, slots=True)
class Quota:
    """The state of the limit for one request."""

    limit: RateLimit
    allowed: bool
    remaining: int
    reset: float
    """Seconds until the next window."""

    def headers(self) -> Headers:
        if not self.limit.headers:
            return ()
        return (
            (b"x-ratelimit-limit", b"%d" % self.limit.requests),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % math.ceil(self.reset)),
        )

    def retry_after(self) -> Headers:
        if not self.limit.retry_after:
            return ()
        return ((b"retry-after", b"%d" % math.ceil(self.reset)),)


class RateLimiter:
    """Refused requests don't count against the limit."""

    def __init__(self) -> None:
        self._window = -1
        self._used = 0

    def take(self, limit: RateLimit, now: float) -> Quota:
        window = math.floor(now / limit.window)
        if window != self._window:
            self._window, self._used = window, 0
        allowed = self._used < limit.requests
        self._used += allowed
        return Quota(
            limit,
            allowed,
            remaining=max(0, limit.requests - self._used),
            reset=(window + 1) * limit.window - now,
        )
