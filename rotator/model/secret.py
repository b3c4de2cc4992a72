"""Secrets: where each lives, what was read, and what a look at it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where one secret lives. Two connections that need the same one have equal references."""

    source: str
    path: str
    engine: str | None = None
    """Of Vault; None: whatever kind of KV the mount is."""
    mount: str | None = None
    version: str | None = None
    """Pinned: a number of KV v2, a VersionId of AWS."""
    stage: str | None = None
    """Of AWS; None: AWSCURRENT."""
    holder: str | None = None
    """Who holds the lease: a rotation, or one connection of it. None: reading makes nothing."""

    @property
    def dynamic(self) -> bool:
        """Whether every read makes a new credential, with a lease: then nobody reads to look."""
        return self.holder is not None

    def __str__(self) -> str:
        return (
            f"{self.source}:{self.mount}/{self.path}"
            if self.mount
            else f"{self.source}:{self.path}"
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """A claim on a dynamic credential, as a source answered it; without the value."""

    id: str
    duration: float
    """Seconds, from the answer; 0: it has no end of its own."""
    renewable: bool
    owner: str | None = None
    """The accessor of the token that it was made with, and that it dies with."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as it was read: alive only until its text becomes a credential."""

    ref: SecretRef
    version: str
    """Changes when the secret does; comparable only for equality, and no trace of the value."""
    fields: Mapping[str, object] = field(repr=False)
    changes_in: float | None = None
    """Seconds after which another version is due, where the source knows."""
    lease: Grant | None = None
    """Exactly where the reference is dynamic."""
    changed_at: datetime | None = None
    """When this version came to be, by the clock of the source, where it tells."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))


@dataclass(frozen=True, slots=True)
class Probe:
    """What a look at a secret found, without its value where the source can."""

    version: str
    """That a read would answer with."""
    changes_in: float | None = None
    """Seconds after which another version is due, where the source knows."""
    warning: str = ""
    """What a person should know: a rotation that is stuck, say."""
