"""Leases and the states of sources."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from rotator.model.lease import LeaseState
from rotator.model.source import SourceState
from tests.support.ledger_values import LEASE, NOW
from tests.support.ledgers import Store, WholeLedger


async def test_leases_in_every_state(ledger: WholeLedger, store: Store) -> None:
    asked = replace(LEASE, id="asked-1", state=LeaseState.ASKED, expires_at=None, renewable=False)
    await ledger.keep_lease(asked)
    assert await ledger.leases() == (asked,)

    await ledger.keep_lease(LEASE, instead_of="asked-1")
    assert await ledger.leases() == (LEASE,), "the answer takes the place of the question"

    retired = replace(
        LEASE, state=LeaseState.RETIRED, revoke_at=NOW, owner="accessor", owner_ends_at=NOW
    )
    await ledger.keep_lease(retired)
    assert await (await store.open()).leases() == (retired,)


async def test_leases_come_oldest_first(ledger: WholeLedger) -> None:
    later = replace(LEASE, id="a", rotation="azure", made_at=NOW + timedelta(seconds=1))
    for lease in (later, LEASE):
        await ledger.keep_lease(lease)
    assert await ledger.leases() == (LEASE, later)
    assert await ledger.leases("azure") == (later,)
    assert await ledger.leases("never") == ()


async def test_a_dropped_lease_is_gone_and_dropping_it_again_does_nothing(
    ledger: WholeLedger,
) -> None:
    other = replace(LEASE, id="two")
    for lease in (LEASE, other):
        await ledger.keep_lease(lease)
    for lease_id in (LEASE.id, LEASE.id, "never was"):
        await ledger.drop_lease(lease_id)
    assert await ledger.leases() == (other,)


async def test_a_lease_may_take_the_place_of_one_that_is_gone(ledger: WholeLedger) -> None:
    await ledger.keep_lease(LEASE, instead_of="never was")
    await ledger.keep_lease(LEASE, instead_of=LEASE.id)
    assert await ledger.leases() == (LEASE,)


async def test_how_sources_answered(ledger: WholeLedger, store: Store) -> None:
    failing = SourceState("vault", None, NOW, "source vault: it is sealed")
    aws = SourceState("aws", NOW)
    for state in (failing, aws):
        await ledger.keep_source(state)
    again = await store.open()
    assert await again.source_states() == (aws, failing), "by name"
    await again.keep_source(SourceState("vault", NOW))
    assert await again.source_states() == (aws, SourceState("vault", NOW))
