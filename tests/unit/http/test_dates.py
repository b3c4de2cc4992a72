"""Times in answers: RFC 3339 in their bodies, whole seconds in their headers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rotator.http.dates import clock_ahead, rfc3339


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-28T10:00:00Z", datetime(2026, 11, 28, 10, tzinfo=UTC)),
        ("2026-11-28T10:00:00+08:00", datetime(2026, 11, 28, 2, tzinfo=UTC)),
        ("2026-11-28T01:00:00-03:30", datetime(2026, 11, 28, 4, 30, tzinfo=UTC)),
        ("2026-11-28T10:00:00.5+00:00", datetime(2026, 11, 28, 10, 0, 0, 500_000, UTC)),
        (
            "2026-11-28T10:00:00.123456789Z",
            datetime(2026, 11, 28, 10, 0, 0, 123_456, UTC),
        ),
        (
            "2026-11-28T10:00:00.123456789+08:00",
            datetime(2026, 11, 28, 2, 0, 0, 123_456, UTC),
        ),
    ],
)
def test_a_time_is_read_in_utc(text: str, moment: datetime) -> None:
    read = rfc3339(text)
    assert read == moment
    assert read is not None
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-11-28",
        "2026-11-28T10:00:00",  # nobody knows where
        "2026-13-28T10:00:00Z",
        "0001-01-01T00:00:00+08:00",  # before the first year
        1_795_860_000,
        None,
    ],
)
def test_anything_but_a_time_gives_none(text: object) -> None:
    assert rfc3339(text) is None


# How far another clock is ahead

NOW = datetime(2026, 11, 20, 12, 0, 30, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Fri, 20 Nov 2026 12:00:30 GMT", 0.0),
        ("Fri, 20 Nov 2026 12:00:29 GMT", -0.5),
        ("Fri, 20 Nov 2026 11:59:30 GMT", -59.5),
        ("Fri, 20 Nov 2026 12:00:31 GMT", 0.5),
        ("Fri, 20 Nov 2026 13:00:30 +0100", 0.0),
        ("Fri, 20 Nov 2026 12:01:30 GMT", 59.5),
        ("Fri, 20 Nov 2026 12:01:30 -0000", None),
        ("today", None),
        ("", None),
        (None, None),
    ],
)
def test_clocks(date: str | None, ahead: float | None) -> None:
    assert clock_ahead(date, NOW) == ahead
