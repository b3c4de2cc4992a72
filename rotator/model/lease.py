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
    """Accessors of tokens before it that were refused before their time: whoever revoked them took
    their leases along."""


class LeaseState(StrEnum):
    ASKED = "asked"
    """A read that makes it was sent. Without an answer nobody knows its id: it ends by itself."""
    LIVE = "live"
    """Renewed for as long as a connection needs it."""
    RETIRED = "retired"
    """No connection needs it any more: revoked after a while."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease as the ledger keeps it: all that it takes to renew, replace and revoke it."""

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
    """Of that token, as last seen; None: it never does, or nobody knows."""
    revoke_at: datetime | None = None
    """Of one that is RETIRED."""
