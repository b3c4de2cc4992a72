"""The throttle's decisions, with time as an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from rotator.confluent.throttle import LONGEST_PAUSE, Departure, Pace

NOTHING: Mapping[str, str] = {}


def leave(pace: Pace, now: float) -> Departure:
    assert pace.delay(now) == 0
    return pace.sent(now)


def test_the_ceiling_holds() -> None:
    pace, now, left = Pace(50), 0.0, 0
    while now < 10:
        now += pace.delay(now)
        pace.answered(now, pace.sent(now), 200, NOTHING)
        left += 1
    assert left == pytest.approx(500, abs=2)


def test_after_a_429_every_request_waits() -> None:
    pace = Pace(50)
    first = leave(pace, 10.0)
    pace.answered(10.1, first, 429, {"retry-after": "3"})
    assert pace.delay(10.1) == pytest.approx(3.0)
    assert pace.delay(13.1) == 0


def test_one_burst_of_429s_is_one_event() -> None:
    pace = Pace(1000)
    departures = [leave(pace, 10.0) for _ in range(20)]
    for departure in departures:
        pace.answered(10.05, departure, 429, NOTHING)
    assert pace.delay(10.05) == pytest.approx(1.0)
    assert pace.delay(11.2) == 0
    assert pace._rate >= 0.9


def test_retry_after_may_be_a_date_of_the_servers_own_clock() -> None:
    pace = Pace(50)
    headers = {
        "retry-after": "Fri, 20 Nov 2026 12:00:05 GMT",
        "date": "Fri, 20 Nov 2026 12:00:00 GMT",
    }
    pace.answered(1.0, leave(pace, 1.0), 429, headers)
    assert pace.delay(1.0) == pytest.approx(5.0)


@pytest.mark.parametrize("after", ["86400", "1e9"])
def test_no_server_stops_us_for_a_day(after: str) -> None:
    pace = Pace(50)
    pace.answered(1.0, leave(pace, 1.0), 429, {"retry-after": after})
    assert pace.delay(1.0) == pytest.approx(LONGEST_PAUSE)


@pytest.mark.parametrize("after", ["soon", "-1", "nan", "inf", ""])
def test_nonsense_in_retry_after_is_no_retry_after(after: str) -> None:
    pace = Pace(50)
    pace.answered(1.0, leave(pace, 1.0), 429, {"retry-after": after})
    assert pace.delay(1.0) == pytest.approx(1.0)


def test_what_is_left_of_the_window_is_not_overdrawn() -> None:
    pace = Pace(1000)
    first = leave(pace, 10.0)
    pace.answered(10.01, first, 200, limits(40, 3, 0.5))
    for _ in range(3):
        leave(pace, 10.01)
    assert pace.delay(10.01) == pytest.approx(0.5, abs=0.02)


def test_lost_requests_are_not_under_way_for_ever() -> None:
    pace = Pace(50)
    leave(pace, 1.0)
    pace.lost()
    assert pace.in_flight == 0


def test_a_blind_rate_falls_and_recovers() -> None:
    pace = Pace(100)
    now = 0.0
    for _ in range(50):
        now += pace.delay(now)
        pace.answered(now, pace.sent(now), 200, NOTHING)
    pace.answered(now, pace.sent(now), 429, NOTHING)
    slowed = pace._rate
    assert slowed < 60
    pace.delay(now + 120)
    assert pace._rate == 100


def limits(limit: int, remaining: int, reset: float) -> Mapping[str, str]:
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(reset),
    }


@dataclass
class Server:
    """Fixed windows of a second, as many gateways have them; Reset rounded up to seconds."""

    limit: int
    window: int = -1
    used: int = 0
    refused: int = 0
    said: list[int] = field(default_factory=list)

    def answer(self, now: float) -> tuple[int, Mapping[str, str]]:
        if int(now) != self.window:
            self.window, self.used = int(now), 0
        if self.used >= self.limit:
            self.refused += 1
            return 429, {**limits(self.limit, 0, 1), "retry-after": "1"}
        self.used += 1
        return 200, limits(self.limit, self.limit - self.used, 1)


@pytest.mark.parametrize("start", [tenth / 20 for tenth in range(20)])
@pytest.mark.parametrize("latency", [0.01, 0.05, 0.2])
def test_a_window_is_used_up_and_not_overdrawn(start: float, latency: float) -> None:
    """400 requests, 40 a second allowed, wherever in a window they start."""
    pace, server = Pace(500), Server(40)
    now, sent, ended = start, 0, 0
    under_way: list[tuple[float, Departure]] = []
    while ended < 400:
        arrives = under_way[0][0] if under_way else float("inf")
        # A list comes first, alone; then up to 64 at once.
        free = sent < 400 and sent - ended < (64 if ended else 1)
        leaves = now + pace.delay(now) if free else float("inf")
        now = min(arrives, leaves)
        if arrives <= leaves:
            _, departure = under_way.pop(0)
            status, headers = server.answer(now)
            pace.answered(now, departure, status, headers)
            ended += status == 200
            sent -= status != 200
        else:
            under_way.append((now + latency, pace.sent(now)))
            sent += 1
    assert server.refused <= 10
    assert now - start <= 10 * 1.05 + 1
