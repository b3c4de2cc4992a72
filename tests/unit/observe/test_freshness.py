"""What the service level objective counts: each change of a connection's secret, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rotator.model.connection import Condition, Connection
from rotator.model.credential import Credential
from rotator.model.plan import Change, Verdict
from rotator.model.record import Record, Stage
from rotator.model.run import Outcome, Result
from rotator.observe.freshness import IN_TIME, Counted, Freshness

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RECORD = Record("prod", "a", "openai", Stage.VERIFIED, "f1", "1", "7", "6", "run-0", NOON - HOUR)
CHANGED = Change(
    Connection("prod", "a", "OPENAI", "https://example.com", "READY", Condition.USABLE),
    Verdict.CHANGED,
    "secret version 1 → 2",
    credential=Credential({}, "f2", "2", changed_at=NOON - timedelta(minutes=1)),
    update=True,
    record=RECORD,
)
ROTATED = Outcome("run-1", "openai", "prod", "a", Result.ROTATED, "READY", NOON)


def settled_after(change: Change, at: datetime, *, watched: bool = True) -> float | None:
    freshness = Freshness()
    freshness.planned("openai", change, NOON, watched=watched)
    return freshness.settled(replace(ROTATED, at=at))[1]


def test_the_clock_starts_with_the_change_of_a_secret_that_is_watched() -> None:
    later = NOON + timedelta(seconds=10)
    assert settled_after(CHANGED, later) == 70
    assert settled_after(CHANGED, later, watched=False) == 10, "the schedule is what was asked for"


@pytest.mark.parametrize(
    "change",
    [
        replace(CHANGED, verdict=Verdict.NEW, record=None),
        replace(CHANGED, verdict=Verdict.DRIFTED),
        replace(CHANGED, reason="forced", record=replace(RECORD, secret_version="2")),
        replace(CHANGED, credential=Credential({}, "f2", "2")),
        replace(CHANGED, credential=None),
    ],
    ids=["new", "drifted", "forced", "undated", "leased"],
)
def test_what_follows_no_dated_change_starts_with_its_run(change: Change) -> None:
    assert settled_after(change, NOON + timedelta(seconds=10)) == 10


def test_a_source_whose_clock_is_ahead_takes_no_time_away() -> None:
    ahead = Credential({}, "f2", "2", changed_at=NOON + HOUR)
    assert settled_after(replace(CHANGED, credential=ahead), NOON + timedelta(seconds=10)) == 10


def test_what_needs_no_update_is_not_counted() -> None:
    assert settled_after(replace(CHANGED, update=False), NOON) is None


@pytest.mark.parametrize(("seconds", "in_time"), [(0, True), (1, False)])
def test_in_time_or_late(seconds: int, in_time: bool) -> None:
    freshness = Freshness()
    freshness.planned("openai", CHANGED, NOON, watched=False)
    counted, _ = freshness.settled(replace(ROTATED, at=NOON + IN_TIME + timedelta(seconds=seconds)))
    assert counted == Counted("openai", "prod", in_time)
    assert freshness.settled(ROTATED) == (None, None), "once"


@pytest.mark.parametrize("result", [Result.FAILED, Result.SKIPPED, Result.ROLLED_BACK])
def test_what_did_not_arrive_is_late_once(result: Result) -> None:
    freshness = Freshness()
    freshness.planned("openai", CHANGED, NOON, watched=False)
    assert freshness.settled(replace(ROTATED, result=result)) == (None, None)
    assert freshness.overdue(NOON + IN_TIME) == []
    assert freshness.overdue(NOON + IN_TIME + HOUR) == [Counted("openai", "prod", in_time=False)]
    assert freshness.overdue(NOON + IN_TIME + HOUR) == []
    # Tried again, with another change meanwhile: late already, and as long as it took.
    freshness.planned("openai", CHANGED, NOON + HOUR, watched=False)
    assert freshness.settled(replace(ROTATED, at=NOON + 2 * HOUR)) == (None, 7200)


def test_what_is_gone_is_not_late() -> None:
    late = NOON + HOUR
    freshness = Freshness()
    freshness.planned("openai", CHANGED, NOON, watched=True)
    freshness.listed("openai", {"elsewhere"}, set())
    freshness.listed("other", {"prod"}, set())
    freshness.listed("openai", {"prod"}, {("prod", "a")})
    freshness.configured({"openai": ("prod", "test")})
    assert len(freshness.overdue(late)) == 1
    for forget in (
        lambda known: known.listed("openai", {"prod"}, set()),
        lambda known: known.configured({"other": ("prod",)}),
        lambda known: known.configured({"openai": ("test",)}),
        Freshness.clear,
    ):
        freshness = Freshness()
        freshness.planned("openai", CHANGED, NOON, watched=True)
        forget(freshness)
        assert freshness.overdue(late) == []
