"""Translates values to rows and back. Times are ISO 8601 in UTC and sort as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from rotator.errors import LedgerError
from rotator.model.lease import HeldLease, LeaseState
from rotator.model.record import Record, Stage
from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.model.secret import SecretRef
from rotator.model.source import SourceState

_TIMES = frozenset(
    {
        "at",
        "rotated_at",
        "verified_at",
        "started_at",
        "finished_at",
        "made_at",
        "expires_at",
        "owner_ends_at",
        "revoke_at",
        "ok_at",
        "failing_since",
        "put_at",
        "gone_at",
    }
)
_OF_A_REF = sorted(field.name for field in fields(SecretRef))
V = TypeVar("V", Record, Outcome, Run, HeldLease, SourceState)


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def row(value: Record | Outcome | Run | HeldLease | SourceState) -> dict[str, Any]:
    # Not asdict, which copies deeply: this runs several times for each connection.
    plain = {field.name: storable(getattr(value, field.name)) for field in fields(value)}
    for name in _TIMES & plain.keys():
        if plain[name] is not None:
            plain[name] = stamp(plain[name])
    if isinstance(value, Run):
        plain["counts"] = json.dumps(dict(value.counts))
    if isinstance(value, Record):
        plain["older_versions"] = json.dumps(value.older_versions)
        plain["maybe_in_place"] = json.dumps(value.maybe_in_place)
    if isinstance(value, HeldLease):
        plain["ref"] = ref_text(value.ref)
    return plain


def storable(value: object) -> Any:
    """Text that every database can hold, with escapes in place of characters that one can't.

    JSON of others can hold halves of surrogate pairs (`"\\ud800"`), which are not Unicode, and NUL,
    which PostgreSQL refuses.
    """
    if not isinstance(value, str):
        return value
    if not value.isascii():
        value = value.encode("utf-8", "backslashreplace").decode()
    return value.replace("\0", r"\x00")


def record(found: Mapping[str, Any]) -> Record:
    return _value(Record, found, stage=Stage, older_versions=_texts, maybe_in_place=_texts)


def outcome(found: Mapping[str, Any]) -> Outcome:
    return _value(Outcome, found, result=Result)


def run(found: Mapping[str, Any]) -> Run:
    return _value(Run, found, result=RunResult, counts=json.loads)


def lease(found: Mapping[str, Any]) -> HeldLease:
    return _value(HeldLease, found, state=LeaseState, ref=ref_value)


def source_state(found: Mapping[str, Any]) -> SourceState:
    return _value(SourceState, found)


def _value(kind: type[V], found: Mapping[str, Any], **others: Callable[[str], object]) -> V:
    plain = {field.name: found[field.name] for field in fields(kind)}
    readers = {**dict.fromkeys(_TIMES & plain.keys(), datetime.fromisoformat), **others}
    for name, read in readers.items():
        if plain[name] is not None:
            try:
                plain[name] = read(plain[name])
            except (TypeError, ValueError):
                raise _damaged(kind.__name__, name) from None
    return kind(**plain)


def _texts(text: str) -> tuple[str, ...]:
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ValueError
    return tuple(found)


def _damaged(what: str, where: str) -> LedgerError:
    return LedgerError(
        f"the ledger holds a {what.lower()} whose {where} this version of rotator can't read; "
        "restore the ledger, or move it away: then every credential is put once more"
    )


def ref_text(ref: SecretRef) -> str:
    """A reference as JSON. Equal references have the same text."""
    # Not asdict, which copies deeply: there is one for each connection.
    return json.dumps({name: getattr(ref, name) for name in _OF_A_REF})


def ref_value(text: str) -> SecretRef:
    try:
        return SecretRef(**json.loads(text))
    except (TypeError, ValueError):
        raise _damaged("secret version", "reference") from None
