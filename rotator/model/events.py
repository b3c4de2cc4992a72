"""What observers are told, in the order in which it happens. No event holds a secret value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from rotator.errors import Cause
from rotator.model.connection import Connection
from rotator.model.current_run import present_run
from rotator.model.lease import HeldLease
from rotator.model.plan import Change
from rotator.model.run import Outcome, Run


class Occasion(StrEnum):
    """What people are told of; the values of `notify[].events`."""

    FAILED = "failed"
    """Or refused itself."""
    ROLLED_BACK = "rolled_back"
    QUARANTINED = "quarantined"
    RECOVERED = "recovered"
    """The first success after any of these was told."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    run: Run


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan stands: connections as listed, and how many updates and verifications follow."""

    run_id: str
    rotation: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """All connections that a rotation matches in these targets, as they are now."""

    rotation: str
    targets: frozenset[str]
    """Those that answered."""
    connections: tuple[Connection, ...]


@dataclass(frozen=True, slots=True)
class Updated:
    """An update was answered."""

    run_id: str
    rotation: str
    target: str
    connection: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A connection's part of the run is over."""

    outcome: Outcome
    cause: Cause | None = None
    """Of a failure."""
    request_id: str | None = None
    """The X-Request-Id of the answer that it failed of, where there was one."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    run: Run
    cause: Cause | None = None
    """Of a run that failed or was refused: the first that there was."""
    request_id: str | None = None
    """As that of Settled, where the run as a whole failed of it."""


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """One request to a target. `status` is a number, or the failure: `timeout`, `error`."""

    target: str
    method: str
    status: str
    seconds: float
    request_id: str | None = None
    ahead: float | None = None
    """Seconds by which the target's clock is ahead of ours, where the answer was looked at for it.
    """
    run_id: str | None = field(default_factory=present_run, kw_only=True)
    """That it was made for, if any: known where the event is made, and nowhere later."""


@dataclass(frozen=True, slots=True)
class SourceRead:
    """One read or probe of a source. `result` is `ok`, or that of the SourceError."""

    source: str
    operation: str
    """`read`, `probe`, `examine`, `renew`, `revoke`, `login`, `renew_token` or `keep_alive`."""
    result: str
    seconds: float
    reason: str = ""
    """Of a failure, in words."""
    run_id: str | None = field(default_factory=present_run, kw_only=True)
    """As that of RequestAnswered. What several wait for belongs to the run that asked first."""


@dataclass(frozen=True, slots=True)
class SecretHinted:
    """A source says by itself that something changed: a reason to look, and no more."""

    source: str
    path: str
    """With its mount, as the source writes it; empty: nobody knows what."""


@dataclass(frozen=True, slots=True)
class TokenSeen:
    """The token that a source works with. None: it never ends."""

    source: str
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class LeasesSeen:
    """All leases of the ledger, after they were tended."""

    leases: tuple[HeldLease, ...]


LeaseStep = Literal[
    "made",
    "lost",
    "renewed",
    "not renewed",
    "retired",
    "revoked",
    "shortened",
    "not revoked",
    "ended",
]
"""`lost`: asked for, and the answer did not come. `shortened`: may not be revoked, so it was
renewed for a second."""


@dataclass(frozen=True, slots=True)
class LeaseChanged:
    lease: HeldLease
    what: LeaseStep
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Notified:
    """What became of a notification on its way to one webhook.

    `result` is `sent`, `failed` (given up) or `dropped` (too many before it), or `delayed`: to be
    tried again, told once.
    """

    id: str
    occasion: Occasion
    rotation: str
    receiver: str
    """The host alone: the rest of the URL may be a secret."""
    result: str
    reason: str = ""
    """Of `dropped`, only the first time in a row."""
    attempts: int = 0


Event = (
    RunStarted
    | Planned
    | Listed
    | Updated
    | Settled
    | RunFinished
    | RequestAnswered
    | SourceRead
    | SecretHinted
    | TokenSeen
    | LeasesSeen
    | LeaseChanged
    | Notified
)
