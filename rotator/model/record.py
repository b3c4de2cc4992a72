"""What the ledger knows of one connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Stage(StrEnum):
    """How far the last update of a connection came. Each is safe to die in."""

    INTENDED = "intended"
    """Written down; the request may or may not have been sent, or its answer is lost."""
    PUT = "put"
    """Answered; not yet seen READY."""
    VERIFIED = "verified"
    """READY was seen for this write."""
    FAILED = "failed"
    """Put, but did not become READY."""
    REFUSED = "refused"
    """Never applied: the target said no."""


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
    """After the update, as far as it is known: from its answer, or as seen when it was verified."""
    version_before: str | None
    """The resource version that the update was to replace."""
    run_id: str
    at: datetime
    uid: str | None = None
    """Of the connection: one that was deleted and made again has another."""
    phase: str | None = None
    error: str | None = None
    verified_fingerprint: str | None = None
    rotated_at: datetime | None = None
    """When the credential that is in place was put, if it was verified."""
    verified_at: datetime | None = None
    verified_version: str | None = None
    """Of the secret; a lease stays alive until its connection was verified with another."""
    put_at: datetime | None = None
    """When the last update was answered, whether or not it was verified since."""
    gone_at: datetime | None = None
    """When the target answered, asked by name, that the connection does not exist."""
    older_versions: tuple[str, ...] = ()
    """Resource versions known to be older than `resource_version`. A list that shows one of them
    lags; nobody else changed the connection."""

    @property
    def leases(self) -> frozenset[str]:
        """What this connection may live on, if these versions are ids of leases."""
        return frozenset(filter(None, (self.secret_version, self.verified_version)))
