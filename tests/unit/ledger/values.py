"""Values that the tests of the ledger write and read again."""

from __future__ import annotations

from datetime import UTC, datetime

from rotator.model import Outcome, Record, Result, Run, Stage

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RECORD = Record("prod", "a", "openai", Stage.INTENDED, "f" * 64, "v2", None, "7", "run-1", NOW, "u")
RUN = Run("run-1", "openai", "command", NOW)
OUTCOME = Outcome("run-1", "openai", "prod", "a", Result.ROTATED, "READY", NOW, verify_seconds=1.5)


def now() -> datetime:
    return NOW
