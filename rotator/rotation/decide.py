"""What is to be done with one connection, decided without touching anything.

From what is listed, what is wanted, and what the ledger remembers.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rotator.errors import Cause
from rotator.model.connection import Condition, Connection
from rotator.model.credential import Credential
from rotator.model.plan import Change, Verdict
from rotator.model.record import Record, Stage
from rotator.model.secret import SecretRef


def invalid(
    connection: Connection,
    reason: str,
    secret: SecretRef | None = None,
    cause: Cause = Cause.CREDENTIAL,
) -> Change:
    return Change(connection, Verdict.INVALID, reason, secret=secret, cause=cause)


def decide(
    connection: Connection,
    credential: Credential,
    secret: SecretRef,
    record: Record | None,
    *,
    adopt_unknown: bool = False,
    reapply_drift: bool = True,
    force: bool = False,
    warning: str | None = None,
) -> Change:
    """The change of one connection, from what is listed, what is wanted, and what was recorded."""
    if record is None and adopt_unknown and connection.usable:
        verdict, reason, update = _ADOPTED
    else:
        verdict, reason, update = _verdict(connection, credential, record, reapply_drift)
    if force and not update:
        verdict, reason, update = Verdict.CHANGED, "forced", True
    return Change(
        connection,
        verdict,
        reason,
        credential=credential,
        secret=secret,
        update=update,
        record=record,
        warning=warning,
        cause=Cause.REJECTED if verdict is Verdict.BROKEN else None,
    )


def decide_leased(
    connection: Connection,
    secret: SecretRef,
    record: Record | None,
    stale: str | None,
    *,
    reapply_drift: bool = True,
    force: bool = False,
    warning: str | None = None,
) -> Change:
    """As `decide`, where a credential is made only to be put: so there is none to compare.

    `stale` is why the credential of the record can't stay; None: its lease is good for longer.
    """
    verdict, reason, update = _leased_verdict(connection, record, stale, reapply_drift)
    if force and not update:
        verdict, reason, update = Verdict.CHANGED, "forced", True
    return Change(
        connection,
        verdict,
        reason,
        secret=secret,
        update=update,
        record=record,
        warning=warning,
    )


def _leased_verdict(
    connection: Connection, record: Record | None, stale: str | None, reapply_drift: bool
) -> tuple[Verdict, str, bool]:
    if record is None:
        return _NEVER
    if found := _another_uid(connection, record):
        return found
    if stale is not None:
        return Verdict.CHANGED, stale, True
    verdict, reason, update = _by_stage(connection, record, reapply_drift)
    if verdict is Verdict.BROKEN:
        return Verdict.CHANGED, f"{connection.phase}: its leased credential works no more", True
    if verdict is Verdict.UNCHANGED:
        reason = "its lease is good for longer"
    return verdict, reason, update


_NEVER = (Verdict.NEW, "never rotated before", True)
_ADOPTED = (
    Verdict.ADOPTED,
    "not on record and works: taken to have the secret of now (ledger.on_unknown: adopt)",
    False,
)


def _verdict(
    connection: Connection, credential: Credential, record: Record | None, reapply_drift: bool
) -> tuple[Verdict, str, bool]:
    if record is None:
        return _NEVER
    if found := _another_uid(connection, record):
        return found
    if record.fingerprint != credential.fingerprint:
        return Verdict.CHANGED, _why_changed(record, credential), True
    verdict, reason, update = _by_stage(connection, record, reapply_drift)
    if verdict is Verdict.UNCHANGED:
        reason = f"secret version {_short(credential.secret_version)}"
    return verdict, reason, update


def _another_uid(connection: Connection, record: Record) -> tuple[Verdict, str, bool] | None:
    if record.uid and connection.uid and record.uid != connection.uid:
        return Verdict.NEW, "the connection was deleted and made again", True
    return None


def _by_stage(
    connection: Connection, record: Record, reapply_drift: bool
) -> tuple[Verdict, str, bool]:
    """Where the credential on record is the one that is wanted."""
    match record.stage:
        case Stage.INTENDED:
            return Verdict.CHANGED, "an update of it was cut off before its answer", True
        case Stage.REFUSED:
            return Verdict.CHANGED, f"the last update was refused: {record.error}", True
        case Stage.PUT:
            return _after_put(connection, record, reapply_drift)
        case Stage.FAILED if connection.usable and _in_place(connection, record):
            return Verdict.UNVERIFIED, "became usable after the last run gave up", False
        case Stage.FAILED if not reapply_drift and _drifted(connection, record):
            return Verdict.DRIFTED, "failed, and changed by someone else since", False
        case Stage.FAILED:
            return Verdict.CHANGED, f"the last update failed: {record.error}", True
        case Stage.VERIFIED if _drifted(connection, record):
            then, now = record.resource_version, connection.resource_version
            reason = f"changed by someone else: resource version {then} → {now}"
            return Verdict.DRIFTED, reason, reapply_drift
        case Stage.VERIFIED if _refused_since(connection, record):
            reason = (
                f"{connection.phase}: it worked before, and nobody changed the connection since"
            )
            return Verdict.BROKEN, reason, False
        case Stage.VERIFIED:
            return Verdict.UNCHANGED, "", False


def _after_put(
    connection: Connection, record: Record, reapply_drift: bool
) -> tuple[Verdict, str, bool]:
    if record.version_before is None and record.resource_version is None:
        return Verdict.CHANGED, "put before, and no version tells whether it arrived", True
    if _drifted(connection, record):
        verdict = Verdict.CHANGED if reapply_drift else Verdict.DRIFTED
        reason = "put, and changed by someone else before it was verified"
        return verdict, reason, reapply_drift
    return Verdict.UNVERIFIED, "put by a run that ended before it was seen to work", False


def _why_changed(record: Record, credential: Credential) -> str:
    then, now = record.secret_version, credential.secret_version
    if then == now:
        return "another credential from the same version: the mapping or fingerprint key changed"
    return f"secret version {_short(then)} → {_short(now)}"


def _short(version: str) -> str:
    return version if len(version) <= 24 else f"{version[:23]}…"


def _drifted(connection: Connection, record: Record) -> bool:
    if record.resource_version is None or connection.resource_version is None:
        return False
    if _lags(connection, record):
        return False
    return connection.moved_since(_as_of(connection, record.resource_version))


def _lags(connection: Connection, record: Record) -> bool:
    """Whether the list shows what an update of ours replaced: reads may lag behind writes."""
    seen, ours = connection.resource_version, record.resource_version
    if seen is None or seen == ours:
        return False
    if seen == record.version_before or seen in record.older_versions:
        return True
    return ours is not None and seen.isdecimal() and ours.isdecimal() and int(seen) < int(ours)


def _refused_since(connection: Connection, record: Record) -> bool:
    return connection.condition is Condition.REJECTED and not _lags(connection, record)


def _in_place(connection: Connection, record: Record) -> bool:
    """Whether the write that the record tells of is the one that the target shows."""
    if record.version_before is None or _lags(connection, record):
        return False
    if not connection.moved_since(_as_of(connection, record.version_before)):
        return False
    return record.resource_version is None or not _drifted(connection, record)


def _as_of(connection: Connection, version: str) -> Connection:
    """The connection as it was at an earlier version, as far as versions go."""
    return replace(connection, phase="", detail="", resource_version=version, updated_at=None)


def before_of(change: Change) -> Connection:
    """The connection as it was before the update that is to be verified."""
    if change.verify_only and change.record and change.record.version_before is not None:
        return _as_of(change.connection, change.record.version_before)
    return change.connection


def as_it_is(change: Change, rotation: str, run_id: str, now: datetime) -> Record | None:
    """The record of a connection that nothing is sent to, where it says anything new."""
    if change.verdict is Verdict.ADOPTED:
        return _adopted(change, rotation, run_id, now)
    connection, record = change.connection, change.record
    if record is None or _lags(connection, record):
        return None
    if change.verdict is Verdict.BROKEN:
        found = replace(record, phase=connection.phase, error=change.reason, gone_at=None)
    elif change.verdict is Verdict.UNCHANGED:
        found = replace(record, phase=connection.phase, error=None, gone_at=None)
    else:
        return None
    return found if found != record else None


def _adopted(change: Change, rotation: str, run_id: str, now: datetime) -> Record | None:
    """The record of a connection that is taken as it is: its present resource version counts.

    Nothing of it was seen to be put or to work here, so no such time is claimed.
    """
    credential, connection = change.credential, change.connection
    if credential is None:
        return None
    return Record(
        target=connection.target,
        connection=connection.name,
        rotation=rotation,
        stage=Stage.VERIFIED,
        fingerprint=credential.fingerprint,
        secret_version=credential.secret_version,
        resource_version=connection.resource_version,
        version_before=None,
        run_id=run_id,
        at=now,
        uid=connection.uid,
        phase=connection.phase,
    )
