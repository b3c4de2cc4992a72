"""A Flink connection as a target shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Condition(StrEnum):
    """What a phase says of the credential, whatever the target calls the phase."""

    USABLE = "usable"
    """The credential works."""
    REJECTED = "rejected"
    """The endpoint refuses the credential."""
    UNREACHABLE = "unreachable"
    """The endpoint can't be reached, which says nothing of the credential."""
    UNSETTLED = "unsettled"
    """Anything else: neither a success nor a failure."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A Flink connection as a list page shows it; its credential is write-only, so not here."""

    target: str
    name: str
    type: str
    endpoint: str
    phase: str
    """As the target calls it: shown to people, never judged by."""
    condition: Condition
    """What the phase means."""
    detail: str = ""
    resource_version: str | None = None
    updated_at: datetime | None = None
    created_at: datetime | None = None
    uid: str | None = None

    @property
    def usable(self) -> bool:
        return self.condition is Condition.USABLE

    def moved_since(self, earlier: Connection) -> bool:
        """Whether this view is of a later write than `earlier`.

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
