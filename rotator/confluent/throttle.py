"""Limits how fast one target is asked. All of its requests share one throttle.

`Pace` decides, with time as an argument; `Throttle` waits. Three things hold a request back: the
configured ceiling, what the server says is left (X-RateLimit-*, Retry-After), and, where it says
no more than 429, a rate learned from how many requests it answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from rotator.http.retry import number, retry_after
from rotator.ports import Clock

LONGEST_PAUSE = 60.0
"""Seconds. A server that asks for a longer pause is asked again after this one."""
BLIND_PAUSE = 1.0
"""Seconds to wait after a 429 that says nothing more: the length of most windows."""
BACK_OFF = 0.9
"""The share of the rate that is kept after such a 429."""
RECOVERY = 0.02
"""The share of the ceiling that is regained with each second without a 429."""
_BURST = 0.02
"""The requests of so many seconds may leave at once, so that timers need not be exact."""
_MARGIN = 0.01
"""Seconds to wait after the end of a window, since timers and clocks are not exact."""


@dataclass(frozen=True, slots=True)
class Departure:
    """One request that left."""

    number: int
    """Its place in the order of all requests, from 1 on."""
    at: float
    """When it left."""


@dataclass(slots=True)
class Pace:
    """Decides when the next request may leave. Times are seconds of a monotonic clock."""

    ceiling: float
    """Requests a second."""
    in_flight: int = 0
    _rate: float = field(init=False)
    _tokens: float = field(init=False)
    _sent: int = 0
    _at: float = 0.0
    _paused_until: float = 0.0
    _throttled_at: float = float("-inf")
    _limit: int | None = None
    _left: int | None = None
    """How many more requests the server's window permits."""
    _window_ends: float = 0.0
    _window_began: int = 0
    """How many requests had left when the window began."""
    _window: float = 0.0
    """The length of a window, as far as it is known: the longest Reset."""
    _told: Departure = Departure(0, 0.0)
    _told_left: float = 0.0
    """X-RateLimit-Remaining of the answered request that left last."""
    _answers: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._rate = self.ceiling
        self._tokens = self._burst

    @property
    def _burst(self) -> float:
        return max(1.0, self._rate * _BURST)

    def delay(self, now: float) -> float:
        """Seconds until a request may leave; 0 for now."""
        self._advance(now)
        waits = [self._paused_until - now, (1.0 - self._tokens) / self._rate]
        if self._left is not None and self._left <= 0:
            waits.append(self._window_ends - now)
        return max(0.0, *waits)

    def sent(self, now: float) -> Departure:
        self._advance(now)
        self._tokens -= 1
        self.in_flight += 1
        self._sent += 1
        if self._left is not None:
            self._left -= 1
        return Departure(self._sent, now)

    def lost(self) -> None:
        """No answer came."""
        self.in_flight -= 1

    def answered(
        self, now: float, departure: Departure, status: int, headers: Mapping[str, str]
    ) -> None:
        """An answer came. The names in `headers` are in lower case."""
        self.in_flight -= 1
        self._advance(now)
        self._learn_window(now, departure, headers)
        if status != 429:
            self._answers.append(now)
            return
        if departure.at < self._throttled_at:
            return  # it left before another answer began the pause
        self._throttled_at = now
        self._tokens = 0.0
        after = retry_after(headers, LONGEST_PAUSE)
        if after is None and self._left is not None:
            after = self._window_ends - now
        if after is None:
            after = BLIND_PAUSE
            self._rate = max(1.0, BACK_OFF * min(self._rate, float(len(self._answers) or 1)))
        self._paused_until = max(self._paused_until, now + min(after, LONGEST_PAUSE))

    def _advance(self, now: float) -> None:
        passed = max(0.0, now - self._at)
        self._at = max(self._at, now)
        if now >= self._paused_until and self._rate < self.ceiling:
            self._rate = min(self.ceiling, self._rate + passed * RECOVERY * self.ceiling)
        self._tokens = min(self._burst, self._tokens + passed * self._rate)
        while self._answers and self._answers[0] < now - 1.0:
            self._answers.popleft()
        if self._left is not None and now >= self._window_ends:
            # A new window. Requests in flight may count for it; its first answer says more.
            self._left = self._limit - self.in_flight if self._limit is not None else None
            self._window_ends = now + self._window
            self._window_began = self._sent

    def _learn_window(self, now: float, departure: Departure, headers: Mapping[str, str]) -> None:
        remaining = number(headers.get("x-ratelimit-remaining"))
        reset = number(headers.get("x-ratelimit-reset"))
        limit = number(headers.get("x-ratelimit-limit"))
        if remaining is None or reset is None:
            return
        self._window = min(max(self._window, reset), LONGEST_PAUSE)
        if departure.number <= self._window_began:
            return  # it left in the window before
        # Counted from the departure: else the time on the way would add up, window by window.
        ends = departure.at + min(reset, LONGEST_PAUSE) + _MARGIN
        # What left after this request was not yet counted when it was answered.
        left = int(remaining) - (self._sent - departure.number)
        self._limit = int(limit) if limit else None
        # If more is left than those requests can explain, the server has begun a new window.
        since = departure.number - self._told.number
        turned = since > 0 and remaining > self._told_left - since
        if since > 0:
            self._told, self._told_left = departure, remaining
        if self._left is not None and now < self._window_ends and not turned:
            # Answers overtake each other: within a window the smallest rest is true, and the
            # earliest end, since a server may round it up.
            self._left = min(self._left, left)
            self._window_ends = min(self._window_ends, ends)
        elif ends > now:
            self._left, self._window_ends = left, ends


class Throttle:
    """Holds requests back until their turn, in the order in which they came."""

    def __init__(self, requests_per_second: float, clock: Clock) -> None:
        self._pace = Pace(requests_per_second)
        self._clock = clock
        self._turn = asyncio.Lock()

    async def leave(self) -> Departure:
        """Return when a request may leave."""
        async with self._turn:
            while (delay := self._pace.delay(self._clock.monotonic())) > 0:
                await self._clock.sleep(delay)
            return self._pace.sent(self._clock.monotonic())

    def answered(self, departure: Departure, status: int, headers: Mapping[str, str]) -> None:
        self._pace.answered(self._clock.monotonic(), departure, status, headers)

    def lost(self) -> None:
        self._pace.lost()
