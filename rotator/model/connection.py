"""A Flink connection as a target shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Condition(StrEnum):
    """What a phase says about the credential, whatever the target calls the phase."""

    USABLE = "usable"
    """The credential works."""
    REJECTED = "rejected"
    """The endpoint refuses the credential."""
    UNREACHABLE = "unreachable"
    """The endpoint can't be reached, which says nothing about the credential."""
    UNSETTLED = "unsettled"
    """Anything else: neither a success nor a failure."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A Flink connection as a list page shows it. Credentials are write-only, so it has none."""

    target: str
    name: str
    type: str
    endpoint: str
    phase: str
    """The target's own word. It is shown to people; decisions use `condition`."""
    condition: Condition
    """What the phase means."""
    detail: str = field(default="", repr=False)
    """What an endpoint says, which may hold the credential that it refuses."""
    resource_version: str | None = None
    updated_at: datetime | None = None
    created_at: datetime | None = None
    uid: str | None = None

    @property
    def usable(self) -> bool:
        return self.condition is Condition.USABLE

    def same_as(self, other: Connection) -> bool:
        """Whether both are views of one connection, and not of two that had the same name in turn.

        Type and endpoint never change; where a target tells no uid, the time of creation decides.
        """
        if (self.type, self.endpoint) != (other.type, other.endpoint):
            return False
        if self.uid and other.uid:
            return self.uid == other.uid
        if self.created_at and other.created_at:
            return self.created_at == other.created_at
        return True

    def moved_since(self, earlier: Connection) -> bool:
        """Whether this view shows a later write than `earlier` does.

        A status has no observed generation, so this is the only sign that a phase belongs to our
        own write. Versions that are numbers must grow: a replica that lags shows an older one.
        Where either view lacks a version, `updated_at` decides.
        """
        mine, theirs = self.resource_version, earlier.resource_version
        if mine and theirs:
            if mine.isdecimal() and theirs.isdecimal():
                return int(mine) > int(theirs)
            if self.updated_at and earlier.updated_at and self.updated_at < earlier.updated_at:
                return False
            return mine != theirs
        if self.updated_at and earlier.updated_at:
            return self.updated_at > earlier.updated_at
        return False
