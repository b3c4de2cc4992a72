"""A fleet to look at: rotations, connections, sources and leases as a daemon would show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.web.views import ConnectionView, LeaseView, ProgressView, RotationView, SourceView
from tests.support.http_state import HeldState

HOUR = timedelta(hours=1)
KINDS = (
    ("openai", "OPENAI", "https://api.openai.com/v1"),
    ("bedrock", "BEDROCK", "https://bedrock-runtime.us-east-1.amazonaws.com/model"),
    ("mongodb", "MONGODB", "mongodb+srv://cluster0.example.net"),
    ("search", "PINECONE", "https://products.svc.example.io"),
)
BROKEN = "openai-007"


def fleet(size: int = 40, now: datetime | None = None) -> HeldState:
    """One connection is broken, one credential too old, one run in progress, one source away."""
    now = now or datetime.now(UTC)
    done = Run(
        "20261121T030000Z-openai-3fa2c1", "openai", "schedule", now - 5 * HOUR,
        now - 5 * HOUR + timedelta(seconds=41), RunResult.FAILED,
        "Stopped after openai-007 was rejected (INVALID_AUTH); 3 others were not touched",
        {"rotated": 6, "failed": 1, "skipped": 3},
    )  # fmt: skip
    fine = Run(
        "20261120T220000Z-mongodb-9b01aa", "mongodb", "watch", now - 10 * HOUR,
        now - 10 * HOUR + timedelta(seconds=12), RunResult.SUCCEEDED, "", {"rotated": 10},
    )  # fmt: skip
    going = Run("20261121T080000Z-bedrock-77d0e2", "bedrock", "watch", now - timedelta(seconds=20))
    progress = ProgressView(total=12, put=8, settled=5, failed=0)
    return HeldState(
        now,
        views=(
            rotation("openai", now, done, cron="0 3 * * *"),
            rotation("bedrock", now, going, running=going.id, progress=progress),
            rotation("mongodb", now, fine),
            rotation("search", now, None, cron="30 4 * * sun"),
        ),
        held=tuple(connection(number, now) for number in range(size)),
        read=(
            SourceView("vault", "vault", now - timedelta(seconds=9), None, "", now + HOUR),
            SourceView(
                "aws", "aws-secrets-manager", now - HOUR, now - timedelta(minutes=12),
                "source aws, flink/search: it does not answer (no answer within 10 s)", None,
            ),
        ),
        lent=(
            LeaseView(
                "database/creds/flink/u7", "vault", "mongodb", "mongodb", "live", now - 10 * HOUR,
                now + 14 * HOUR, None,
            ),
        ),
        known={done.id: (done, outcomes(done, now)), going.id: (going, ())},
        history=outcomes(done, now),
        under_way={going.id: progress},
    )  # fmt: skip


def rotation(
    name: str,
    now: datetime,
    last: Run | None,
    *,
    cron: str | None = None,
    running: str | None = None,
    progress: ProgressView | None = None,
) -> RotationView:
    return RotationView(
        name=name,
        targets=("prod-us-east-1",),
        schedule=f"cron {cron} (Europe/Berlin)" if cron else None,
        watch=None if cron else "watched every 60 s",
        next_run=now + 19 * HOUR if cron else None,
        running=running,
        last_run=last,
        cron=cron,
        timezone="Europe/Berlin" if cron else None,
        progress=progress,
    )


def connection(number: int, now: datetime) -> ConnectionView:
    kind, type_, endpoint = KINDS[number % len(KINDS)]
    name = f"{kind}-{number // len(KINDS) + 1:03d}"
    broken = name == BROKEN
    put_at = now - (number % 23) * HOUR - timedelta(days=number % 11)
    return ConnectionView(
        target="prod-us-east-1",
        connection=name,
        rotation=kind,
        phase="INVALID_AUTH" if broken else "READY",
        stage="failed" if broken else "verified",
        rotated_at=put_at - timedelta(days=7) if broken else put_at,
        verified_at=put_at - timedelta(days=7) if broken else put_at,
        secret_version="7",
        error="INVALID_AUTH: the endpoint answered 401" if broken else None,
        run="20261121T030000Z-openai-3fa2c1",
        type=type_,
        endpoint=endpoint,
        too_old=number == 3,
        put_at=put_at,
    )


def outcomes(run: Run, now: datetime) -> tuple[Outcome, ...]:
    failed = Outcome(
        run.id, "openai", "prod-us-east-1", BROKEN, Result.FAILED,
        "INVALID_AUTH: the endpoint answered 401", now - 5 * HOUR, "INVALID_AUTH",
        secret_version="7",
    )  # fmt: skip
    rotated = Outcome(
        run.id, "openai", "prod-us-east-1", "openai-001", Result.ROTATED, "READY", now - 5 * HOUR,
        "READY", secret_version="7", verify_seconds=1.8,
    )  # fmt: skip
    return rotated, failed
