"""Pauses between tries: our own, and those that a server asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from rotator.backoff import Backoff
from rotator.http.retry import retry_after

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
BACKOFF = Backoff(first=1.0, longest=300.0)


def test_pauses_double_up_to_the_longest() -> None:
    pauses = [BACKOFF.pause(failures) for failures in range(1, 12)]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]


def test_another_factor() -> None:
    slow = Backoff(first=10.0, longest=20.0, factor=1.5)
    assert [slow.pause(failures) for failures in (1, 2, 3)] == [10.0, 15.0, 20.0]


@pytest.mark.parametrize("failures", [100, 10_000, 10**9])
def test_failures_without_end(failures: int) -> None:
    assert BACKOFF.pause(failures) == 300.0


def test_pauses_never_shrink() -> None:
    pauses = [Backoff(0.001, 1e9).pause(failures) for failures in range(1, 100)]
    assert all(earlier <= later for earlier, later in pairwise(pauses))


@pytest.mark.parametrize("failures", [1, 4, 50])
def test_jitter_takes_its_share_off(failures: int) -> None:
    whole = BACKOFF.pause(failures)
    assert BACKOFF.pause(failures, jitter=0.25) == 0.75 * whole
    assert BACKOFF.pause(failures, jitter=1.0) == 0.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "86400"}, 60.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:05 GMT"}, 5.0),
        ({"retry-after": "Fri, 20 Nov 2026 11:59:00 GMT"}, 0.0),
        (  # the server's clock is a day behind ours
            {
                "retry-after": "Thu, 19 Nov 2026 12:00:05 GMT",
                "date": "Thu, 19 Nov 2026 12:00:00 GMT",
            },
            5.0,
        ),
        ({"retry-after": "Sat, 20 Nov 2027 12:00:00 GMT"}, 60.0),
    ],
)
def test_what_a_server_asks_for(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers, 60.0, NOW) == seconds


@pytest.mark.parametrize(
    "said", ["soon", "-1", "nan", "inf", "", "Fri, 99 Nov 2026", "Fri, 20 Nov 2026 12:00:05 -0000"]
)
def test_nonsense_asks_for_nothing(said: str) -> None:
    assert retry_after({"retry-after": said}, 60.0, NOW) is None


def test_nothing_is_asked_for_without_the_header() -> None:
    assert retry_after({}, 60.0, NOW) is None


def test_a_date_says_nothing_where_no_clock_is_known() -> None:
    assert retry_after({"retry-after": "Fri, 20 Nov 2026 12:00:05 GMT"}, 60.0) is None
