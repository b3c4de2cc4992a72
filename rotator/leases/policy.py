"""When a leased credential is renewed, replaced and revoked. Decided without touching anything.

A lease ends by itself, or with the token that made it, whichever is first. It is renewed for as
long as a connection needs it; where that no longer helps, its credential is replaced in time.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from rotator.model.lease import HeldLease, LeaseState, Owner
from rotator.model.record import Record
from rotator.model.secret import Grant

RENEWED_AT = 1 / 3
"""Of its duration left; as the lifetime watcher of Vault's own client does:
https://github.com/hashicorp/vault/blob/v1.18.0/api/lifetime_watcher.go
"""
_SPREAD = 0.1
"""Of that, earlier or later, so that many leases made at once are not renewed at once."""
_WORTHWHILE = 0.9
"""Of what was asked: a renewal that grants less has met the maximum, and will grant less again."""
UNKNOWN_FOR = timedelta(days=32)
"""For which an unanswered read is remembered: longer than Vault's default maximum of a lease."""


def made(asked: HeldLease, lease: Grant, at: datetime) -> HeldLease:
    """The answer to what was asked. `at` is when it was asked: no later than it began to live."""
    return replace(
        asked,
        id=lease.id,
        state=LeaseState.LIVE,
        made_at=at,
        duration=lease.duration,
        renewable=lease.renewable,
        expires_at=_after(at, lease.duration),
        owner=lease.owner,
    )


def renewed(lease: HeldLease, granted: Grant, at: datetime) -> HeldLease:
    """With its new end; not renewable any more where its maximum came in sight."""
    capped = granted.duration < lease.duration * _WORTHWHILE
    return replace(
        lease,
        expires_at=_after(at, granted.duration),
        renewable=granted.renewable and not capped,
    )


def owned(lease: HeldLease, owner: Owner, now: datetime) -> HeldLease:
    """With the present end of its token, if it is this token's or one that came to nothing."""
    if lease.owner in owner.ended:
        known = lease.owner_ends_at
        return lease if known and known <= now else replace(lease, owner_ends_at=now)
    if lease.owner is None or lease.owner != owner.id:
        return lease
    ends = _owner_end(owner, now)
    known = lease.owner_ends_at
    if ends and known and abs(ends - known) < timedelta(seconds=30):
        return lease  # not worth a write every few seconds
    return replace(lease, owner_ends_at=ends)


def ends_at(lease: HeldLease, owner: Owner | None, now: datetime) -> datetime | None:
    """When its credential stops to work, if the lease is renewed no more; None: never.

    A token that this process holds is renewed too; that of a process that is gone is not.
    """
    ends = [lease.expires_at]
    if lease.owner is not None:
        if owner is not None and owner.id == lease.owner:
            ends.append(_owner_end(replace(owner, lasts=owner.lasts_at_most), now))
        else:
            ends.append(lease.owner_ends_at)
    return min((end for end in ends if end is not None), default=None)


def renewable(lease: HeldLease, now: datetime) -> bool:
    return (
        lease.renewable
        and lease.state is not LeaseState.ASKED
        and lease.expires_at is not None
        and lease.expires_at > now
    )


def renewal_due(lease: HeldLease, now: datetime) -> bool:
    if not renewable(lease, now) or lease.expires_at is None:
        return False
    left = (lease.expires_at - now).total_seconds()
    return left <= lease.duration * RENEWED_AT * _spread(lease.id)


def replacement_due(lease: HeldLease, ends: datetime | None, now: datetime, lead: float) -> bool:
    """Whether too little is left of it to wait any longer.

    `lead` is what replacing takes at the worst, in seconds. Between a fifth and a quarter of its
    life: later than its renewal, and of a short life no more than that, so that what has just been
    made is never due.
    """
    if ends is None:
        return False
    life = (ends - lease.made_at).total_seconds()
    if lease.duration > 0:
        life = min(life, lease.duration)
    margin = min(max(life / 5, lead), life / 4)
    return (ends - now).total_seconds() <= margin


def lead(verify_timeout: float) -> float:
    """Seconds that replacing takes at the worst: two tries, and a minute for all the rest."""
    return 2 * verify_timeout + 60


def stale(
    lease: HeldLease | None, ends: datetime | None, now: datetime, lead: float, mapping: str
) -> str | None:
    """Why the credential of a lease can't stay where it is; None: it can."""
    if lease is None or lease.state is not LeaseState.LIVE:
        return "its lease has ended"
    if lease.mapping != mapping:
        return "the mapping of its credential changed"
    if replacement_due(lease, ends, now, lead):
        return "its lease is about to end"
    return None


def unused(
    leases: Iterable[HeldLease],
    records: Iterable[Record],
    now: datetime,
    *,
    gone: Collection[tuple[str, str]] = (),
    left: Collection[tuple[str, str]] = (),
) -> tuple[HeldLease, ...]:
    """Live leases that no connection needs: replaced, or made by a run that died before it put
    them.

    `gone` are connections (target, name) that no longer exist. `left` are those that the rotation
    doesn't match any more: they live on their lease until it ends, and then nobody replaces it.
    """
    needed: set[str] = set()
    until_ended: set[str] = set()
    for record in records:
        place = (record.target, record.connection)
        if place not in gone and record.gone_at is None:
            (until_ended if place in left else needed).update(record.leases)
    return tuple(
        lease
        for lease in leases
        if lease.state is LeaseState.LIVE
        and lease.id not in needed
        and (lease.id not in until_ended or _ended(lease, now))
    )


def _ended(lease: HeldLease, now: datetime) -> bool:
    return lease.expires_at is not None and lease.expires_at <= now


def retired(lease: HeldLease, revoke_at: datetime) -> HeldLease:
    return replace(lease, state=LeaseState.RETIRED, revoke_at=revoke_at)


def over(lease: HeldLease, owner: Owner | None, now: datetime) -> bool:
    """Whether it has ended by itself, so that there is nothing left to revoke."""
    if lease.state is LeaseState.ASKED:
        return now - lease.made_at > UNKNOWN_FOR
    ends = ends_at(lease, owner, now)
    return ends is not None and ends <= now


def _after(moment: datetime, seconds: float) -> datetime | None:
    """None for no time at all, which means that there is no end, and for more than there is."""
    if seconds <= 0:
        return None
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _owner_end(owner: Owner, now: datetime) -> datetime | None:
    return None if owner.lasts is None else _after(now, max(owner.lasts, 0.001))


def _spread(lease_id: str) -> float:
    part = zlib.crc32(lease_id.encode(errors="replace")) / 0xFFFFFFFF
    return 1 - _SPREAD + 2 * _SPREAD * part
