"""What is shown, and the seam through which it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rotator.model import Outcome, Run


@dataclass(frozen=True, slots=True)
class Health:
    ok: bool
    checks: dict[str, str]
    """What was looked at → `ok`, or what is missing."""


@dataclass(frozen=True, slots=True)
class RotationView:
    name: str
    targets: tuple[str, ...]
    schedule: str | None
    watch: str | None
    next_run: datetime | None
    running: str | None
    """The id of the run that is under way."""
    last_run: Run | None


@dataclass(frozen=True, slots=True)
class ConnectionView:
    target: str
    connection: str
    rotation: str
    phase: str | None
    stage: str
    rotated_at: datetime | None
    verified_at: datetime | None
    secret_version: str
    error: str | None
    run: str


class NoSuchRotation(Exception):
    """Nothing of this name is configured."""


class State(Protocol):
    """What the daemon knows. Raises LedgerError."""

    def livez(self) -> Health: ...

    async def readyz(self) -> Health: ...

    async def rotations(self) -> Sequence[RotationView]: ...

    async def connections(self) -> Sequence[ConnectionView]: ...

    async def runs(self, rotation: str | None, limit: int) -> Sequence[Run]: ...

    async def run(self, run_id: str) -> tuple[Run, tuple[Outcome, ...]] | None: ...

    async def start(self, rotation: str) -> Run:
        """Raises NoSuchRotation, and RunInProgress with the id of the run under way."""
        ...
