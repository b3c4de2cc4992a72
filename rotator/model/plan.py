"""What a plan says of one connection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rotator.errors import Cause
from rotator.model.connection import Connection
from rotator.model.credential import Credential
from rotator.model.record import Record
from rotator.model.secret import SecretRef


class Verdict(StrEnum):
    """What the plan says of one connection."""

    UNCHANGED = "unchanged"
    NEW = "new"
    CHANGED = "changed"
    DRIFTED = "drifted"
    UNVERIFIED = "unverified"
    """Put by an earlier run that ended before it saw READY: verify, don't put again."""
    BROKEN = "broken"
    """Verified before and not changed since, and its endpoint refuses the credential now."""
    ADOPTED = "adopted"
    """Not on record, and works: what it has is taken for the present credential, unseen."""
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan: a connection, what is to be done with it, and why."""

    connection: Connection
    verdict: Verdict
    reason: str
    credential: Credential | None = None
    """None where the verdict is INVALID, or where `secret` is dynamic: it is made when it is put.
    """
    secret: SecretRef | None = None
    update: bool = False
    """Whether an update is sent: only for NEW and CHANGED, and DRIFTED unless only warned of."""
    record: Record | None = None
    warning: str | None = None
    cause: Cause | None = None
    """Of a verdict of INVALID."""

    @property
    def verify_only(self) -> bool:
        return self.verdict is Verdict.UNVERIFIED
