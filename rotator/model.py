"""The frozen values that flow from a secret to an outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from rotator.context import present_run
from rotator.errors import Cause

USABLE_PHASES = frozenset({"READY", "ACTIVE"})
"""READY is the word of the documentation, ACTIVE that of the contract's enumeration."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A Flink connection as a list page shows it; its credential is write-only, so not here."""

    target: str
    name: str
    type: str
    endpoint: str
    phase: str
    detail: str = ""
    resource_version: str | None = None
    updated_at: datetime | None = None
    created_at: datetime | None = None
    uid: str | None = None

    @property
    def usable(self) -> bool:
        return self.phase in USABLE_PHASES

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
class Lease:
    """A claim on a dynamic credential, as a source answered it; without the value."""

    id: str
    duration: float
    """Seconds, from the answer; 0: it has no end of its own."""
    renewable: bool
    owner: str | None = None
    """The accessor of the token that it was made with, and that it dies with."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The token that a source works with at present, without the token."""

    id: str | None
    """Its accessor; batch tokens have none."""
    lasts: float | None
    """Seconds until it ends, unless it is renewed; None: it never does."""
    lasts_at_most: float | None
    """Seconds until it ends even though it is renewed; None: as long as it is renewed."""
    ended: frozenset[str] = frozenset()
    """Accessors of tokens before it that were refused before their time: whoever revoked them took
    their leases along."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as it was read: alive only until its text becomes a credential."""

    ref: SecretRef
    version: str
    """Changes when the secret does; comparable only for equality, and no trace of the value."""
    fields: Mapping[str, object] = field(repr=False)
    changes_in: float | None = None
    """Seconds after which another version is due, where the source knows."""
    lease: Lease | None = None
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


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the configuration needs of a source, and whether it may have it."""

    what: str
    """As a person would say it: `read kv/data/flink/openai`."""
    problem: str = ""
    """Empty where it works; else what is missing, and the remedy."""
    required: bool = True
    """Whether rotator can't do its work without it; else it does with less."""


_SHORTEST_SCRUBBED = 4
"""A shorter value stands in too many words by chance."""
_NO_SECRETS = frozenset({"AUTH_TYPE", "TRANSPORT_TYPE"})


@dataclass(frozen=True, slots=True)
class Credential:
    """The auth data of one connection, replaced whole by an update."""

    data: Mapping[str, str] = field(repr=False)
    fingerprint: str
    secret_version: str
    changed_at: datetime | None = None
    """Of the secret, as it is there."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", MappingProxyType(dict(self.data)))

    def scrub(self, text: str) -> str:
        """Without any of the values: an endpoint may echo the key that it refuses."""
        values = [value for key, value in self.data.items() if key not in _NO_SECRETS]
        for value in sorted(values, key=len, reverse=True):
            if len(value) >= _SHORTEST_SCRUBBED:
                text = text.replace(value, "<redacted>")
        return text


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

    @property
    def leases(self) -> frozenset[str]:
        """What this connection may live on, if these versions are ids of leases."""
        return frozenset(filter(None, (self.secret_version, self.verified_version)))


class LeaseState(StrEnum):
    ASKED = "asked"
    """A read that makes it was sent. Without an answer nobody knows its id: it ends by itself."""
    LIVE = "live"
    """Renewed for as long as a connection needs it."""
    RETIRED = "retired"
    """No connection needs it any more: revoked after a while."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease as the ledger keeps it: all that it takes to renew, replace and revoke it."""

    id: str
    """Also the `secret_version` of the connections that live on it."""
    ref: SecretRef
    rotation: str
    run_id: str
    state: LeaseState
    made_at: datetime
    duration: float
    """Seconds, as first granted."""
    renewable: bool
    expires_at: datetime | None
    """None: it has no end of its own."""
    mapping: str
    """A digest of the options and fields that the credential was made of."""
    owner: str | None = None
    """The accessor of the token that it dies with."""
    owner_ends_at: datetime | None = None
    """Of that token, as last seen; None: it never does, or nobody knows."""
    revoke_at: datetime | None = None
    """Of one that is RETIRED."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """How a source answered lately, as far as the daemon saw."""

    source: str
    ok_at: datetime | None
    """Of the last read or probe that worked."""
    failing_since: datetime | None = None
    reason: str = ""
    """What it said last, where it fails."""


class Verdict(StrEnum):
    """What the plan says of one connection."""

    UNCHANGED = "unchanged"
    NEW = "new"
    CHANGED = "changed"
    DRIFTED = "drifted"
    UNVERIFIED = "unverified"
    """Put by an earlier run that ended before it saw READY: verify, don't put again."""
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


class Result(StrEnum):
    """How an outcome counts in `rotator_credentials_total`."""

    ROTATED = "rotated"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one connection in one run: the one record that every observer sees."""

    run_id: str
    rotation: str
    target: str
    connection: str
    result: Result
    reason: str
    at: datetime
    phase: str | None = None
    resource_version: str | None = None
    fingerprint: str | None = None
    secret_version: str | None = None
    verify_seconds: float | None = None
    """From the answer to the update until READY was seen."""


class RunResult(StrEnum):
    """How a run ended; the first three are the values of the metric's `result` label."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    """Told to stop, or killed: the next run finishes its work. Not counted as a run of its own."""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of one rotation."""

    id: str
    rotation: str
    trigger: str
    """`schedule`, `watch`, `lease`, `start`, `missed`, `resume`, `command` or `http`."""
    started_at: datetime
    finished_at: datetime | None = None
    result: RunResult | None = None
    reason: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Result → number of connections."""


class Occasion(StrEnum):
    """What people are told of; the values of `notify[].events`."""

    FAILED = "failed"
    """Or refused itself."""
    ROLLED_BACK = "rolled_back"
    QUARANTINED = "quarantined"
    RECOVERED = "recovered"
    """The first success after any of these was told."""


# What observers are told, in the order in which it happens. No event holds a value.


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
