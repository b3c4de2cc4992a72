"""What the ledger knows of one connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Stage(StrEnum):
    """How far the last update of a connection came. A process may die in any of them."""

    INTENDED = "intended"
    """The intent is on record. The request may or may not have left, or its answer was lost."""
    PUT = "put"
    """The update was answered, and not yet seen to work."""
    VERIFIED = "verified"
    """The connection was seen READY with this update."""
    FAILED = "failed"
    """The update was put, and the connection did not become READY."""
    REFUSED = "refused"
    """The update was not applied: the target refused it."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the ledger knows of one connection: its last update, and the last that worked."""

    target: str
    connection: str
    rotation: str
    stage: Stage
    fingerprint: str
    secret_version: str
    resource_version: str | None
    """The version that the update made, where it is known: from its answer, or from a look."""
    version_before: str | None
    """The resource version that the update was to replace."""
    run_id: str
    at: datetime
    uid: str | None = None
    """The connection's own id. A connection that was deleted and made again has another."""
    phase: str | None = None
    error: str | None = None
    verified_fingerprint: str | None = None
    rotated_at: datetime | None = None
    """When the credential that is in place was put, if it was verified."""
    verified_at: datetime | None = None
    verified_version: str | None = None
    """The version of the secret that was verified last. A lease stays alive until its connection
    was verified with another."""
    put_at: datetime | None = None
    """When the last update was answered, verified or not."""
    gone_at: datetime | None = None
    """When the target answered, asked by name, that the connection does not exist."""
    older_versions: tuple[str, ...] = ()
    """Resource versions known to be older than `resource_version`. A list that shows one of them
    lags; nobody else changed the connection."""

    maybe_in_place: tuple[str, ...] = ()
    """Versions of the secret that updates before this one may have put, since the last one that was
    verified."""

    @property
    def leases(self) -> frozenset[str]:
        """The leases that this connection may live on, if these versions are ids of leases."""
        return frozenset(
            filter(None, (self.secret_version, self.verified_version, *self.maybe_in_place))
        )
