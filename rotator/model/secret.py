"""Secrets: where each is, what was read, and what a probe found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where one secret is. Two connections that need the same secret have equal references."""

    source: str
    path: str
    engine: str | None = None
    """The secrets engine of Vault; None: whatever kind of KV the mount is."""
    mount: str | None = None
    version: str | None = None
    """A pinned version: a number of KV v2, or a VersionId of AWS."""
    stage: str | None = None
    """The staging label of AWS; None: AWSCURRENT."""
    holder: str | None = None
    """Who holds the lease: a rotation, or one of its connections. None: no read makes one."""

    @property
    def dynamic(self) -> bool:
        """Whether every read makes a new credential with a lease, so that nothing may read it just
        to look."""
        return self.holder is not None

    def __str__(self) -> str:
        return (
            f"{self.source}:{self.mount}/{self.path}"
            if self.mount
            else f"{self.source}:{self.path}"
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """The lease of a dynamic credential as the source answered it, without the value."""

    id: str
    duration: float
    """Seconds from the answer until it ends; 0: it has no end of its own."""
    renewable: bool
    owner: str | None = None
    """The accessor of the token that it was made with, and that it dies with."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as it was read. It is kept only until a credential is made of it."""

    ref: SecretRef
    version: str
    """It changes when the secret does. It can be compared for equality alone, and tells nothing of
    the value."""
    fields: Mapping[str, object] = field(repr=False)
    changes_in: float | None = None
    """Seconds after which another version is due, where the source knows."""
    lease: Grant | None = None
    """Present exactly where the reference is dynamic."""
    changed_at: datetime | None = None
    """When this version was made, by the clock of the source, where the source tells."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))


@dataclass(frozen=True, slots=True)
class Probe:
    """What a look at a secret found, without its value where the source can."""

    version: str
    """The version that a read would answer with."""
    changes_in: float | None = None
    """Seconds after which another version is due, where the source knows."""
    warning: str = ""
    """What a person should know, for example that a rotation is stuck."""
