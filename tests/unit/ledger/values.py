"""Values that the tests of the ledger write and read again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rotator.model.lease import HeldLease, LeaseState
from rotator.model.record import Record, Stage
from rotator.model.run import Outcome, Result, Run
from rotator.model.secret import SecretRef

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RECORD = Record("prod", "a", "openai", Stage.INTENDED, "f" * 64, "v2", None, "7", "run-1", NOW, "u")
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
