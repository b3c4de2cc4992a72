"""How far another clock is ahead, from a header with whole seconds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rotator.http.dates import clock_ahead

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
