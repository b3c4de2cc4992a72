"""Values that tests of ledgers write and read again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.model.lease import HeldLease, LeaseState
from rotator.model.record import Record, Stage
from rotator.model.run import Outcome, Result, Run, Settlement
from rotator.model.secret import SecretRef

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RECORD = Record("prod", "a", "openai", Stage.INTENDED, "f" * 64, "v2", None, "7", "run-1", NOW, "u")
VERIFIED = replace(
    RECORD,
    stage=Stage.VERIFIED,
    resource_version="8",
    phase="READY",
    verified_fingerprint="f" * 64,
    verified_version="v2",
    put_at=NOW,
    rotated_at=NOW,
    verified_at=NOW + timedelta(microseconds=1),
    older_versions=("5", "6"),
)
RUN = Run("run-1", "openai", "command", NOW)
OUTCOME = Outcome("run-1", "openai", "prod", "a", Result.ROTATED, "READY", NOW, verify_seconds=1.5)
LEASE = HeldLease(
    id="database/creds/flink/one",
    ref=SecretRef("vault", "creds/flink", "database", holder="openai"),
    rotation="openai",
    run_id="run-1",
    state=LeaseState.LIVE,
    made_at=NOW,
    duration=3600.5,
    renewable=True,
    expires_at=NOW + timedelta(hours=1),
    mapping="m",
)


def now() -> datetime:
    return NOW


def settled(name: str = "a", record: Record | None = None, **outcome: Any) -> Settlement:
    """How a connection of this name ended, without a record unless one is given."""
    return Settlement(record, replace(OUTCOME, connection=name, **outcome))
