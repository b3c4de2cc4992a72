"""Schedules, as a person would say them."""

from __future__ import annotations

import pytest

from rotator.web.html.words import schedule


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 3 * * sun", "At 03:00, only on Sunday (UTC)"),
        ("0 3 * * 0", "At 03:00, only on Sunday (UTC)"),
        ("0 3 * * 7", "At 03:00, only on Sunday (UTC)"),
        ("0 3 * * 1-5", "At 03:00, Monday through Friday (UTC)"),
        ("@daily", "At 00:00 (UTC)"),
        ("*/15 * * * *", "Every 15 minutes (UTC)"),
        ("30 0 3 * * *", "At 03:00:30 (UTC)"),
        ("0 3 1,15 * *", "At 03:00, on day 1 and 15 of the month (UTC)"),
        ("no cron at all", "no cron at all (UTC)"),
    ],
)
def test_schedules(cron: str, words: str) -> None:
    assert schedule(cron, "UTC") == words
