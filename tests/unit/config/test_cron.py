"""Cron as crontab(5) reads it, whatever the library underneath thinks of Mondays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rotator.config.cron import cron_trigger
from rotator.config.models import ScheduleConfig
from rotator.config.ticks import scheduled_since

FRIDAY = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)


def next_days(expression: str, count: int = 7) -> list[str]:
    trigger, now, days = cron_trigger(expression, "UTC"), FRIDAY, []
    for _ in range(count):
        due = trigger.get_next_fire_time(None, now)
        assert due is not None
        days.append(due.strftime("%a").lower())
        now = due + timedelta(seconds=1)
    return days


@pytest.mark.parametrize(
    ("weekday", "expected"),
    [
        ("0", ["sun"]),
        ("7", ["sun"]),
        ("sun", ["sun"]),
        ("1", ["mon"]),
        ("1-5", ["mon", "tue", "wed", "thu", "fri"]),
        ("MON-FRI", ["mon", "tue", "wed", "thu", "fri"]),
        ("5-7", ["sat", "sun", "fri"]),
        ("fri-mon", ["sat", "sun", "mon", "fri"]),
        ("0,3", ["sun", "wed"]),
        ("*/2", ["sat", "sun", "tue", "thu"]),
    ],
)
def test_weekdays_are_those_of_crontab(weekday: str, expected: list[str]) -> None:
    days = next_days(f"0 3 * * {weekday}", len(expected))
    assert sorted(days) == sorted(expected)


def test_six_fields_start_with_seconds() -> None:
    trigger = cron_trigger("*/10 * * * * *", "UTC")
    assert trigger.get_next_fire_time(None, FRIDAY + timedelta(seconds=1)) == FRIDAY + timedelta(
        seconds=10
    )


def test_the_time_zone_and_its_summer_time_are_kept() -> None:
    trigger = cron_trigger("0 3 * * *", "Europe/Berlin")
    winter = trigger.get_next_fire_time(None, datetime(2026, 1, 10, tzinfo=UTC))
    summer = trigger.get_next_fire_time(None, datetime(2026, 7, 10, tzinfo=UTC))
    assert winter is not None
    assert summer is not None
    assert (winter.astimezone(UTC).hour, summer.astimezone(UTC).hour) == (2, 1)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "61 * * * *",
        "0 3 1 * mon",
        "0 3 * * 8",
        "0 3 * * mon-",
        "a b c d e",
        "@never",
    ],
)
def test_nonsense_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        cron_trigger(expression, "UTC")


@pytest.mark.parametrize(
    ("last", "due"),
    [
        (FRIDAY - timedelta(days=1), True),
        (FRIDAY.replace(hour=3, minute=0, second=0), False),
        (FRIDAY.replace(hour=2, minute=59, second=59), True),
        (FRIDAY, False),
    ],
)
def test_a_missed_tick_is_seen(last: datetime, due: bool) -> None:
    assert scheduled_since(ScheduleConfig(cron="0 3 * * *"), last, FRIDAY) is due
