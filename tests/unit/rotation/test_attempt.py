"""One connection's way through a roll-out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from rotator.errors import (
    Cause,
    SourceUnavailable,
    TargetError,
    TargetRefused,
    UpdateConflict,
    UpdateUncertain,
)
from rotator.model.connection import Connection
from rotator.model.events import Updated
from rotator.model.plan import Change
from rotator.model.record import Record, Stage
from rotator.model.rule import VerificationPolicy
from rotator.model.run import Result, Settlement
from rotator.rotation import effects as fx
from rotator.rotation.attempt import MOST_REPEATS, Attempt
from rotator.rotation.decide import decide, decide_leased
from rotator.rotation.doubt import MOST_SENDINGS
from rotator.rotation.effects import Moment
from rotator.rotation.steps import End, Step, Terms
from tests.unit.rotation.simulation import Simulation, cloud
from tests.unit.rotation.values import REF, at, connection, credential, record

TERMS = Terms(
    "run-9", "openai", VerificationPolicy(timeout=30.0, interval=2.0, stable=2), reapply_drift=True
)
KEY = ("prod", "openai-1")
LOST = UpdateUncertain("prod", "reset", status=502, request_id="req-2")
CONFLICT = UpdateConflict("prod", "it changed", status=409)
NO = TargetRefused("prod", "invalid", status=400)
NOT_FOUND = TargetRefused("prod", "not found", status=404)


def moment(seconds: float) -> Moment:
    return Moment(at(seconds), seconds)


def fresh(known: Record | None = None, **settings: str) -> Change:
    listed = connection(version="5", **settings)  # type: ignore[arg-type]
    return decide(listed, credential("new", "v2"), REF, known)


def attempt(change: Change | None = None, terms: Terms = TERMS) -> Attempt:
    return Attempt(terms, change or fresh())


def sent(change: Change | None = None, terms: Terms = TERMS) -> Attempt:
    made = attempt(change, terms)
    made.begin(moment(0.0))
    made.written()
    made.send()
    return made


def put(version: str | None = "6", change: Change | None = None, terms: Terms = TERMS) -> Attempt:
    made = sent(change, terms)
    made.answered(version, moment(1.0))
    made.written()
    return made


def look(
    made: Attempt,
    seen: Connection | TargetError | None,
    seconds: float,
    *,
    over: str = "",
    asked_at: float | None = None,
) -> list[fx.Effect]:
    found: Mapping[str, Connection] | TargetError
    match seen:
        case Connection():
            found = {seen.name: seen}
        case None:
            found = {}
        case _:
            found = seen
    began = seconds if asked_at is None else asked_at
    return made.seen(found, began, moment(seconds), over=over)


def step(made: Attempt) -> Step:
    """A call, so that mypy doesn't take for granted that it stays the same."""
    return made.step


def look_at(made: Attempt) -> float | None:
    return made.look_at


def settlement(effects: list[fx.Effect]) -> Settlement:
    """The only effect: the end of the attempt."""
    (effect,) = effects
    assert isinstance(effect, fx.Settle)
    (settled,) = effect.settlements
    assert [event.outcome for event in effect.events] == [settled.outcome]
    return settled


class TestFromItsTurnToAnAnswer:
    def test_its_intent_is_written_before_it_is_sent(self) -> None:
        made = attempt()
        (write,) = made.begin(moment(0.0))
        assert isinstance(write, fx.Write)
        assert (write.key, write.record.stage) == (KEY, Stage.INTENDED)
        assert (write.record.run_id, write.record.rotation) == ("run-9", "openai")
        assert (write.record.at, write.record.version_before) == (at(0), "5")
        assert made.record == write.record
        assert step(made) is Step.INTENDING
        made.written()
        assert step(made) is Step.INTENDED

    def test_it_replaces_what_was_seen_last(self) -> None:
        made = attempt()
        made.begin(moment(0.0))
        made.written()
        (send,) = made.send()
        assert send == fx.Send(KEY, made.change.connection, credential("new", "v2"))
        assert step(made) is Step.SENDING

    def test_its_answer_is_written_before_it_is_looked_at(self) -> None:
        made = sent()
        write, tell = made.answered("6", moment(1.0))
        assert isinstance(write, fx.Write)
        assert (write.record.stage, write.record.resource_version) == (Stage.PUT, "6")
        assert (write.record.put_at, write.record.older_versions) == (at(1), ("5",))
        assert tell == fx.Tell(Updated("run-9", "openai", *KEY))
        assert step(made) is Step.RECORDING
        made.written()
        assert step(made) is Step.VERIFYING

    def test_a_credential_that_does_not_exist_yet_is_asked_for(self) -> None:
        change = decide_leased(connection(), REF, None, "its lease has ended")
        made = attempt(change)
        assert made.begin(moment(0.0)) == [fx.Issue(KEY, change)]
        assert step(made) is Step.ISSUING
        (write,) = made.issued(credential("leased", "lease-1"), moment(1.0))
        assert isinstance(write, fx.Write)
        assert (write.record.fingerprint, write.record.secret_version) == ("leased", "lease-1")

    def test_and_where_it_can_not_be_had_nothing_changes(self) -> None:
        made = attempt(decide_leased(connection(), REF, None, "its lease has ended"))
        made.begin(moment(0.0))
        error = SourceUnavailable("vault", "creds", "it is sealed")
        settled = settlement(made.not_issued(error, moment(1.0)))
        assert settled.record is None
        assert (settled.outcome.result, settled.outcome.reason) == (Result.FAILED, str(error))
        assert (made.end, made.cause, step(made)) == (End.FAILED, error.cause, Step.SETTLED)

    def test_what_an_earlier_run_put_is_only_looked_at(self) -> None:
        change = fresh(record(Stage.PUT, version="5", before="4"))
        made = attempt(change)
        assert made.begin(moment(100.0)) == []
        assert step(made) is Step.VERIFYING
        assert look(made, connection(version="5"), 100.5) == []
        settled = settlement(look(made, connection(version="5"), 102.5))
        assert settled.outcome.result is Result.ROTATED

    def test_it_has_neither_record_nor_credential_before_its_turn(self) -> None:
        made = attempt(decide_leased(connection(), REF, None, "its lease has ended"))
        with pytest.raises(AssertionError, match="a credential from its issue on"):
            made.send()
        with pytest.raises(AssertionError, match="a record from its intent on"):
            made.answered("6", moment(0.0))


class TestRefused:
    def test_is_final(self) -> None:
        made = sent()
        settled = settlement(made.refused(NO, moment(1.0), over=""))
        assert settled.record is not None
        assert (settled.record.stage, settled.record.error) == (Stage.REFUSED, str(NO))
        assert (made.end, made.cause, made.reason) == (End.FAILED, Cause.REFUSED, str(NO))

    def test_after_a_sending_that_may_have_been_applied_nobody_knows(self) -> None:
        made = sent()
        made.doubted(LOST, moment(1.0), conflict=False, over="")
        look(made, connection(version="5"), 2.0)
        made.send()
        settled = settlement(made.refused(NO, moment(3.0), over=""))
        assert settled.record is not None
        assert settled.record.stage is Stage.INTENDED
        assert settled.outcome.reason == f"no answer that can be trusted: {NO}"

    def test_not_found_is_looked_into(self) -> None:
        made = sent()
        assert made.refused(NOT_FOUND, moment(1.0), over="") == []
        assert (step(made), look_at(made)) == (Step.DOUBTFUL, 1.1)
        assert look(made, None, 1.1) == []
        assert look_at(made) == pytest.approx(1.3)
        settled = settlement(look(made, None, 3.1))
        assert made.end is End.GONE
        assert settled.record is not None
        assert settled.record.gone_at == at(3.1)

    def test_and_is_a_refusal_where_it_is_still_there(self) -> None:
        made = sent()
        made.refused(NOT_FOUND, moment(1.0), over="")
        assert look(made, connection(version="5"), 6.9) == []
        settled = settlement(look(made, connection(version="5"), 7.0))
        assert settled.record is not None
        assert (settled.record.stage, settled.outcome.reason) == (Stage.REFUSED, str(NOT_FOUND))

    def test_it_is_looked_into_after_a_halt_too(self) -> None:
        made = sent()
        made.refused(NOT_FOUND, moment(1.0), over="")
        assert look(made, None, 1.1, over="stopped") == []
        settlement(look(made, None, 3.1, over="stopped"))
        assert made.end is End.GONE

    def test_but_not_while_stopping(self) -> None:
        made = sent()
        settled = settlement(made.refused(NOT_FOUND, moment(1.0), over="told to stop"))
        assert settled.outcome.reason == str(NOT_FOUND)
        assert made.end is End.FAILED

    def test_not_found_after_a_conflict_is_looked_into_too(self) -> None:
        made = sent()
        made.doubted(CONFLICT, moment(1.0), conflict=True, over="")
        look(made, connection(version="6"), 2.0)
        made.written()
        made.send()
        assert made.refused(NOT_FOUND, moment(3.0), over="") == []
        assert step(made) is Step.DOUBTFUL

    def test_a_second_not_found_ends_it(self) -> None:
        made = sent()
        made.refused(NOT_FOUND, moment(1.0), over="")
        settled = settlement(made.refused(NOT_FOUND, moment(3.0), over=""))
        assert settled.record is not None
        assert settled.record.stage is Stage.REFUSED


class TestDoubt:
    def test_is_looked_into_after_a_moment(self) -> None:
        made = sent()
        assert look_at(made) is None
        assert made.doubted(LOST, moment(1.0), conflict=False, over="") == []
        assert (step(made), look_at(made)) == (Step.DOUBTFUL, 1.1)

    def test_a_lost_update_is_sent_again_as_it_was(self) -> None:
        made = sent()
        made.doubted(LOST, moment(1.0), conflict=False, over="")
        assert look(made, connection(version="5"), 1.1) == []
        assert (step(made), look_at(made)) == (Step.INTENDED, None)

    def test_a_look_that_began_before_the_answer_was_lost_says_nothing(self) -> None:
        made = sent()
        made.doubted(LOST, moment(1.0), conflict=False, over="")
        assert look(made, connection(version="6"), 1.1, asked_at=0.9) == []
        assert step(made) is Step.DOUBTFUL
        assert look(made, connection(version="6"), 1.1, asked_at=1.0) != []

    def test_a_newer_version_is_nobody_knows_whose_so_it_is_sent_over_that(self) -> None:
        made = sent()
        made.doubted(LOST, moment(1.0), conflict=False, over="")
        (write,) = look(made, connection(version="6"), 2.0)
        assert isinstance(write, fx.Write)
        assert (write.record.stage, write.record.version_before) == (Stage.INTENDED, "6")
        assert write.record.older_versions == ("5",)
        made.written()
        (send,) = made.send()
        assert isinstance(send, fx.Send)
        assert send.connection.resource_version == "6"

    def test_seven_sendings_in_a_row_are_enough(self) -> None:
        made = sent()
        for again in range(1, MOST_SENDINGS):
            assert made.doubted(LOST, moment(again), conflict=False, over="") == []
            look(made, connection(version="5"), again + 0.5)
            made.send()
        settled = settlement(made.doubted(LOST, moment(9.0), conflict=False, over=""))
        assert settled.record is not None
        reason = f"no answer that can be trusted: {LOST}"
        assert (settled.record.stage, settled.record.error) == (Stage.INTENDED, reason)
        assert (made.end, made.cause) == (End.FAILED, LOST.cause)

    def test_an_answer_starts_the_count_again(self) -> None:
        made = sent()
        for again in range(1, MOST_SENDINGS):
            made.doubted(LOST, moment(again), conflict=False, over="")
            look(made, connection(version="5"), again + 0.5)
            made.send()
        made.answered("6", moment(8.0))
        made.written()
        look(made, connection(version="7"), 9.0)
        made.written()
        made.send()
        assert made.doubted(LOST, moment(10.0), conflict=False, over="") == []
        assert look_at(made) == pytest.approx(10.1)

    def test_a_conflict_waits_for_what_it_conflicts_with_until_the_timeout(self) -> None:
        made = sent()
        for again in range(1, MOST_SENDINGS + 1):
            assert made.doubted(CONFLICT, moment(again), conflict=True, over="") == []
            if again < MOST_SENDINGS:
                look(made, connection(version="5"), again + 0.5)
                made.send()
        assert look(made, connection(version="5"), 30.9) == []
        assert step(made) is Step.DOUBTFUL
        settled = settlement(look(made, connection(version="5"), 31.0))
        assert settled.record is not None
        assert (settled.record.stage, settled.outcome.reason) == (Stage.REFUSED, str(CONFLICT))

    def test_a_connection_that_was_deleted_is_no_failure(self) -> None:
        made = sent()
        made.doubted(LOST, moment(1.0), conflict=False, over="")
        assert look(made, None, 1.1) == []
        settled = settlement(look(made, None, 3.1))
        assert (made.end, settled.outcome.result) == (End.GONE, Result.SKIPPED)

    def test_another_connection_of_that_name_is_not_written_over(self) -> None:
        made = sent()
        made.doubted(LOST, moment(1.0), conflict=False, over="")
        settlement(look(made, connection(version="6", uid="uid-2"), 1.1))
        assert (made.end, made.cause) == (End.REPLACED, Cause.OTHER)

    @pytest.mark.parametrize("seen", [connection(version="5"), connection(version="6"), None])
    def test_once_nothing_may_be_sent_a_lost_one_stays_intended(
        self, seen: Connection | None
    ) -> None:
        made = sent()
        made.doubted(LOST, moment(1.0), conflict=False, over="")
        settled = settlement(look(made, seen, 2.0, over="stopped"))
        assert settled.record is not None
        assert (settled.record.stage, made.end) == (Stage.INTENDED, End.FAILED)

    @pytest.mark.parametrize("version", ["5", "6"])
    def test_and_one_that_conflicted_is_taken_back(self, version: str) -> None:
        former = record(Stage.VERIFIED, fingerprint="old", version="5")
        made = sent(fresh(former))
        made.doubted(CONFLICT, moment(1.0), conflict=True, over="")
        write, *rest = look(made, connection(version=version), 2.0, over="stopped")
        assert write == fx.Write(KEY, former)
        assert settlement(rest).outcome.reason == "not touched: stopped"

    def test_a_look_that_fails_sends_a_lost_one_again(self) -> None:
        made = sent()
        made.doubted(LOST, moment(1.0), conflict=False, over="")
        assert look(made, LOST, 2.0) == []
        assert step(made) is Step.INTENDED


class TestStopping:
    def test_what_never_left_is_taken_back(self) -> None:
        former = record(Stage.VERIFIED, fingerprint="old", version="5")
        made = attempt(fresh(former))
        made.begin(moment(0.0))
        made.written()
        write, *rest = made.take_back("told to stop", moment(1.0))
        assert write == fx.Write(KEY, former)
        settled = settlement(rest)
        assert settled.record is None
        assert settled.outcome.fingerprint == "old"
        assert settled.outcome.reason == "not touched: told to stop"
        assert (made.end, made.record) == (End.LEFT, former)

    def test_without_a_record_of_before_the_intent_stays(self) -> None:
        made = attempt()
        made.begin(moment(0.0))
        settled = settlement(made.take_back("told to stop", moment(1.0)))
        assert settled.outcome.reason == "not touched: told to stop"

    def test_what_may_have_been_applied_stays_intended(self) -> None:
        made = sent(fresh(record(Stage.VERIFIED, fingerprint="old", version="5")))
        made.doubted(LOST, moment(1.0), conflict=False, over="")
        settled = settlement(made.take_back("told to stop", moment(1.0)))
        assert made.record is not None
        assert made.record.stage is Stage.INTENDED
        assert settled.outcome.reason == "put, and not seen to work yet: told to stop"

    def test_an_answer_that_is_lost_while_stopping_leaves_it_intended(self) -> None:
        made = sent(fresh(record(Stage.VERIFIED, fingerprint="old", version="5")))
        effects = made.doubted(LOST, moment(1.0), conflict=False, over="told to stop")
        settled = settlement(effects)
        assert settled.outcome.reason == "put, and not seen to work yet: told to stop"
        assert made.record is not None
        assert (made.record.stage, made.end) == (Stage.INTENDED, End.LEFT)

    def test_a_conflict_while_stopping_is_taken_back(self) -> None:
        former = record(Stage.VERIFIED, fingerprint="old", version="5")
        made = sent(fresh(former))
        write, *rest = made.doubted(CONFLICT, moment(1.0), conflict=True, over="told to stop")
        assert write == fx.Write(KEY, former)
        assert settlement(rest).outcome.reason == "not touched: told to stop"

    def test_what_was_put_is_left_to_be_looked_at(self) -> None:
        made = put()
        settled = settlement(made.leave("told to stop", moment(2.0)))
        assert settled.record is None
        assert settled.outcome.result is Result.SKIPPED
        assert settled.outcome.reason == "put, and not seen to work yet: told to stop"

    def test_so_is_what_an_earlier_run_put(self) -> None:
        made = attempt(fresh(record(Stage.PUT, version="5", before="4")))
        made.begin(moment(0.0))
        settled = settlement(made.leave("told to stop", moment(2.0)))
        assert settled.outcome.reason == "put, and not seen to work yet: told to stop"


class TestVerified:
    def test_settles_when_it_was_seen_to_work_twice(self) -> None:
        made = put()
        assert look(made, connection(version="6"), 1.5) == []
        assert (made.confirming_at, made.looked_at) == (1.5, 1.5)
        settled = settlement(look(made, connection(version="6"), 3.5))
        assert settled.record is not None
        assert (settled.record.stage, settled.record.phase) == (Stage.VERIFIED, "READY")
        assert settled.outcome.reason == "READY at resource version 6"
        assert settled.outcome.verify_seconds == pytest.approx(0.5)
        assert (made.end, made.cause) == (End.WORKS, None)

    def test_a_look_that_began_before_the_answer_says_nothing(self) -> None:
        made = put()
        assert look(made, connection(version="6"), 2.0, asked_at=0.9) == []
        assert made.looked_at == float("-inf")
        look(made, connection(version="6"), 2.0, asked_at=1.0)
        assert made.looked_at == 1.0

    def test_a_look_while_the_answer_is_being_written_says_nothing(self) -> None:
        made = sent()
        made.answered("6", moment(1.0))
        assert look(made, connection(version="6", phase="INVALID_AUTH"), 1.5) == []
        assert step(made) is Step.RECORDING

    def test_a_refusal_names_the_phase_and_keeps_no_detail(self) -> None:
        made = put()
        seen = connection(version="6", phase="INVALID_AUTH", detail="key value-of-new is unknown")
        settled = settlement(look(made, seen, 1.5))
        assert settled.record is not None
        assert (settled.record.stage, settled.record.phase) == (Stage.FAILED, "INVALID_AUTH")
        assert made.reason == "INVALID_AUTH"
        assert (made.end, made.cause) == (End.BAD, Cause.REJECTED)

    def test_one_that_is_never_ready_names_the_phase_and_the_timeout(self) -> None:
        made = put()
        settlement(look(made, connection(version="6", phase="PENDING"), 31.0))
        assert (made.end, made.reason) == (End.BAD, "PENDING, after 30 s")
        assert made.cause is Cause.NOT_READY

    def test_one_that_never_shows_says_so(self) -> None:
        made = put()
        settlement(look(made, connection(version="5"), 31.0))
        still = "still at resource version 5"
        assert made.reason == f"the update is not visible: {still}, after 30 s"

    def test_looks_that_fail_until_the_timeout_leave_it_put(self) -> None:
        made = put()
        assert look(made, LOST, 30.9) == []
        settled = settlement(look(made, LOST, 31.0))
        assert settled.record is not None
        assert (settled.record.stage, made.end) == (Stage.PUT, End.FAILED)
        assert made.reason == f"could not be looked at: {LOST}"
        assert made.looked_at == float("-inf")

    def test_the_version_that_a_look_shows_goes_on_record_where_none_was_told(self) -> None:
        made = put(None)
        (write,) = look(made, connection(version="6", phase="PENDING"), 1.5)
        assert made.record is not None
        assert (made.record.resource_version, made.record.phase) == ("6", "PENDING")
        assert write == fx.Write(KEY, made.record)
        made.written()
        assert step(made) is Step.VERIFYING
        assert look(made, connection(version="6", phase="READY"), 2.5) == []

    def test_that_it_is_on_record_does_not_mean_that_a_later_intent_is(self) -> None:
        made = put(None)
        look(made, connection(version="6"), 1.5)
        look(made, connection(version="7"), 3.5)
        assert step(made) is Step.INTENDING
        made.written()  # what the first look showed
        assert step(made) is Step.INTENDING
        made.written()
        assert step(made) is Step.INTENDED

    def test_what_a_stale_look_shows_does_not(self) -> None:
        made = put(None)
        look(made, connection(version="5", phase="PENDING"), 1.5)
        assert made.record is not None
        assert (made.record.resource_version, made.record.phase) == (None, None)

    def test_deleted(self) -> None:
        made = put()
        assert look(made, None, 1.5) == []
        settlement(look(made, None, 3.5))
        assert made.end is End.GONE

    def test_deleted_and_made_again(self) -> None:
        made = put()
        settlement(look(made, connection(version="6", uid="uid-2"), 1.5))
        assert made.end is End.REPLACED


class TestRepeated:
    def test_a_write_by_somebody_else_is_written_over(self) -> None:
        made = put()
        (write,) = look(made, connection(version="7"), 1.5)
        assert isinstance(write, fx.Write)
        assert (write.record.stage, write.record.version_before) == (Stage.INTENDED, "7")
        assert write.record.older_versions == ("5",)

    def test_a_few_times(self) -> None:
        made = put()
        for again in range(MOST_REPEATS):
            (write,) = look(made, connection(version=str(7 + 2 * again)), 2.0 + again)
            assert isinstance(write, fx.Write)
            made.written()
            made.send()
            made.answered(str(8 + 2 * again), moment(2.5 + again))
            made.written()
        settled = settlement(look(made, connection(version="20", phase="PENDING"), 9.0))
        assert settled.record is not None
        assert (settled.record.stage, settled.record.phase) == (Stage.PUT, "PENDING")
        assert made.reason == (
            "changed by someone else before it was seen to work: resource version 12 → 20"
        )
        assert (made.end, made.cause) == (End.FAILED, Cause.DRIFT)

    def test_unless_the_rule_only_warns_of_drift(self) -> None:
        made = put(terms=replace(TERMS, reapply_drift=False))
        settlement(look(made, connection(version="7"), 1.5))
        assert (made.end, made.cause) == (End.FAILED, Cause.DRIFT)

    def test_or_nothing_new_may_be_sent(self) -> None:
        made = put()
        settlement(look(made, connection(version="7"), 1.5, over="stopped"))
        assert made.end is End.FAILED

    def test_or_the_credential_is_not_at_hand(self) -> None:
        known = record(Stage.PUT, version="5", before="4")
        made = attempt(decide_leased(connection(version="5"), REF, known, None))
        made.begin(moment(0.0))
        settlement(look(made, connection(version="7"), 1.5))
        assert made.end is End.FAILED

    def test_an_update_that_never_shows_is_sent_again_over_the_same(self) -> None:
        made = put(None)
        assert look(made, connection(version="5"), 6.9) == []
        (write,) = look(made, connection(version="5"), 7.0)
        assert isinstance(write, fx.Write)
        assert (write.record.stage, write.record.version_before) == (Stage.INTENDED, "5")
        made.written()
        (send,) = made.send()
        assert isinstance(send, fx.Send)
        assert send.connection.resource_version == "5"

    def test_not_where_nothing_new_may_be_sent(self) -> None:
        made = put(None)
        assert look(made, connection(version="5"), 7.0, over="stopped") == []
        assert step(made) is Step.VERIFYING

    def test_a_few_times_and_then_it_is_late(self) -> None:
        made = put(None)
        now = 1.0
        for _ in range(MOST_REPEATS):
            now += 6.0
            look(made, connection(version="5"), now)
            made.written()
            made.send()
            made.answered(None, moment(now))
            made.written()
        assert look(made, connection(version="5"), now + 6.0) == []
        settlement(look(made, connection(version="5"), now + 30.0))
        assert (made.end, made.cause) == (End.BAD, Cause.NOT_READY)

    def test_a_conflict_then_means_that_it_was_put_and_shows_late(self) -> None:
        made = put(None)
        before = made.record
        assert before is not None
        look(made, connection(version="5"), 7.0)
        made.written()
        made.send()
        assert made.doubted(CONFLICT, moment(8.0), conflict=True, over="") == [
            fx.Write(KEY, before)
        ]
        assert step(made) is Step.RECORDING
        made.written()
        look(made, connection(version="6"), 9.0)
        settlement(look(made, connection(version="6"), 11.0))
        assert made.end is End.WORKS

    def test_and_once_more_it_is_a_conflict_like_any_other(self) -> None:
        made = put(None)
        look(made, connection(version="5"), 7.0)
        made.written()
        made.send()
        made.doubted(CONFLICT, moment(8.0), conflict=True, over="")
        made.written()
        look(made, connection(version="5"), 14.0)
        made.written()
        made.send()
        made.answered(None, moment(15.0))
        made.written()
        look(made, connection(version="6"), 16.0)
        assert step(made) is Step.VERIFYING


class TestSeenAgain:
    """What was verified is looked at once more: a canary, or everything at the end."""

    @staticmethod
    def verified(known: Record | None = None) -> Attempt:
        made = put(change=fresh(known))
        look(made, connection(version="6"), 1.5)
        look(made, connection(version="6"), 3.5)
        assert made.end is End.WORKS
        return made

    def test_a_refusal_is_a_failure_after_all(self) -> None:
        former = replace(
            record(Stage.VERIFIED, fingerprint="old", version="5"), verified_fingerprint="old"
        )
        made = self.verified(former)
        settled = settlement(look(made, connection(version="6", phase="INVALID_AUTH"), 5.0))
        assert settled.record is not None
        assert (settled.record.stage, settled.record.phase) == (Stage.FAILED, "INVALID_AUTH")
        assert settled.record.verified_fingerprint == "old"
        assert made.reason == "INVALID_AUTH, after it was READY"
        assert (made.end, made.cause) == (End.BAD, Cause.REJECTED)
        assert made.looked_at == 5.0

    @pytest.mark.parametrize(
        "seen",
        [
            connection(version="6"),
            connection(version="7", phase="INVALID_AUTH"),
            connection(version="6", phase="UNREACHABLE"),
            connection(version="6", phase="INVALID_AUTH", uid="uid-2"),
            None,
        ],
        ids=["works", "somebody else's write", "out of reach", "another one", "gone"],
    )
    def test_nothing_else_is(self, seen: Connection | None) -> None:
        made = self.verified()
        assert look(made, seen, 5.0) == []
        assert (made.end, made.looked_at) == (End.WORKS, 5.0)

    def test_a_look_that_fails_says_nothing(self) -> None:
        made = self.verified()
        assert look(made, LOST, 5.0) == []
        assert made.looked_at == 3.5

    def test_what_failed_is_not_judged_again(self) -> None:
        made = sent()
        made.refused(NO, moment(1.0), over="")
        assert look(made, connection(version="6", phase="INVALID_AUTH"), 5.0) == []
        assert made.end is End.FAILED

    def test_nor_is_what_was_not_its_turn(self) -> None:
        made = attempt()
        assert look(made, connection(version="6"), 5.0) == []
        assert step(made) is Step.WAITING


class TestVersionsOnRecord:
    """What earlier runs put is older than the update of this run."""

    KNOWN = replace(record(Stage.PUT, fingerprint="older", version="6"), older_versions=("3", "4"))

    def test_none_of_them_counts_as_the_update(self) -> None:
        made = put(None, fresh(self.KNOWN))
        assert look(made, connection(version="6"), 1.5) == []
        assert made.confirming_at is None
        look(made, connection(version="7"), 2.0)
        assert made.confirming_at == 2.0
        assert made.record is not None
        assert made.record.older_versions == ("3", "4", "5", "6")

    def test_those_of_a_connection_that_was_deleted_and_made_again_say_nothing(self) -> None:
        made = put(None, fresh(self.KNOWN, uid="uid-2"))
        look(made, connection(version="6", uid="uid-2"), 1.5)
        assert made.confirming_at == 1.5

    def test_a_record_without_a_version_has_none(self) -> None:
        made = put(None, fresh(replace(self.KNOWN, resource_version=None, stage=Stage.INTENDED)))
        assert made.verification.older == {"3", "4", "5"}

    def test_an_update_that_a_proxy_swallowed_is_not_what_an_earlier_run_put(self) -> None:
        """The list lags, so it shows neither: then the earlier one comes into sight."""
        sim = Simulation(cloud(KEY, lag=3.0))
        sim.die_after("new", 3)  # its intent, the update, and that it was answered
        assert sim.at_stage(Stage.PUT) == {KEY}
        sim.start("newer")
        while not (sim.pending and isinstance(sim.pending[0], fx.Send)):
            assert sim.step()
        sim.carry_out(0, sim.swallowed)
        sim.finish()
        assert sim.claims() == []
        sim.run("newer")
        assert sim.holding("newer") == sim.at_stage(Stage.VERIFIED) == {KEY}
