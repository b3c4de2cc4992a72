"""sys/leases: lookup, renewal and revocation of leases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.support.vault.answers import (
    DATABASE_DOWN,
    LEASE_EXPIRED,
    LEASE_IRREVOCABLE,
    LEASE_NOT_FOUND,
    LEASE_NOT_RENEWABLE,
    Answered,
    envelope,
    failed,
    refused,
    stamp,
    unsupported,
)
from tests.support.vault.calls import Call
from tests.support.vault.durations import duration, span
from tests.support.vault.state import State
from tests.support.vault.things import LeaseState


def answer(vault: State, call: Call) -> Any:
    if not call.writes:
        raise unsupported()
    sent = call.sent()
    if not sent.get("lease_id"):
        raise refused(400, ["lease_id must be specified"])
    lease = vault.leases.get(sent["lease_id"])
    match call.path.removeprefix("sys/leases/"):
        case "lookup":
            return _lookup(vault, lease)
        case "renew":
            return _renew(vault, lease, duration(sent.get("increment")))
        case "revoke":
            _revoke(vault, lease, wait=sent.get("sync", True) is not False)
            raise Answered(204)
        case _:
            raise unsupported()


def _lookup(vault: State, lease: LeaseState | None) -> Any:
    if lease is None:
        raise refused(400, ["invalid lease"])
    return envelope(
        {
            "expire_time": stamp(lease.expires),
            "id": lease.id,
            "issue_time": stamp(lease.issued),
            "last_renewal": stamp(lease.last_renewal) if lease.last_renewal else None,
            "path": lease.path,
            "renewable": lease.renewable,
            "ttl": int((lease.expires - vault.now).total_seconds()),
        }
    )


def _renew(vault: State, lease: LeaseState | None, increment: float) -> Any:
    if lease is None:
        raise refused(400, LEASE_NOT_FOUND)
    if lease.irrevocable:
        raise refused(400, LEASE_IRREVOCABLE)
    if lease.expires <= vault.now:
        raise refused(400, LEASE_EXPIRED)
    if not lease.renewable:
        raise refused(400, LEASE_NOT_RENEWABLE)
    if vault.database_down:
        raise failed("renew", DATABASE_DOWN)
    granted = span(vault.now, lease.issued, increment or lease.ttl, (lease.max_ttl,))
    expires = vault.now + timedelta(seconds=granted.seconds)
    owner = vault.tokens[lease.token]
    if owner.kind == "batch" and owner.expires is not None:
        expires = min(expires, owner.expires)
    lease.expires, lease.last_renewal = expires, vault.now
    return envelope(
        None,
        lease_id=lease.id,
        renewable=lease.renewable,
        lease_duration=int((expires - vault.now).total_seconds()),
        warnings=granted.warnings,
    )


def _revoke(vault: State, lease: LeaseState | None, *, wait: bool) -> None:
    """An unknown lease counts as revoked. Without `wait`, a lease ends before the next request."""
    if lease is not None and wait:
        vault.end_lease(lease)
    elif lease is not None:
        lease.revoking = True
    if not wait:
        raise Answered(202)
