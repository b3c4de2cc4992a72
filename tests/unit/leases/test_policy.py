"""When leases are renewed, replaced and given up."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from rotator.leases import policy as leases
from rotator.model.lease import HeldLease, LeaseState, Owner
from rotator.model.record import Stage
from rotator.model.secret import Grant, SecretRef
from tests.unit.rotation.values import NOON, at, record

REF = SecretRef("vault", "creds/flink", "database", holder="mongodb")
LEAD = leases.lead(300.0)


def held(
    name: str = "database/creds/flink/one",
    *,
    duration: float = 3600,
    made: datetime = NOON,
    renewable: bool = True,
    state: LeaseState = LeaseState.LIVE,
    owner: str | None = None,
    owner_ends: datetime | None = None,
) -> HeldLease:
    asked = HeldLease(
        id="asked-1",
        ref=REF,
        rotation="mongodb",
        run_id="run-1",
        state=LeaseState.ASKED,
        made_at=made,
        duration=0,
        renewable=False,
        expires_at=None,
        mapping="m",
    )
    live = leases.made(asked, Grant(name, duration, renewable, owner), made)
    return replace(live, state=state, owner_ends_at=owner_ends)


def due_at(lease: HeldLease, step: float = 1.0, lead: float = LEAD) -> float:
    """Seconds after noon at which its replacement is due for the first time."""
    seconds = 0.0
    while not leases.replacement_due(
        lease, leases.ends_at(lease, None, at(seconds)), at(seconds), lead
    ):
        seconds += step
        assert seconds < 10_000_000
    return seconds


@pytest.mark.parametrize("duration", [0.5, 1, 2, 60, 600, 3600, 86400, 2764800])
def test_every_life_is_renewed_before_it_is_replaced_and_replaced_before_it_ends(
    duration: float,
) -> None:
    """No lease is due as soon as it is made, however short, and none is due too late."""
    lease = held(duration=duration)
    replaced = due_at(lease, step=duration / 1000)
    assert duration * 0.7 <= replaced < duration
    renewed = next(
        seconds
        for tick in range(1000)
        if leases.renewal_due(lease, at(seconds := duration * tick / 1000))
    )
    assert renewed < replaced


def test_a_lease_without_an_end_is_left_alone() -> None:
    """The source gives it no time at all, which is how it says that it never ends."""
    lease = held(duration=0)
    year = at(366 * 86400)
    assert lease.expires_at is None
    assert not leases.renewal_due(lease, year)
    assert not leases.replacement_due(lease, leases.ends_at(lease, None, year), year, LEAD)
    assert leases.stale(lease, leases.ends_at(lease, None, year), year, LEAD, "m") is None


def test_a_duration_beyond_the_calendar_has_no_end() -> None:
    assert held(duration=1e12).expires_at is None


def test_what_cannot_be_renewed_is_never_tried() -> None:
    """A role may forbid renewals: such a lease is replaced, and that is all."""
    lease = held(renewable=False)
    assert not any(leases.renewal_due(lease, at(seconds)) for seconds in range(0, 4000, 10))


def test_renewals_of_equal_leases_are_spread() -> None:
    """A hundred leases that were made at once don't meet the source at once."""
    first = {
        next(s for s in range(3600) if leases.renewal_due(held(f"database/creds/flink/{n}"), at(s)))
        for n in range(100)
    }
    assert max(first) - min(first) > 120
    assert len(first) > 50


def test_a_renewal_that_is_granted_less_is_the_last() -> None:
    """Its maximum is in sight, so it is replaced early rather than renewed for seconds."""
    lease = held()
    capped = leases.renewed(lease, Grant(lease.id, 900, renewable=True), at(2500))
    assert not capped.renewable
    assert capped.expires_at == at(3400)
    assert 2500 < due_at(capped) < 3400 - 600
    whole = leases.renewed(lease, Grant(lease.id, 3600, renewable=True), at(2500))
    assert whole.renewable
    assert not leases.replacement_due(whole, whole.expires_at, at(2500), LEAD)


class TestTokens:
    """A lease dies with the token that made it."""

    def test_the_token_of_a_process_that_is_gone_is_not_renewed(self) -> None:
        lease = held(duration=86400, owner="a", owner_ends=at(3000))
        assert leases.ends_at(lease, None, NOON) == at(3000)
        assert leases.ends_at(lease, Owner("b", 9999, None), NOON) == at(3000)
        assert 3000 * 0.75 <= due_at(lease) < 3000

    def test_the_token_in_hand_counts_only_where_it_can_be_renewed_no_more(self) -> None:
        lease = held(duration=86400, owner="a", owner_ends=at(3000))
        assert leases.ends_at(lease, Owner("a", 3000, None), NOON) == at(86400)
        assert leases.ends_at(lease, Owner("a", 3000, 7200), NOON) == at(7200)
        assert leases.ends_at(lease, Owner("a", 0, 0), NOON) <= at(1)  # type: ignore[operator] # has an end

    def test_its_end_is_kept_up_to_date_but_not_written_at_every_look(self) -> None:
        lease = held(owner="a", owner_ends=at(3000))
        assert leases.owned(lease, Owner("a", 3005, None), NOON) is lease
        assert leases.owned(lease, Owner("a", 5000, None), NOON).owner_ends_at == at(5000)
        assert leases.owned(lease, Owner("a", None, None), NOON).owner_ends_at is None
        assert leases.owned(lease, Owner("b", 5000, None), NOON) is lease
        ownerless = held()
        assert leases.owned(ownerless, Owner(None, 5000, None), NOON) is ownerless

    def test_a_token_that_was_revoked_took_its_leases_along(self) -> None:
        """So they are replaced at once, long before their own end."""
        lease = held(duration=86400, owner="a", owner_ends=at(3000))
        after = leases.owned(lease, Owner("b", 3600, None, frozenset({"a"})), at(60))
        assert after.owner_ends_at == at(60)
        assert leases.replacement_due(after, leases.ends_at(after, None, at(60)), at(60), LEAD)
        again = leases.owned(after, Owner("b", 3600, None, frozenset({"a"})), at(120))
        assert again is after, "it ended once"


@pytest.mark.parametrize(
    ("lease", "mapping", "reason"),
    [
        (None, "m", "its lease has ended"),
        (held(state=LeaseState.RETIRED), "m", "its lease has ended"),
        (held(state=LeaseState.ASKED), "m", "its lease has ended"),
        (held(), "another", "the mapping of its credential changed"),
        (held(duration=1, made=at(-10)), "m", "its lease is about to end"),
        (held(), "m", None),
    ],
)
def test_why_a_credential_cannot_stay(
    lease: HeldLease | None, mapping: str, reason: str | None
) -> None:
    ends = leases.ends_at(lease, None, NOON) if lease else None
    assert leases.stale(lease, ends, NOON, LEAD, mapping) == reason


class TestUnused:
    ONE, TWO = held("one"), held("two")

    def test_a_lease_is_needed_until_its_connection_was_verified_with_another(self) -> None:
        moving = replace(record(Stage.PUT, secret_version="two"), verified_version="one")
        assert leases.unused((self.ONE, self.TWO), [moving], NOON) == ()
        failed = replace(moving, stage=Stage.FAILED)
        assert leases.unused((self.ONE, self.TWO), [failed], NOON) == ()
        moved = replace(moving, stage=Stage.VERIFIED, verified_version="two")
        assert leases.unused((self.ONE, self.TWO), [moved], NOON) == (self.ONE,)

    def test_one_connection_is_enough(self) -> None:
        moved = replace(record(Stage.VERIFIED, secret_version="two"), verified_version="two")
        other = replace(record(Stage.VERIFIED, name="b", secret_version="one"))
        assert leases.unused((self.ONE, self.TWO), [moved, other], NOON) == ()

    def test_what_was_made_and_never_put_is_an_orphan(self) -> None:
        assert leases.unused((self.ONE,), [], NOON) == (self.ONE,)

    def test_a_connection_that_is_gone_needs_nothing(self) -> None:
        its = record(Stage.VERIFIED, secret_version="one")
        gone = {("prod", "openai-1")}
        assert leases.unused((self.ONE,), [its], NOON, gone=gone) == (self.ONE,)

    def test_one_that_the_rule_left_keeps_its_lease_until_it_ends(self) -> None:
        its = record(Stage.VERIFIED, secret_version="one")
        left = {("prod", "openai-1")}
        assert leases.unused((self.ONE,), [its], NOON, left=left) == ()
        assert leases.unused((self.ONE,), [its], at(3601), left=left) == (self.ONE,)
        assert leases.unused((self.ONE,), [its], at(3601)) == ()

    def test_only_live_ones_are_retired(self) -> None:
        others = (held("r", state=LeaseState.RETIRED), held("a", state=LeaseState.ASKED))
        assert leases.unused(others, [], NOON) == ()


def test_what_was_asked_and_never_answered_is_remembered_longer_than_it_can_live() -> None:
    """Nobody knows its id, so nobody can ask whether it still lives."""
    lease = held(state=LeaseState.ASKED)
    assert not leases.over(lease, None, at(31 * 86400))
    assert leases.over(lease, None, at(33 * 86400))


def test_a_retired_lease_that_ended_needs_no_revocation() -> None:
    lease = held(state=LeaseState.RETIRED)
    assert not leases.over(lease, None, at(3599))
    assert leases.over(lease, None, at(3600))
    with_token = held(state=LeaseState.RETIRED, owner="a", owner_ends=at(60))
    assert leases.over(with_token, None, at(60))
