"""The rules of rotations as the core reads them, without the configuration's models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Matching:
    """Which connections a rotation means. All given conditions hold; a tuple holds alternatives.

    Every condition is a glob, and case-sensitive. None: any.
    """

    type: tuple[str, ...] | None = None
    name: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    """Names that are left out."""
    endpoint: tuple[str, ...] | None = None
    at_least: int = 1
    """A run that matches fewer connections refuses to start."""
    at_most: int | None = None
    """A run that matches more connections refuses to start."""


class LeaseSharing(StrEnum):
    """How many connections live on one lease."""

    SHARED = "shared"
    PER_CONNECTION = "per-connection"


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where the secret of a connection lives."""

    source: str
    path: str
    """May hold {connection}, {environment}, {target} and {type}."""
    engine: str | None = None
    mount: str | None = None
    version: str | None = None
    stage: str | None = None
    lease: LeaseSharing | None = None
    """None: reading it makes nothing."""
    revoke_after: timedelta = timedelta(minutes=5)
    """How long a lease is kept after every connection was verified without it."""


@dataclass(frozen=True, slots=True)
class FieldOf:
    """The value of an option: a field of the secret."""

    name: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """The value of an option that is no secret: the same for every connection."""

    value: str


class OnFailure(StrEnum):
    """What a roll-out does once more connections failed than the policy permits."""

    HALT = "halt"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class RolloutPolicy:
    """What goes first, what goes together, and when to stop. The counts are for each target."""

    canary: int = 1
    """Connections that go first; 0: none."""
    batch: int | None = None
    """Connections that go together after that; None: all the rest."""
    max_failures: int = 0
    """More failures than this stop the target."""
    max_failures_total: int | None = None
    """More failures than this, of all targets together, stop all of them. None: no such limit."""
    on_failure: OnFailure = OnFailure.HALT


@dataclass(frozen=True, slots=True)
class VerificationPolicy:
    """How a connection is watched until its update is known to work."""

    timeout: float = 300.0
    """Seconds."""
    interval: float = 2.0
    """Seconds between two looks."""
    stable: int = 2
    """Looks in a row, at least one interval apart, that must show it usable."""
    settled_version: bool = False
    """Whether the target moves the version of a connection once more when its phase settles."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rotation: which connections of which targets get which secret, and how carefully."""

    name: str
    targets: tuple[str, ...]
    matching: Matching
    secret: SecretPlace
    mapping: Mapping[str, FieldOf | Fixed]
    """The target's name of an option → where its value comes from."""
    rollout: RolloutPolicy = field(default_factory=RolloutPolicy)
    verification: VerificationPolicy = field(default_factory=VerificationPolicy)
    reapply_drift: bool = True
    """Whether a connection that somebody else changed is put right, or only reported."""

    @property
    def mapping_digest(self) -> str:
        """Which options come from which fields; changes when that does. No secret goes into it."""
        plain = {
            option: {"value": place.value} if isinstance(place, Fixed) else place.name
            for option, place in self.mapping.items()
        }
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
