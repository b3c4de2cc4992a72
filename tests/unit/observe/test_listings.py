"""The connections as they were last seen, and how far runs have come."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from rotator.model.connection import Condition, Connection
from rotator.model.events import Listed, Planned, RunFinished, RunStarted, Settled, Updated
from rotator.model.plan import Change, Verdict
from rotator.model.run import Outcome, Result, Run
from rotator.observe.listings import Listings
from rotator.observe.live import Live, Progress

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
A = Connection("prod", "a", "OPENAI", "https://example.com", "READY", Condition.USABLE)
B = replace(A, name="b")
FAILED = Outcome("run-1", "openai", "prod", "a", Result.FAILED, "why", NOW, "INVALID_AUTH")


def phases(listings: Listings) -> dict[tuple[str, str], str]:
    return {(rotation, seen.name): seen.phase for rotation, seen in listings}


def test_what_a_look_did_not_find_is_gone() -> None:
    listings = Listings()
    listings(Listed("openai", frozenset({"prod", "test"}), (A, B)))
    listings(Listed("other", frozenset({"prod"}), (B,)))
    listings(Settled(FAILED))
    listings(Settled(replace(FAILED, connection="never-listed", phase="READY")))
    listings(Settled(replace(FAILED, connection="b", phase=None)))
    assert phases(listings) == {
        ("openai", "a"): "INVALID_AUTH",
        ("openai", "b"): "READY",
        ("other", "b"): "READY",
    }
    listings(Listed("openai", frozenset({"test"}), ()))
    assert ("openai", "a") in phases(listings), "that target was not looked at"
    listings(Listed("openai", frozenset({"prod"}), (B,)))
    assert ("openai", "a") not in phases(listings)
    assert listings.knows("openai", "test")
    assert not listings.knows("other", "test")
    listings.configured({"openai": ("test",), "other": ("prod",)})
    assert not listings.knows("openai", "prod")
    assert set(phases(listings)) == {("other", "b")}
    listings.clear()
    assert phases(listings) == {}
    assert not listings.knows("openai", "prod")


def test_progress_of_a_run() -> None:
    live, run = Live(), Run("run-1", "openai", "watch", NOW)
    live(Updated("run-0", "openai", "prod", "a"))
    assert live.progress("run-1") is None
    live(RunStarted(run))
    assert live.progress("run-1") == Progress(0, 0, 0, 0)
    changes = tuple(Change(each, Verdict.CHANGED, "why", update=True) for each in (A, B))
    live(Planned("run-1", "openai", changes))
    live(Updated("run-1", "openai", "prod", "a"))
    live(Updated("run-1", "openai", "prod", "a"))
    assert live.progress("run-1") == Progress(2, 1, 0, 0), "sent twice is put once"
    live(Settled(FAILED))
    live(Settled(replace(FAILED, connection="b", result=Result.ROTATED)))
    assert live.progress("run-1") == Progress(2, 1, 2, 1)
    live(RunFinished(run))
    assert live.progress("run-1") is None
