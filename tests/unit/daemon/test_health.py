"""What livez, readyz and `status` go by."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rotator.daemon.health import (
    CLOCKS_PARTED,
    NOT_KEPT_AFTER,
    STALLED_AFTER,
    WRITTEN_EVERY,
    Clocks,
    Contacts,
    news,
)
from rotator.model.events import RequestAnswered, SourceRead
from rotator.model.source import SourceState
from tests.support.leasing import MovedClock

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def read(result: str = "ok", reason: str = "", operation: str = "read") -> SourceRead:
    return SourceRead("vault", operation, result, 0.1, reason)


def test_who_was_reached() -> None:
    contacts = Contacts(0.0)
    assert contacts.unreached(["prod"], ["vault"]) == ["target prod", "source vault"]
    contacts(RequestAnswered("prod", "GET", "503", 0.1))
    contacts(read("unavailable", "source vault: it is sealed"))
    contacts(read(operation="login"))
    assert contacts.unreached(["prod"], ["vault"]) == ["target prod", "source vault"]
    contacts(RequestAnswered("prod", "GET", "200", 0.1))
    contacts(read(operation="examine"))
    assert contacts.unreached(["prod"], ["vault"]) == []


def test_a_scheduler_that_stalls_and_leases_that_nobody_tends() -> None:
    """A task that hangs while it tends leases is seen from outside."""
    contacts = Contacts(100.0)
    assert not contacts.stalled(100.0 + STALLED_AFTER)
    assert contacts.stalled(100.1 + STALLED_AFTER)
    contacts.beat(200.0)
    assert not contacts.stalled(200.0 + STALLED_AFTER)
    assert not contacts.neglected(100.0 + NOT_KEPT_AFTER)
    assert contacts.neglected(100.1 + NOT_KEPT_AFTER)
    contacts.kept(900.0)
    assert not contacts.neglected(900.0 + NOT_KEPT_AFTER)


def test_the_time_of_day_jumped() -> None:
    clock = MovedClock()
    clocks = Clocks.of(clock)
    clock.ahead = 86_400.0  # time passes, for both clocks
    assert clocks.parted(clock) is None
    for jump, told in ((CLOCKS_PARTED - 1, False), (CLOCKS_PARTED + 1, True)):
        for sign in (1, -1):
            clock.jump = sign * jump
            assert (clocks.parted(clock) is not None) is told, jump


def test_what_a_source_said_last() -> None:
    time = NOON

    def now() -> datetime:
        return time

    contacts = Contacts(0.0, now=now)
    assert contacts.trouble("vault") is None
    contacts(read())
    time += timedelta(minutes=1)
    contacts(read("unavailable", "source vault: it is sealed"))
    time += timedelta(minutes=1)
    contacts(read("unavailable", "source vault: HTTP 500"))
    assert contacts.trouble("vault") == "source vault: HTTP 500"
    since = NOON + timedelta(minutes=1)
    assert contacts.states() == (SourceState("vault", NOON, since, "source vault: HTTP 500"),)
    contacts(read())
    assert contacts.trouble("vault") is None
    assert contacts.states() == (SourceState("vault", time),)


def test_what_is_worth_a_line_in_the_ledger() -> None:
    fine = SourceState("vault", NOON)
    failing = SourceState("vault", NOON, NOON, "sealed")
    assert news(None, fine)
    assert not news(fine, fine)
    assert not news(fine, replace(fine, ok_at=NOON + WRITTEN_EVERY / 2))
    assert news(fine, replace(fine, ok_at=NOON + WRITTEN_EVERY))
    assert news(fine, failing)
    assert not news(failing, failing)
    assert news(failing, replace(failing, reason="HTTP 500"))
    assert news(failing, fine)
    never = SourceState("vault", None, NOON, "sealed")
    assert not news(never, never)
