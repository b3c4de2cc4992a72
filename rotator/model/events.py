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
    """What people are notified of. These are the values of `notify[].events`."""

    FAILED = "failed"
    """A run failed, or its plan was refused."""
    ROLLED_BACK = "rolled_back"
    QUARANTINED = "quarantined"
    RECOVERED = "recovered"
    """The first success after a notification of one of these."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run holds its lock and has begun."""

    run: Run


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of a run is made."""

    run_id: str
    rotation: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """All connections that a rotation matches in these targets, as they are now."""

    rotation: str
    targets: frozenset[str]
    """The targets that answered."""
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
    """A connection's part in a run is over."""

    outcome: Outcome
    cause: Cause | None = None
    """Why it failed; None where it did not."""
    request_id: str | None = None
    """The X-Request-Id of the answer that made it fail, where there was one."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run has ended, however it did."""

    run: Run
    cause: Cause | None = None
    """Why it failed or was refused: the first cause that there was."""
    request_id: str | None = None
    """The X-Request-Id of the answer that made the run as a whole fail, where there was one."""


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """One request to a target has ended. `status` is a number, or `timeout` or `error`."""

    target: str
    method: str
    status: str
    seconds: float
    request_id: str | None = None
    ahead: float | None = None
    """Seconds by which the target's clock is ahead of ours; None where it was not compared."""
    run_id: str | None = field(default_factory=present_run, kw_only=True)
    """The run that it was made for, if any. It is known where the event is made, and not later."""


@dataclass(frozen=True, slots=True)
class SourceRead:
    """One operation of a source has ended. `result` is `ok`, or that of the SourceError."""

    source: str
    operation: str
    """`read`, `probe`, `examine`, `renew`, `revoke`, `login`, `renew_token` or `keep_alive`."""
    result: str
    seconds: float
    reason: str = ""
    """Why it failed, in words."""
    run_id: str | None = field(default_factory=present_run, kw_only=True)
    """The run that it was made for, if any. Where several wait, it is the run that asked first."""


@dataclass(frozen=True, slots=True)
class SecretHinted:
    """A source announced a change by itself. It is a reason to look, and no more."""

    source: str
    path: str
    """What changed, with its mount, as the source writes it; empty: nobody knows."""


@dataclass(frozen=True, slots=True)
class TokenSeen:
    """A source was seen with this token."""

    source: str
    ends_at: datetime | None
    """None: it never ends."""


@dataclass(frozen=True, slots=True)
class LeasesSeen:
    """All leases of the ledger, after the keeper has seen to them."""

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
"""`lost`: it was asked for, and no answer came. `shortened`: rotator may not revoke it, so it was
renewed for one second."""


@dataclass(frozen=True, slots=True)
class LeaseChanged:
    """A lease took a step, or failed to."""

    lease: HeldLease
    what: LeaseStep
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Notified:
    """How the delivery of a notification to one webhook went.

    `result` is `sent`, `failed` (given up), `dropped` (too many were waiting), or `delayed` (it is
    tried again later; this is told once).
    """

    id: str
    occasion: Occasion
    rotation: str
    receiver: str
    """The host of the webhook. The rest of its URL may be a secret."""
    result: str
    reason: str = ""
    """Why it was not sent. Where several in a row are `dropped`, only the first has one."""
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
