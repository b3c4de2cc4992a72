"""Runs, and how each connection ended in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from rotator.model.record import Record
from rotator.model.secret import SecretRef


class Result(StrEnum):
    """How an outcome counts in `rotator_credentials_total`."""

    ROTATED = "rotated"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one connection ended in one run. Every observer sees this one value."""

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
    """The time from the answer to the update until READY was seen."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of a connection's part in a run: its new record, if it has one, and its outcome."""

    record: Record | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ActedOn:
    """The version of a secret that a run last acted on for one connection."""

    ref: SecretRef
    version: str


class RunResult(StrEnum):
    """How a run ended. The first three are the values of the label `result` of the metric."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    """It was told to stop, or killed. The next run finishes its work, so it is not counted."""


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
