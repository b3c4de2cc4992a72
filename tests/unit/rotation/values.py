"""Values for tests of the core, with all that a test doesn't care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.confluent.phases import condition
from rotator.model.connection import Connection
from rotator.model.credential import Credential
from rotator.model.record import Record, Stage
from rotator.model.rule import FieldOf, Matching, Rule, SecretPlace
from rotator.model.secret import SecretRef

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
REF = SecretRef("vault", "flink/openai", "kv-v2", "kv")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def connection(
    name: str = "openai-1",
    *,
    target: str = "prod",
    type: str = "OPENAI",  # noqa: A002 -- the field's own name
    endpoint: str = "https://api.openai.com/v1/chat",
    phase: str = "READY",
    detail: str = "",
    version: str | None = "5",
    updated_at: datetime | None = None,
    uid: str | None = "uid-1",
) -> Connection:
    return Connection(
        target=target,
        name=name,
        type=type,
        endpoint=endpoint,
        phase=phase,
        condition=condition(phase),
        detail=detail,
        resource_version=version,
        updated_at=updated_at,
        uid=uid,
    )


def credential(fingerprint: str = "new", version: str = "v2") -> Credential:
    return Credential({"API_KEY": f"value-of-{fingerprint}"}, fingerprint, version)


def record(
    stage: Stage,
    *,
    name: str = "openai-1",
    target: str = "prod",
    fingerprint: str = "new",
    secret_version: str = "v2",
    version: str | None = "5",
    before: str | None = "4",
    uid: str | None = "uid-1",
    error: str | None = None,
) -> Record:
    return Record(
        target=target,
        connection=name,
        rotation="openai",
        stage=stage,
        fingerprint=fingerprint,
        secret_version=secret_version,
        resource_version=version,
        version_before=before,
        run_id="run-1",
        at=NOON,
        uid=uid,
        error=error,
    )


def rule(name: str = "openai", **settings: Any) -> Rule:
    """The least that a rule needs, with `settings` over it."""
    least: dict[str, Any] = {
        "targets": ("prod",),
        "matching": Matching(type=("OPENAI",)),
        "secret": SecretPlace("vault", "flink/openai"),
        "mapping": {"api-key": FieldOf("api_key")},
    }
    return Rule(name, **{**least, **settings})
