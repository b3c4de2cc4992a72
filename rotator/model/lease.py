"""Leases of credentials that a source makes for us."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rotator.model.secret import SecretRef


@dataclass(frozen=True, slots=True)
class Owner:
    """The token that a source works with at present, without the token."""

    id: str | None
    """Its accessor; batch tokens have none."""
    lasts: float | None
    """Seconds until it ends, unless it is renewed; None: it never does."""
    lasts_at_most: float | None
    """Seconds until it ends even though it is renewed; None: as long as it is renewed."""
    ended: frozenset[str] = frozenset()
    """Accessors of earlier tokens that were refused before their time. Whoever revoked them ended
    their leases too."""


class LeaseState(StrEnum):
    """How far the life of a lease has come."""

    ASKED = "asked"
    """The read that makes it was sent. If no answer comes, nobody knows its id, and it ends by
    itself."""
    LIVE = "live"
    """A connection needs it, so it is renewed."""
    RETIRED = "retired"
    """No connection needs it any more, so it is revoked after a while."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease as the ledger keeps it, with everything needed to renew, replace and revoke it."""

    id: str
    """Also the `secret_version` of the connections that live on it."""
    ref: SecretRef
    rotation: str
    run_id: str
    state: LeaseState
    made_at: datetime
    duration: float
    """Seconds, as first granted."""
    renewable: bool
    expires_at: datetime | None
    """None: it has no end of its own."""
    mapping: str
    """A digest of the options and fields that the credential was made of."""
    owner: str | None = None
    """The accessor of the token that it dies with."""
    owner_ends_at: datetime | None = None
    """When that token ends, as last seen; None: never, or nobody knows."""
    revoke_at: datetime | None = None
    """When to revoke it; None unless it is RETIRED."""
