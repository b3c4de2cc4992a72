"""What follows from a look after an answer that proves nothing."""

from __future__ import annotations

import pytest

from rotator.errors import TargetError, UpdateConflict, UpdateUncertain
from rotator.model.connection import Connection
from rotator.rotation.doubt import MOST_SENDINGS, Doubt, Kind, Next
from rotator.rotation.verify import Absence
from tests.unit.rotation.values import connection

BASE = connection(version="5")
AS_BEFORE = {BASE.name: BASE}
MOVED = {BASE.name: connection(version="6")}
ANOTHER = {BASE.name: connection(version="6", uid="uid-2")}
UNSEEN = UpdateUncertain("prod", "the list failed")
TIMEOUT = 30.0
LAST = MOST_SENDINGS
LOST, CONFLICT, REFUSED = Kind.LOST, Kind.CONFLICT, Kind.REFUSED

Found = dict[str, Connection] | TargetError


def doubt(kind: Kind, since: float = 0.0) -> Doubt:
    made = Doubt(since, since, UNSEEN, kind, Absence(interval=2.0))
    made.again(UNSEEN, since, kind)
    return made


@pytest.mark.parametrize(
    ("kind", "found", "at", "sendings", "expected"),
    [
        # After a lost answer: sent again, a few times, over what is there.
        (LOST, AS_BEFORE, 1.0, 1, Next.RESEND),
        (LOST, AS_BEFORE, 1.0, LAST - 1, Next.RESEND),
        (LOST, AS_BEFORE, 1.0, LAST, Next.GIVE_UP),
        (LOST, MOVED, 1.0, 1, Next.REBASE),
        (LOST, MOVED, 1.0, LAST - 1, Next.REBASE),
        (LOST, MOVED, 1.0, LAST, Next.GIVE_UP),
        (LOST, ANOTHER, 1.0, 1, Next.REPLACED),
        (LOST, ANOTHER, 1.0, LAST, Next.REPLACED),
        (LOST, UNSEEN, 1.0, 1, Next.RESEND),
        (LOST, UNSEEN, 1.0, LAST, Next.GIVE_UP),
        # After a conflict: until the timeout, since reads may lag behind the write it is with.
        (CONFLICT, AS_BEFORE, 1.0, 1, Next.RESEND),
        (CONFLICT, AS_BEFORE, 29.9, LAST, Next.WAIT),
        (CONFLICT, AS_BEFORE, 30.0, LAST, Next.GIVE_UP),
        (CONFLICT, AS_BEFORE, 30.0, LAST - 1, Next.RESEND),
        (CONFLICT, MOVED, 1.0, 1, Next.REBASE),
        (CONFLICT, MOVED, 29.9, LAST, Next.REBASE),
        (CONFLICT, MOVED, 30.0, LAST, Next.GIVE_UP),
        (CONFLICT, ANOTHER, 1.0, 1, Next.REPLACED),
        (CONFLICT, UNSEEN, 29.9, LAST, Next.WAIT),
        (CONFLICT, UNSEEN, 30.0, LAST, Next.GIVE_UP),
        # After "not found": nothing is sent again. Reads may show for a while what was deleted.
        (REFUSED, AS_BEFORE, 5.9, 1, Next.WAIT),
        (REFUSED, AS_BEFORE, 6.0, 1, Next.GIVE_UP),
        (REFUSED, MOVED, 5.9, 1, Next.WAIT),
        (REFUSED, MOVED, 6.0, 1, Next.GIVE_UP),
        (REFUSED, ANOTHER, 1.0, 1, Next.REPLACED),
        (REFUSED, UNSEEN, 29.9, 1, Next.WAIT),
        (REFUSED, UNSEEN, 30.0, 1, Next.GIVE_UP),
    ],
)
def test_what_follows(kind: Kind, found: Found, at: float, sendings: int, expected: Next) -> None:
    decided = doubt(kind).decide(BASE, found, at, timeout=TIMEOUT, sendings=sendings)
    assert decided is expected


def test_the_timeout_counts_from_the_first_doubt() -> None:
    made = doubt(CONFLICT, since=100.0)
    made.again(UNSEEN, 125.0, CONFLICT)
    for at, expected in ((129.9, Next.WAIT), (130.0, Next.GIVE_UP)):
        assert made.decide(BASE, AS_BEFORE, at, timeout=TIMEOUT, sendings=LAST) is expected


@pytest.mark.parametrize("kind", Kind)
class TestMissing:
    def decide(self, made: Doubt, found: Found, at: float) -> Next:
        return made.decide(BASE, found, at, timeout=TIMEOUT, sendings=1)

    def test_once_may_be_a_page_that_shifted(self, kind: Kind) -> None:
        assert self.decide(doubt(kind), {}, 1.0) is Next.WAIT

    def test_twice_an_interval_apart_is_gone(self, kind: Kind) -> None:
        made = doubt(kind)
        moments = (1.0, 2.9, 3.0, 4.0)
        decided = [self.decide(made, {}, at) for at in moments]
        assert decided == [Next.WAIT, Next.WAIT, Next.GONE, Next.GONE]

    def test_seen_in_between_is_there(self, kind: Kind) -> None:
        made = doubt(kind)
        self.decide(made, {}, 1.0)
        self.decide(made, AS_BEFORE, 2.0)
        assert self.decide(made, {}, 3.0) is Next.WAIT

    def test_a_look_that_failed_says_nothing(self, kind: Kind) -> None:
        made = doubt(kind)
        self.decide(made, {}, 1.0)
        self.decide(made, UNSEEN, 2.0)
        assert self.decide(made, {}, 3.0) is Next.GONE


def test_after_not_found_the_time_counts_from_the_last_answer() -> None:
    made = doubt(LOST)
    made.again(UNSEEN, 100.0, REFUSED)
    steps: list[tuple[Found, float, Next]] = [
        (AS_BEFORE, 105.9, Next.WAIT),
        (AS_BEFORE, 106.0, Next.GIVE_UP),
        (UNSEEN, 129.9, Next.WAIT),
        (UNSEEN, 130.0, Next.GIVE_UP),
    ]
    for found, at, expected in steps:
        assert made.decide(BASE, found, at, timeout=TIMEOUT, sendings=1) is expected


def test_looks_wait_ever_longer() -> None:
    made = doubt(LOST, since=100.0)
    due = [made.look_at - 100.0]
    for _ in range(8):
        made.look_later(100.0)
        due.append(made.look_at - 100.0)
    assert due == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])


def test_a_further_doubt_follows_the_last_answer() -> None:
    made = doubt(LOST)
    conflict = UpdateConflict("prod", "it changed")
    made.again(conflict, 7.0, CONFLICT)
    assert (made.trouble, made.at, made.kind) == (conflict, 7.0, CONFLICT)
    assert (made.since, made.look_at) == (0.0, 7.2)
