"""The values that the page and the API show, and the protocols that they are read through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rotator.model.run import Outcome, Run


@dataclass(frozen=True, slots=True)
class Health:
    ok: bool
    checks: dict[str, str]
    """What was checked → `ok`, or what is missing."""


@dataclass(frozen=True, slots=True)
class ProgressView:
    total: int
    """Connections of the plan; 0 before there is one."""
    put: int
    settled: int
    failed: int


@dataclass(frozen=True, slots=True)
class RotationView:
    name: str
    targets: tuple[str, ...]
    schedule: str | None
    watch: str | None
    next_run: datetime | None
    running: str | None
    """The id of the run in progress."""
    last_run: Run | None
    cron: str | None = None
    timezone: str | None = None
    progress: ProgressView | None = None


@dataclass(frozen=True, slots=True)
class ConnectionView:
    target: str
    connection: str
    rotation: str
    phase: str | None
    stage: str
    """The stage of its record in the ledger; `unknown` if it has none."""
    rotated_at: datetime | None
    """When the last credential that was verified was put."""
    verified_at: datetime | None
    secret_version: str | None
    error: str | None
    run: str | None
    type: str | None = None
    """None until this process has listed it; the same goes for `endpoint`."""
    endpoint: str | None = None
    too_old: bool = False
    """Whether its credential is older than max_age of its rotation."""
    put_at: datetime | None = None
    """When a credential was put last, verified or not; None: rotator never put any."""

    @property
    def verified(self) -> bool:
        """Whether READY was seen for what was put last."""
        put_at, verified_at = self.put_at, self.verified_at
        return put_at is not None and verified_at is not None and verified_at >= put_at

    @property
    def needs_attention(self) -> bool:
        return self.too_old or self.error is not None or self.phase not in _FINE


_FINE = {"READY", "ACTIVE", "PENDING", None}


@dataclass(frozen=True, slots=True)
class SourceView:
    name: str
    kind: str
    ok_at: datetime | None
    """When the last read or probe succeeded."""
    failing_since: datetime | None
    reason: str
    token_ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class LeaseView:
    id: str
    source: str
    holder: str | None
    rotation: str
    state: str
    made_at: datetime
    expires_at: datetime | None
    revoke_at: datetime | None


class NoSuchRotation(Exception):
    """Nothing of this name is configured."""


class HealthReader(Protocol):
    def livez(self) -> Health: ...

    async def readyz(self) -> Health: ...


class RotationReader(Protocol):
    """Rotations and runs. Raises LedgerError."""

    async def rotations(self) -> Sequence[RotationView]: ...

    async def runs(self, rotation: str | None, limit: int) -> Sequence[Run]:
        """The newest first."""
        ...

    async def run(self, run_id: str) -> tuple[Run, tuple[Outcome, ...]] | None: ...

    def progress(self, run_id: str) -> ProgressView | None:
        """The progress; None if the run is not in progress."""
        ...

    async def start(self, rotation: str) -> Run:
        """Starts a run. Raises NoSuchRotation, and RunInProgress with the id of the run in
        progress."""
        ...


class ConnectionReader(Protocol):
    """Raises LedgerError."""

    async def connections(self) -> Sequence[ConnectionView]: ...

    async def outcomes(self, target: str, connection: str) -> Sequence[Outcome]:
        """The newest first, and no more than anybody would read."""
        ...


class SourceReader(Protocol):
    """Sources, and the leases that they granted. Raises LedgerError."""

    async def sources(self) -> Sequence[SourceView]: ...

    async def leases(self) -> Sequence[LeaseView]: ...


@dataclass(frozen=True, slots=True)
class DaemonView:
    """Everything that is shown of the daemon, each part from the object that knows it."""

    health: HealthReader
    rotations: RotationReader
    connections: ConnectionReader
    sources: SourceReader
    leader: Callable[[], str | None]
    """Who leads, where that is another process; empty if nobody is known to. None: this one."""
