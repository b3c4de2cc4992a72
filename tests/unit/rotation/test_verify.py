"""Which looks at a connection prove that its update works."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.model.connection import Condition, Connection
from rotator.model.record import Stage
from rotator.model.rule import VerificationPolicy
from rotator.rotation.verify import (
    PENDING,
    SETTLING,
    Conclusion,
    Expected,
    Proof,
    Sight,
    Stability,
    Verification,
    pauses,
    phase_of,
    resend_after,
    sight,
    stability,
)
from tests.unit.rotation.values import at, connection, record

BEFORE = connection(version="5")
POLICY = VerificationPolicy(timeout=30.0, interval=2.0, stable=2)
OURS, STALE, FOREIGN, REPLACED = Sight.OURS, Sight.STALE, Sight.FOREIGN, Sight.REPLACED


def answered(
    version: str | None = "6",
    *,
    before: Connection = BEFORE,
    policy: VerificationPolicy = POLICY,
    since: float = 0.0,
) -> Verification:
    """The verification of an update that was answered."""
    made = Verification(policy, before)
    made.answered(before, version, since)
    return made


def shown(version: str | None = "6", phase: str = "READY", **settings: str) -> Connection:
    return connection(version=version, phase=phase, **settings)  # type: ignore[arg-type]


class TestSight:
    @pytest.mark.parametrize(
        ("told", "seen", "expected"),
        [
            pytest.param("6", "6", OURS, id="what the answer told"),
            pytest.param("6", "5", STALE, id="as before"),
            pytest.param("6", "4", STALE, id="older than before"),
            pytest.param("7", "6", STALE, id="between before and ours"),
            pytest.param("6", "7", FOREIGN, id="newer than ours"),
            pytest.param("6", None, STALE, id="no version to go by"),
            pytest.param(None, "6", OURS, id="the first that is newer, where none was told"),
            pytest.param(None, "5", STALE, id="none told, as before"),
            pytest.param(None, "4", STALE, id="none told, older"),
            pytest.param(None, None, STALE, id="none told, none seen"),
            pytest.param("b", "b", OURS, id="words, what the answer told"),
            pytest.param("b", "c", FOREIGN, id="words, another"),
            pytest.param("b", "5", STALE, id="words, as before"),
            pytest.param("10", "c", FOREIGN, id="a word after a number"),
            pytest.param("b", "1", FOREIGN, id="a number after a word"),
        ],
    )
    def test_by_version(self, told: str | None, seen: str | None, expected: Sight) -> None:
        assert sight(Expected(BEFORE, told), shown(seen)) is expected

    @pytest.mark.parametrize("told", ["d", None])
    def test_a_version_that_is_known_to_be_older_is_stale(self, told: str | None) -> None:
        before = connection(version="c")
        older = frozenset({"a", "b"})
        for version in ("a", "b"):
            assert sight(Expected(before, told, older), shown(version)) is STALE
        assert sight(Expected(before, told, older), shown("d")) is OURS

    def test_without_versions_the_time_of_the_change_tells(self) -> None:
        before = connection(version=None, updated_at=at(0))
        later = connection(version=None, updated_at=at(1))
        assert sight(Expected(before, None), later) is OURS
        assert sight(Expected(before, None), before) is STALE

    @pytest.mark.parametrize(
        "other",
        [shown("6", uid="uid-2"), shown("6", type="REST"), shown("6", endpoint="https://else")],
        ids=["uid", "type", "endpoint"],
    )
    @pytest.mark.parametrize("told", ["6", None])
    def test_another_connection_of_that_name_is_never_ours(
        self, other: Connection, told: str | None
    ) -> None:
        assert sight(Expected(BEFORE, told), other) is REPLACED


class TestStability:
    def test_starts_with_the_first_look(self) -> None:
        assert stability(None, shown(), 3.0, 2.0) == Stability(Condition.USABLE, 1, 3.0, 3.0)

    def test_counts_looks_that_are_an_interval_apart(self) -> None:
        first = stability(None, shown(), 3.0, 2.0)
        soon = stability(first, shown(), 4.9, 2.0)
        assert soon == first
        second = stability(soon, shown(), 5.0, 2.0)
        assert second == Stability(Condition.USABLE, 2, 3.0, 5.0)
        assert stability(second, shown(), 6.9, 2.0) == second
        assert stability(second, shown(), 7.0, 2.0) == Stability(Condition.USABLE, 3, 3.0, 7.0)

    def test_a_timer_that_is_a_moment_early_counts(self) -> None:
        first = stability(None, shown(), 0.0, 2.0)
        assert stability(first, shown(), 1.9985, 2.0).looks == 2
        assert stability(first, shown(), 1.99, 2.0).looks == 1

    def test_starts_again_in_another_condition(self) -> None:
        first = stability(None, shown(), 3.0, 2.0)
        turned = stability(first, shown(phase="INVALID_AUTH"), 3.5, 2.0)
        assert turned == Stability(Condition.REJECTED, 1, 3.5, 3.5)

    def test_another_name_of_the_same_condition_goes_on(self) -> None:
        first = stability(None, shown(phase="READY"), 3.0, 2.0)
        assert stability(first, shown(phase="ACTIVE"), 5.0, 2.0).looks == 2


class TestUsable:
    @pytest.mark.parametrize("phase", ["READY", "ACTIVE"])
    def test_works_when_it_was_seen_twice_an_interval_apart(self, phase: str) -> None:
        checked = answered()
        assert checked.look(shown(phase=phase), 0.5) == SETTLING
        assert checked.look(shown(phase=phase), 1.5) == SETTLING
        proof = checked.look(shown(phase=phase), 2.5)
        said = f"{phase} at resource version 6"
        assert proof == Proof(Conclusion.WORKS, said, ready_at=0.5, ours=True)

    def test_works_after_the_timeout_where_it_was_seen_before(self) -> None:
        checked = answered()
        assert checked.look(shown(), 33.9) == SETTLING
        assert checked.look(shown(), 35.9).conclusion is Conclusion.WORKS

    def test_one_that_flaps_is_late(self) -> None:
        """What was just seen may be seen once more: that takes as long as two intervals."""
        checked = answered(since=100.0)
        assert checked.look(shown(phase="READY"), 128.0) == SETTLING
        assert checked.look(shown(phase="PENDING"), 129.0) == SETTLING
        assert checked.look(shown(phase="READY"), 133.9) == SETTLING
        said = "READY, and not for long enough"
        assert checked.look(shown(phase="READY"), 134.0) == Proof(Conclusion.LATE, said, ours=True)

    def test_one_look_is_enough_where_the_policy_says_so(self) -> None:
        checked = answered(policy=replace(POLICY, stable=1))
        assert checked.look(shown(), 0.5).conclusion is Conclusion.WORKS

    def test_three_looks_where_the_policy_says_so(self) -> None:
        checked = answered(policy=replace(POLICY, stable=3))
        proofs = [checked.look(shown(), moment).conclusion for moment in (0.0, 2.0, 4.0)]
        assert proofs == [Conclusion.PENDING, Conclusion.PENDING, Conclusion.WORKS]

    def test_a_status_that_lags_behind_its_version_is_found_out(self) -> None:
        checked = answered()
        assert checked.look(shown(), 0.5) == SETTLING
        assert checked.look(shown(phase="INVALID_AUTH"), 2.5).conclusion is Conclusion.REJECTED

    def test_an_interruption_starts_the_count_again(self) -> None:
        checked = answered()
        checked.look(shown(), 0.0)
        checked.look(shown(phase="PENDING"), 2.0)
        assert checked.look(shown(), 4.0) == SETTLING
        assert checked.look(shown(), 6.0).ready_at == 4.0

    @pytest.mark.parametrize("detail", ["Lookup failed: no such host", "INVALID_AUTH", "error"])
    def test_a_detail_spoils_no_ready(self, detail: str) -> None:
        checked = answered()
        checked.look(shown(detail=detail), 0.0)
        assert checked.look(shown(detail=detail), 2.0).conclusion is Conclusion.WORKS

    def test_tells_when_one_more_look_settles_it(self) -> None:
        checked = answered()
        assert checked.confirming_at is None
        checked.look(shown(phase="PENDING"), 0.25)
        assert checked.confirming_at is None
        checked.look(shown(), 0.5)
        assert checked.confirming_at == 0.5
        checked.look(shown(), 1.0)
        assert checked.confirming_at == 0.5

    def test_needs_no_more_than_the_last_look_for_that(self) -> None:
        checked = answered(policy=replace(POLICY, stable=3))
        checked.look(shown(), 0.5)
        assert checked.confirming_at is None
        checked.look(shown(), 2.5)
        assert checked.confirming_at == 2.5


class TestNotUsable:
    def test_a_refusal_is_final_at_once(self) -> None:
        proof = answered().look(shown(phase="INVALID_AUTH"), 0.5)
        assert proof == Proof(Conclusion.REJECTED, ours=True)

    def test_a_refusal_must_be_stable_where_the_one_before_was_refused_too(self) -> None:
        checked = answered(before=connection(version="5", phase="INVALID_AUTH"))
        assert checked.look(shown(phase="INVALID_AUTH"), 0.5) == SETTLING
        assert checked.look(shown(phase="INVALID_AUTH"), 1.0) == SETTLING
        assert checked.look(shown(phase="INVALID_AUTH"), 2.5).conclusion is Conclusion.REJECTED

    def test_but_not_without_an_end(self) -> None:
        checked = answered(before=connection(version="5", phase="INVALID_AUTH"))
        assert checked.look(shown(phase="INVALID_AUTH"), 33.9) == SETTLING
        assert checked.look(shown(phase="INVALID_AUTH"), 34.0).conclusion is Conclusion.REJECTED

    def test_a_refusal_of_the_one_before_may_turn(self) -> None:
        checked = answered(before=connection(version="5", phase="INVALID_AUTH"))
        checked.look(shown(phase="INVALID_AUTH"), 0.5)
        checked.look(shown(), 1.0)
        assert checked.look(shown(), 3.0).conclusion is Conclusion.WORKS

    @pytest.mark.parametrize(
        "phase", ["PENDING", "UNREACHABLE", "UNKNOWN", "DEGRADED", "ready", "READY_SOON", "FAILED"]
    )
    def test_any_other_phase_waits_until_the_timeout(self, phase: str) -> None:
        checked = answered(since=100.0)
        assert checked.look(shown(phase=phase), 129.9) == SETTLING
        assert checked.look(shown(phase=phase), 130.0) == Proof(Conclusion.LATE, ours=True)

    @pytest.mark.parametrize("detail", ["READY", "ACTIVE", "everything is fine"])
    def test_a_detail_saves_no_other_phase(self, detail: str) -> None:
        seen = shown(phase="INVALID_AUTH", detail=detail)
        assert answered().look(seen, 0.5).conclusion is Conclusion.REJECTED
        assert answered().look(shown(phase="UNREACHABLE", detail=detail), 0.5) == SETTLING


class TestNotVisible:
    """The update doesn't show yet: the phase is that of the old credential."""

    @pytest.mark.parametrize("phase", ["READY", "ACTIVE", "INVALID_AUTH", "UNREACHABLE", "PENDING"])
    @pytest.mark.parametrize("version", ["5", "4"])
    def test_no_phase_counts(self, phase: str, version: str) -> None:
        checked = answered(since=100.0)
        seen = shown(version, phase)
        assert checked.look(seen, 129.9) == PENDING
        assert checked.confirming_at is None
        said = "the update is not visible: still at resource version 5"
        assert checked.look(seen, 130.0) == Proof(Conclusion.LATE, said)

    def test_an_update_whose_answer_told_no_version_may_have_been_swallowed(self) -> None:
        checked = answered(None, since=100.0)
        assert checked.look(shown("5"), 105.9) == PENDING
        assert checked.look(shown("5"), 106.0) == Proof(Conclusion.SWALLOWED)

    def test_it_was_not_once_it_was_seen(self) -> None:
        checked = answered(None)
        checked.look(shown("6"), 1.0)
        assert checked.look(shown("5"), 7.0) == PENDING

    def test_where_nothing_tells_one_write_from_another_nothing_is_verified(self) -> None:
        blind = connection(version=None)
        checked = answered(None, before=blind)
        assert checked.look(blind, 1.0) == PENDING
        assert checked.look(blind, 30.0).conclusion is Conclusion.LATE


class TestForeign:
    def test_a_write_after_the_one_that_was_told_is_somebody_elses(self) -> None:
        proof = answered("6").look(shown("7"), 0.5)
        assert proof == Proof(Conclusion.FOREIGN, "resource version 6 → 7")

    def test_so_is_one_after_the_first_that_was_seen(self) -> None:
        checked = answered(None)
        assert checked.look(shown("6"), 0.5) == SETTLING
        assert checked.look(shown("7"), 2.5).conclusion is Conclusion.FOREIGN

    def test_another_connection_of_that_name_is_no_success(self) -> None:
        assert answered("6").look(shown("6", uid="uid-2"), 0.5) == Proof(Conclusion.REPLACED)


class TestSentAgain:
    """An update that was answered and didn't show was sent again."""

    def test_the_version_of_the_last_answer_counts_and_the_one_before_is_stale(self) -> None:
        checked = answered("6")
        checked.answered(BEFORE, "7", 10.0)
        assert (checked.version, checked.since) == ("7", 10.0)
        assert checked.older == {"5", "6"}
        assert checked.look(shown("6"), 11.0) == PENDING
        assert checked.look(shown("7"), 12.0) == SETTLING

    def test_words_that_are_known_to_be_older_are_stale_too(self) -> None:
        before = connection(version="a")
        checked = answered("b", before=before)
        checked.answered(connection(version="b"), "c", 10.0)
        assert checked.look(shown("a"), 11.0) == PENDING
        assert checked.look(shown("b"), 11.0) == PENDING
        assert checked.look(shown("c"), 11.0) == SETTLING

    def test_an_answer_that_tells_a_version_that_is_older_tells_nothing(self) -> None:
        checked = answered("6")
        checked.answered(connection(version="6"), "6", 10.0)
        assert checked.version is None
        assert checked.look(shown("7"), 11.0) == SETTLING

    def test_looks_and_misses_from_before_count_no_more(self) -> None:
        checked = answered("6")
        checked.look(shown("6"), 0.5)
        checked.look(None, 1.0)
        checked.answered(BEFORE, "7", 10.0)
        assert checked.confirming_at is None
        assert checked.look(None, 10.5) == PENDING
        assert checked.look(shown("7"), 11.0) == SETTLING

    def test_of_several_that_told_no_version_the_last_to_show_counts(self) -> None:
        checked = answered(None)
        checked.answered(BEFORE, None, 10.0)
        assert checked.look(shown("6"), 12.0) == SETTLING
        assert checked.look(shown("7"), 14.0) == SETTLING
        assert checked.version == "7"
        assert checked.confirming_at is None, "what was seen at the version before does not count"
        assert "6" in checked.older
        assert checked.look(shown("7"), 16.0) == SETTLING
        assert checked.look(shown("7"), 18.0).conclusion is Conclusion.WORKS
        assert checked.look(shown("8"), 20.0).conclusion is Conclusion.FOREIGN

    def test_and_what_shows_is_taken_for_the_first_until_the_last_must_show_too(self) -> None:
        # The first took 12 s to show, so the second, which left 10 s later, may take until 22 s.
        checked = answered(None)
        checked.answered(BEFORE, None, 10.0)
        assert checked.look(shown("6"), 12.0) == SETTLING
        assert checked.look(shown("6"), 14.0) == SETTLING
        assert checked.look(shown("6"), 21.9) == SETTLING
        assert checked.look(shown("6"), 22.0).conclusion is Conclusion.WORKS

    def test_an_answer_that_tells_one_ends_that(self) -> None:
        checked = answered(None)
        checked.answered(BEFORE, "7", 10.0)
        assert checked.look(shown("7"), 12.0) == SETTLING
        assert checked.look(shown("7"), 14.0).conclusion is Conclusion.WORKS
        assert checked.look(shown("8"), 16.0).conclusion is Conclusion.FOREIGN

    def test_a_version_that_came_before_is_no_news(self) -> None:
        checked = answered("6")
        checked.replaced(None)
        assert checked.older == {"5"}


class TestMissing:
    def test_missing_once_is_a_page_that_shifted(self) -> None:
        assert answered().look(None, 0.5) == PENDING

    def test_missing_twice_an_interval_apart_is_gone(self) -> None:
        checked = answered()
        assert checked.look(None, 0.5) == PENDING
        assert checked.look(None, 2.4) == PENDING
        assert checked.look(None, 2.4985) == Proof(Conclusion.GONE)

    def test_listed_in_between_is_there(self) -> None:
        checked = answered()
        checked.look(None, 0.5)
        assert checked.look(shown(), 1.5) == SETTLING
        assert checked.look(None, 2.5) == PENDING


class TestResumed:
    """The verification of an update that an earlier run put."""

    def test_starts_at_the_record(self) -> None:
        known = replace(record(Stage.PUT, version="6"), older_versions=("3", "4"))
        checked = Verification.resumed(POLICY, BEFORE, known, 100.0)
        assert (checked.version, checked.since) == ("6", 100.0)
        assert checked.older == {"3", "4"}
        assert checked.look(shown("6"), 100.5) == SETTLING
        assert checked.look(shown("6"), 102.5).conclusion is Conclusion.WORKS

    def test_what_its_answer_did_not_tell_is_the_first_that_is_newer(self) -> None:
        checked = Verification.resumed(POLICY, BEFORE, record(Stage.PUT, version=None), 100.0)
        assert checked.look(shown("6"), 100.5) == SETTLING
        assert checked.version == "6"
        assert checked.look(shown("6"), 102.5).conclusion is Conclusion.WORKS


class TestRefusedLater:
    def test_what_worked_and_is_refused_at_the_same_version(self) -> None:
        assert answered("6").refuses_now(shown("6", "INVALID_AUTH"))

    @pytest.mark.parametrize(
        "seen",
        [
            shown("6", "READY"),
            shown("6", "UNREACHABLE"),
            shown("5", "INVALID_AUTH"),
            shown("7", "INVALID_AUTH"),
            shown("6", "INVALID_AUTH", uid="uid-2"),
        ],
        ids=["works", "out of reach", "as it was before", "somebody else's write", "another one"],
    )
    def test_nothing_else_is(self, seen: Connection) -> None:
        assert not answered("6").refuses_now(seen)

    def test_a_version_known_to_be_older_is_not(self) -> None:
        checked = answered("c", before=connection(version="a"))
        checked.replaced("b")
        assert not checked.refuses_now(shown("b", "INVALID_AUTH"))


class TestTextOfOthers:
    """A phase is written by someone else, and ends in logs and on terminals."""

    @pytest.mark.parametrize(
        ("phase", "shown_as"),
        [
            ("two\r\nlines", "two lines"),
            ("\x1b[31mred\x1b[0m", "[31mred [0m"),
            ("nul\x00 bell\x07 tab\t.", "nul bell tab ."),
            ("\u2028separator\u0085", "separator"),
            ("right\u202eto left", "right to left"),
            ("Schlüssel ungültig 鍵", "Schlüssel ungültig 鍵"),
            ("ODD\n2026 ERROR forged line", "ODD 2026 ERROR forged line"),
            ("x" * 200, "x" * 200),
            ("x" * 201, "x" * 199 + "…"),
        ],
    )
    def test_it_stays_one_printable_line_with_an_end(self, phase: str, shown_as: str) -> None:
        assert phase_of(shown(phase=phase)) == shown_as

    def test_no_detail_is_kept(self) -> None:
        """An endpoint may echo the credential that it refuses."""
        seen = shown(phase="INVALID_AUTH", detail="bad key: value-of-new")
        assert phase_of(seen) == "INVALID_AUTH"


def test_the_first_looks_come_sooner() -> None:
    assert pauses(2.0) == (0.25, 0.5, 1.0)


@pytest.mark.parametrize("interval", [0.5, 2.0, 60.0])
def test_and_never_slower_than_the_interval(interval: float) -> None:
    first = pauses(interval)
    assert list(first) == sorted(first)
    assert all(0 < pause < interval for pause in first)
    assert sum(first) < interval


@pytest.mark.parametrize(
    ("interval", "timeout", "seconds"),
    [
        pytest.param(2.0, 300.0, 6.0, id="three intervals"),
        pytest.param(0.1, 300.0, 3.0, id="no sooner than reads may lag"),
        pytest.param(60.0, 300.0, 75.0, id="early enough to be sent three times"),
        pytest.param(2.0, 4.0, 1.0, id="a short timeout"),
    ],
)
def test_when_an_update_is_taken_for_lost(interval: float, timeout: float, seconds: float) -> None:
    assert resend_after(interval, timeout) == seconds


class TestSettledVersion:
    """The target moves the version once more as a phase settles, and the configuration says so."""

    @staticmethod
    def checked(version: str | None) -> Verification:
        policy = VerificationPolicy(30.0, 2.0, 2, settled_version=True)
        verification = Verification(policy, BEFORE)
        verification.answered(BEFORE, version, 0.0)
        return verification

    def test_one_version_after_that_of_the_update_is_its_own(self) -> None:
        checked = self.checked("6")
        assert checked.look(shown("6", "PENDING"), 1.0) == SETTLING
        assert checked.look(shown("7"), 2.0) == SETTLING
        assert checked.look(shown("7"), 4.0) == SETTLING
        assert checked.look(shown("7"), 6.0).conclusion is Conclusion.WORKS
        assert checked.version == "7"

    def test_two_are_not(self) -> None:
        checked = self.checked("6")
        assert checked.look(shown("7"), 2.0) == SETTLING
        assert checked.look(shown("8"), 4.0).conclusion is Conclusion.FOREIGN

    def test_each_update_has_one_of_its_own(self) -> None:
        checked = self.checked("6")
        assert checked.look(shown("7"), 2.0) == SETTLING
        checked.answered(shown("7"), "8", 3.0)
        assert checked.look(shown("9"), 4.0) == SETTLING
