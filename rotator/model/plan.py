"""The lines of a plan: one connection each, with a verdict and a reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rotator.errors import Cause
from rotator.model.connection import Connection
from rotator.model.credential import Credential
from rotator.model.record import Record
from rotator.model.secret import SecretRef


class Verdict(StrEnum):
    """What the plan says of a connection."""

    UNCHANGED = "unchanged"
    NEW = "new"
    CHANGED = "changed"
    DRIFTED = "drifted"
    UNVERIFIED = "unverified"
    """An earlier run put the credential and ended before it saw READY: verify it, and don't put it
    again."""
    BROKEN = "broken"
    """It was verified and nobody changed it since, and its endpoint refuses the credential now."""
    ADOPTED = "adopted"
    """It is not on record, and it works: it is assumed to have the present credential."""
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan: a connection, what is to be done with it, and why."""

    connection: Connection
    verdict: Verdict
    reason: str
    credential: Credential | None = None
    """None where the verdict is INVALID, and where `secret` is dynamic: then it is made only when
    its turn comes."""
    secret: SecretRef | None = None
    update: bool = False
    """Whether an update is sent: for NEW and CHANGED, and for DRIFTED unless `on_drift` is warn."""
    record: Record | None = None
    warning: str | None = None
    cause: Cause | None = None
    """Why the verdict is INVALID or BROKEN."""

    @property
    def touched(self) -> bool:
        """Whether a run does anything with the connection: updates it, or verifies it."""
        return self.update or self.verify_only

    @property
    def verify_only(self) -> bool:
        return self.verdict is Verdict.UNVERIFIED
