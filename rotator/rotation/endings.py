"""How one connection's part in a roll-out may end: for the record, for people, and what it counts.

Pure: each function takes the record so far, and returns the end with the record that follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from rotator.errors import Cause, RotatorError, TargetError
from rotator.model.connection import Connection
from rotator.model.events import Settled
from rotator.model.record import Record, Stage
from rotator.model.run import Outcome, Result, Settlement
from rotator.rotation import records
from rotator.rotation.effects import Settle
from rotator.rotation.steps import End, Terms
from rotator.rotation.verify import Proof


@dataclass(frozen=True, slots=True)
class Ending:
    end: End
    result: Result
    reason: str
    record: Record | None
    """What the ledger knows from now on. None: what it knew before."""
    cause: Cause | None = None
    """What a failure comes down to."""
    request_id: str | None = None
    verify_seconds: float | None = None


def works(record: Record, proof: Proof, seconds: float, at: datetime) -> Ending:
    """It was seen to work, so many seconds after the update was answered."""
    verified = records.verified(record, at)
    return Ending(End.WORKS, Result.ROTATED, proof.said, verified, verify_seconds=seconds)


def bad(record: Record, reason: str, cause: Cause, at: datetime) -> Ending:
    """The endpoint refuses the credential, or never became ready with it."""
    failed = replace(record, stage=Stage.FAILED, at=at, error=reason)
    return Ending(End.BAD, Result.FAILED, reason, failed, cause)


def refused(record: Record, error: TargetError, at: datetime) -> Ending:
    """The update was surely not applied."""
    record = replace(record, stage=Stage.REFUSED, at=at, error=str(error))
    return _failed(str(error), record, error)


def lost(record: Record, error: TargetError, at: datetime) -> Ending:
    """Nobody knows whether the update was applied. It stays INTENDED: the next run sends it."""
    reason = f"no answer that can be trusted: {error}"
    return _failed(reason, replace(record, at=at, error=reason), error)


def not_issued(error: RotatorError) -> Ending:
    """There is no credential to send. What the connection has stays in place."""
    return _failed(str(error), None, error)


def unseen(record: Record, error: TargetError, at: datetime) -> Ending:
    """It was put, and can't be looked at. It stays PUT: the next run looks, and doesn't put it."""
    reason = f"could not be looked at: {error}"
    return _failed(reason, replace(record, at=at, error=reason), error)


def overwritten(record: Record, proof: Proof, phase: str, at: datetime) -> Ending:
    """Somebody else wrote after the update."""
    reason = f"changed by someone else before it was seen to work: {proof.said}"
    record = replace(record, at=at, phase=phase, error=reason)
    return Ending(End.FAILED, Result.FAILED, reason, record, Cause.DRIFT)


def gone(record: Record, at: datetime) -> Ending:
    reason = "the connection was deleted during the run"
    return Ending(End.GONE, Result.SKIPPED, reason, replace(record, at=at, gone_at=at))


def replaced(record: Record, at: datetime) -> Ending:
    reason = "the connection was deleted and made again during the run; the next run rotates it"
    record = replace(record, at=at, error=reason)
    return Ending(End.REPLACED, Result.FAILED, reason, record, Cause.OTHER)


def left(why: str, *, touched: bool) -> Ending:
    """The roll-out stopped before it came to an end here. The record says how far it came."""
    how = "put, and not seen to work yet" if touched else "not touched"
    return Ending(End.LEFT, Result.SKIPPED, f"{how}: {why}", None)


def _failed(reason: str, record: Record | None, error: RotatorError) -> Ending:
    return Ending(End.FAILED, Result.FAILED, reason, record, error.cause, error.request_id)


def settle(
    ending: Ending, terms: Terms, listed: Connection, known: Record | None, at: datetime
) -> Settle:
    """The effect that puts an ending on record. `known` is the record that holds from now on."""
    outcome = outcome_of(terms, listed, known, ending.result, ending.reason, at)
    outcome = replace(outcome, verify_seconds=ending.verify_seconds)
    settled = Settled(outcome, ending.cause, ending.request_id)
    return Settle((Settlement(ending.record, outcome),), (settled,))


def outcome_of(
    terms: Terms,
    listed: Connection,
    record: Record | None,
    result: Result,
    reason: str,
    at: datetime,
) -> Outcome:
    """What became of a connection. What its record doesn't know is as it was listed."""
    return Outcome(
        run_id=terms.run_id,
        rotation=terms.rotation,
        target=listed.target,
        connection=listed.name,
        result=result,
        reason=reason,
        at=at,
        phase=record.phase if record and record.phase else listed.phase,
        resource_version=record.resource_version if record else listed.resource_version,
        fingerprint=record.fingerprint if record else None,
        secret_version=record.secret_version if record else None,
    )
