"""Values ↔ rows. Times are ISO 8601 in UTC with six decimals, so they sort as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from rotator.model import Outcome, Record, Result, Run, RunResult, SecretRef, Stage

_TIMES = frozenset({"at", "rotated_at", "verified_at", "started_at", "finished_at"})
V = TypeVar("V", Record, Outcome, Run)


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def row(value: Record | Outcome | Run) -> dict[str, Any]:
    # Not asdict, which copies deeply: this runs three times for each connection.
    plain = {field.name: getattr(value, field.name) for field in fields(value)}
    for name in _TIMES & plain.keys():
        if plain[name] is not None:
            plain[name] = stamp(plain[name])
    return plain


def record(found: Mapping[str, Any]) -> Record:
    return _value(Record, found, stage=Stage)


def outcome(found: Mapping[str, Any]) -> Outcome:
    return _value(Outcome, found, result=Result)


def run(found: Mapping[str, Any]) -> Run:
    return _value(Run, found, result=RunResult)


def _value(kind: type[V], found: Mapping[str, Any], **enums: Any) -> V:
    plain = {field.name: found[field.name] for field in fields(kind)}
    for name in _TIMES & plain.keys():
        if plain[name] is not None:
            plain[name] = datetime.fromisoformat(plain[name])
    for name, enum in enums.items():
        if plain[name] is not None:
            plain[name] = enum(plain[name])
    return kind(**plain)


def ref_text(ref: SecretRef) -> str:
    return json.dumps(asdict(ref), sort_keys=True)


def ref_value(text: str) -> SecretRef:
    return SecretRef(**json.loads(text))
