"""How a connection's part in a roll-out may end, and what each end puts on record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.errors import Cause, SourceUnavailable, TargetRefused, UpdateUncertain
from rotator.model.record import Stage
from rotator.model.rule import VerificationPolicy
from rotator.model.run import Outcome, Result
from rotator.rotation import endings
from rotator.rotation.endings import Ending
from rotator.rotation.steps import End, Terms
from rotator.rotation.verify import Conclusion, Proof
from tests.unit.rotation.values import NOON, at, connection, record

TERMS = Terms("run-9", "openai", VerificationPolicy(), reapply_drift=True)
PUT = replace(record(Stage.PUT, version="6"), put_at=at(1), phase="PENDING")
NO = TargetRefused("prod", "no such thing", status=400, request_id="req-1")
LATER = at(60)


def test_works() -> None:
    ending = endings.works(PUT, Proof(Conclusion.WORKS, "READY at 6"), 2.5, LATER)
    assert (ending.end, ending.result, ending.reason) == (End.WORKS, Result.ROTATED, "READY at 6")
    assert ending.verify_seconds == 2.5
    assert (ending.cause, ending.request_id) == (None, None)
    assert ending.record is not None
    assert (ending.record.stage, ending.record.verified_at) == (Stage.VERIFIED, LATER)
    assert (ending.record.rotated_at, ending.record.at) == (at(1), LATER)


def test_bad() -> None:
    ending = endings.bad(PUT, "INVALID_AUTH", Cause.REJECTED, LATER)
    failed = replace(PUT, stage=Stage.FAILED, at=LATER, error="INVALID_AUTH")
    assert ending == Ending(End.BAD, Result.FAILED, "INVALID_AUTH", failed, Cause.REJECTED)


def test_refused() -> None:
    ending = endings.refused(PUT, NO, LATER)
    kept = replace(PUT, stage=Stage.REFUSED, at=LATER, error=str(NO))
    assert ending == Ending(End.FAILED, Result.FAILED, str(NO), kept, Cause.REFUSED, "req-1")


def test_lost() -> None:
    trouble = UpdateUncertain("prod", "reset", status=502, request_id="req-2")
    ending = endings.lost(record(Stage.INTENDED), trouble, LATER)
    reason = f"no answer that can be trusted: {trouble}"
    kept = replace(record(Stage.INTENDED), at=LATER, error=reason)
    assert ending == Ending(End.FAILED, Result.FAILED, reason, kept, Cause.TARGET, "req-2")


def test_not_issued_leaves_what_the_ledger_knows() -> None:
    error = SourceUnavailable("vault", "creds", "sealed")
    ending = endings.not_issued(error)
    assert ending == Ending(End.FAILED, Result.FAILED, str(error), None, error.cause)


def test_unseen_stays_put() -> None:
    ending = endings.unseen(PUT, NO, LATER)
    reason = f"could not be looked at: {NO}"
    kept = replace(PUT, at=LATER, error=reason)
    assert ending == Ending(End.FAILED, Result.FAILED, reason, kept, Cause.REFUSED, "req-1")


def test_overwritten() -> None:
    proof = Proof(Conclusion.FOREIGN, "resource version 6 → 7")
    ending = endings.overwritten(PUT, proof, "READY", LATER)
    reason = "changed by someone else before it was seen to work: resource version 6 → 7"
    kept = replace(PUT, at=LATER, phase="READY", error=reason)
    assert ending == Ending(End.FAILED, Result.FAILED, reason, kept, Cause.DRIFT)


def test_gone_is_no_failure() -> None:
    ending = endings.gone(PUT, LATER)
    kept = replace(PUT, at=LATER, gone_at=LATER)
    reason = "the connection was deleted during the run"
    assert ending == Ending(End.GONE, Result.SKIPPED, reason, kept)


def test_replaced() -> None:
    ending = endings.replaced(PUT, LATER)
    reason = "the connection was deleted and made again during the run; the next run rotates it"
    kept = replace(PUT, at=LATER, error=reason)
    assert ending == Ending(End.REPLACED, Result.FAILED, reason, kept, Cause.OTHER)


@pytest.mark.parametrize(
    ("touched", "reason"),
    [(True, "put, and not seen to work yet: told to stop"), (False, "not touched: told to stop")],
)
def test_left(touched: bool, reason: str) -> None:
    ending = endings.left("told to stop", touched=touched)
    assert ending == Ending(End.LEFT, Result.SKIPPED, reason, None)


def test_what_an_end_counts_for() -> None:
    assert {end for end in End if end.counts} == {End.BAD, End.FAILED}
    assert {end for end in End if end.proves(whatever_it_says=False)} == {End.WORKS}
    assert {end for end in End if end.proves(whatever_it_says=True)} == {End.WORKS, End.BAD}


class TestSettle:
    LISTED = connection(phase="READY", version="5")

    def test_puts_the_outcome_on_record(self) -> None:
        ending = Ending(End.WORKS, Result.ROTATED, "READY", PUT, verify_seconds=2.5)
        settle = endings.settle(ending, TERMS, self.LISTED, PUT, LATER)
        (settlement,), (event,) = settle.settlements, settle.events
        assert settlement.record is PUT
        assert settlement.outcome == event.outcome
        assert settlement.outcome == Outcome(
            run_id="run-9",
            rotation="openai",
            target="prod",
            connection="openai-1",
            result=Result.ROTATED,
            reason="READY",
            at=LATER,
            phase="PENDING",
            resource_version="6",
            fingerprint="new",
            secret_version="v2",
            verify_seconds=2.5,
        )

    def test_tells_what_a_failure_comes_down_to(self) -> None:
        settle = endings.settle(endings.refused(PUT, NO, LATER), TERMS, self.LISTED, PUT, LATER)
        (event,) = settle.events
        assert (event.cause, event.request_id) == (Cause.REFUSED, "req-1")

    def test_without_a_record_the_outcome_is_as_it_was_listed(self) -> None:
        outcome = endings.outcome_of(TERMS, self.LISTED, None, Result.SKIPPED, "left", NOON)
        assert (outcome.phase, outcome.resource_version) == ("READY", "5")
        assert (outcome.fingerprint, outcome.secret_version) == (None, None)

    def test_a_record_that_knows_no_phase_leaves_the_listed_one(self) -> None:
        known = replace(PUT, phase=None)
        outcome = endings.outcome_of(TERMS, self.LISTED, known, Result.SKIPPED, "left", NOON)
        assert (outcome.phase, outcome.resource_version) == ("READY", "6")
