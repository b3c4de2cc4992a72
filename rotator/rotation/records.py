"""The record of one connection, step by step: what the ledger may claim, and no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rotator.model.connection import Connection
from rotator.model.credential import Credential
from rotator.model.plan import Change, Verdict
from rotator.model.record import Record, Stage

MOST_OLDER = 8
"""Versions that a record remembers. A list that lags further behind shows what worked long ago."""


def intended(
    former: Record | None,
    base: Connection,
    credential: Credential,
    *,
    rotation: str,
    run_id: str,
    at: datetime,
    older: frozenset[str],
) -> Record:
    """Before an update of `base` leaves. What worked last stays on record."""
    return Record(
        target=base.target,
        connection=base.name,
        rotation=rotation,
        stage=Stage.INTENDED,
        fingerprint=credential.fingerprint,
        secret_version=credential.secret_version,
        resource_version=None,
        version_before=base.resource_version,
        run_id=run_id,
        at=at,
        uid=base.uid,
        verified_fingerprint=former.verified_fingerprint if former else None,
        rotated_at=former.rotated_at if former else None,
        verified_at=former.verified_at if former else None,
        verified_version=former.verified_version if former else None,
        put_at=former.put_at if former else None,
        older_versions=kept(older),
        maybe_in_place=_maybe_in_place(former, credential.secret_version),
    )


def _maybe_in_place(former: Record | None, version: str) -> tuple[str, ...]:
    """What the connection may hold besides what was verified: a lease must not end under it."""
    if former is None or former.stage is Stage.VERIFIED:
        return ()
    before = former.maybe_in_place
    if former.stage is not Stage.REFUSED:
        before = (*before, former.secret_version)
    return tuple(dict.fromkeys(each for each in before if each != version))


def put(record: Record, version: str | None, older: frozenset[str], at: datetime) -> Record:
    """The update was answered. `version` is what the answer tells."""
    return replace(
        record,
        stage=Stage.PUT,
        resource_version=version,
        at=at,
        put_at=at,
        older_versions=kept(older),
    )


def seen(
    record: Record, connection: Connection, version: str | None, older: frozenset[str]
) -> Record:
    """A look showed the update."""
    return replace(
        record,
        resource_version=version or connection.resource_version,
        phase=connection.phase,
        gone_at=None,
        older_versions=kept(older),
    )


def verified(record: Record, at: datetime) -> Record:
    """The update was seen to work."""
    return replace(
        record,
        stage=Stage.VERIFIED,
        at=at,
        error=None,
        gone_at=None,
        maybe_in_place=(),
        verified_fingerprint=record.fingerprint,
        rotated_at=record.put_at or at,
        verified_at=at,
        verified_version=record.secret_version,
    )


def unverified(record: Record, former: Record | None) -> Record:
    """It does not work after all: what worked last is what worked before."""
    return replace(
        record,
        maybe_in_place=former.maybe_in_place if former else (),
        verified_fingerprint=former.verified_fingerprint if former else None,
        rotated_at=former.rotated_at if former else None,
        verified_at=former.verified_at if former else None,
        verified_version=former.verified_version if former else None,
    )


def replaced_by(change: Change) -> frozenset[str]:
    """Versions that an update of this change comes after. A look that shows one of them lags."""
    record = change.record
    if record is None or change.verdict is Verdict.NEW:
        return frozenset()
    own = (record.version_before, record.resource_version)
    return frozenset(filter(None, (*record.older_versions, *own)))


def kept(versions: frozenset[str]) -> tuple[str, ...]:
    """The latest few, where versions are numbers; else any few."""
    return tuple(sorted(versions, key=lambda version: (len(version), version)))[-MOST_OLDER:]
