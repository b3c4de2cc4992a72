"""Which look at a connection proves that this update works."""

from __future__ import annotations

import pytest

from rotator.errors import Cause
from rotator.model.connection import Connection
from rotator.rotation.verify import Judgement, State, judge, pauses, resend_after
from tests.unit.rotation.values import at, connection

BEFORE = connection(version="5")
TIMEOUT = 30.0


def look(
    now: Connection | None,
    *,
    before: Connection = BEFORE,
    misses: int = 0,
    waited: float = 1.0,
) -> Judgement:
    return judge(before, now, misses=misses, waited=waited, timeout=TIMEOUT)


def late(reason: str) -> Judgement:
    return Judgement(State.FAILED, reason, cause=Cause.NOT_READY)


class TestMoved:
    """The update shows: the phase is that of the new credential."""

    @pytest.mark.parametrize("phase", ["READY", "ACTIVE"])
    @pytest.mark.parametrize("waited", [0.0, 29.9, 30.0, 3000.0])
    def test_usable_is_verified_however_late(self, phase: str, waited: float) -> None:
        seen = look(connection(version="6", phase=phase), waited=waited)
        assert seen == Judgement(State.VERIFIED, f"{phase} at resource version 6")

    @pytest.mark.parametrize("waited", [0.0, 29.9, 30.0])
    def test_invalid_auth_fails_at_once(self, waited: float) -> None:
        seen = look(connection(version="6", phase="INVALID_AUTH", detail="HTTP 401"), waited=waited)
        assert seen == Judgement(State.FAILED, "INVALID_AUTH (HTTP 401)", cause=Cause.REJECTED)

    @pytest.mark.parametrize(
        "phase", ["PENDING", "UNREACHABLE", "UNKNOWN", "DEGRADED", "ready", "READY_SOON", "FAILED"]
    )
    def test_any_other_phase_waits_and_is_named_at_the_timeout(self, phase: str) -> None:
        now = connection(version="6", phase=phase)
        assert look(now, waited=29.9) == Judgement(State.PENDING, phase)
        assert look(now, waited=30.0) == late(f"{phase}, after 30 s")

    @pytest.mark.parametrize("detail", ["Lookup failed: no such host", "INVALID_AUTH", "error"])
    def test_a_detail_spoils_no_ready(self, detail: str) -> None:
        assert look(connection(version="6", detail=detail)).state is State.VERIFIED

    @pytest.mark.parametrize("detail", ["READY", "ACTIVE", "everything is fine"])
    def test_a_detail_saves_no_other_phase(self, detail: str) -> None:
        for phase, state in (("INVALID_AUTH", State.FAILED), ("UNREACHABLE", State.PENDING)):
            assert look(connection(version="6", phase=phase, detail=detail)).state is state

    def test_without_versions_the_time_of_the_change_tells(self) -> None:
        before = connection(version=None, updated_at=at(0))
        now = connection(version=None, updated_at=at(1))
        assert look(now, before=before).state is State.VERIFIED


class TestNotMoved:
    """The update doesn't show yet: the phase is that of the old credential."""

    @pytest.mark.parametrize("phase", ["READY", "ACTIVE", "INVALID_AUTH", "UNREACHABLE", "PENDING"])
    @pytest.mark.parametrize("version", ["5", "4"])
    def test_no_phase_counts(self, phase: str, version: str) -> None:
        said = "the update is not visible: still at resource version 5"
        now = connection(version=version, phase=phase)
        assert look(now) == Judgement(State.PENDING, said, visible=False)
        assert look(now, waited=30.0) == late(f"{said}, after 30 s")

    def test_where_nothing_tells_one_write_from_another_nothing_is_verified(self) -> None:
        blind = connection(version=None)
        assert look(blind, before=blind).state is State.PENDING
        assert look(blind, before=blind, waited=30.0).state is State.FAILED


class TestMissing:
    def test_missing_once_is_a_page_that_shifted(self) -> None:
        seen = look(None, misses=1)
        assert seen == Judgement(State.PENDING, "the connection was not listed")

    @pytest.mark.parametrize("misses", [2, 3])
    def test_missing_twice_is_gone(self, misses: int) -> None:
        assert look(None, misses=misses) == Judgement(
            State.FAILED, "the connection is gone", cause=Cause.OTHER
        )

    def test_missing_at_the_timeout_fails(self) -> None:
        seen = look(None, misses=1, waited=30.0)
        assert seen == late("the connection was not listed, after 30 s")

    def test_listed_again_counts_as_it_is(self) -> None:
        assert look(connection(version="6"), misses=0).state is State.VERIFIED


class TestTextOfOthers:
    """Detail and phase are written by someone else, and end in logs and on terminals."""

    @pytest.mark.parametrize(
        ("detail", "shown"),
        [
            ("two\r\nlines", "two lines"),
            ("\x1b[31mred\x1b[0m", "[31mred [0m"),
            ("nul\x00 bell\x07 tab\t.", "nul bell tab ."),
            ("\u2028separator\u0085", "separator"),
            ("right\u202eto left", "right to left"),
            ("Schlüssel ungültig 鍵", "Schlüssel ungültig 鍵"),
        ],
    )
    def test_a_detail_stays_one_printable_line(self, detail: str, shown: str) -> None:
        seen = look(connection(version="6", phase="INVALID_AUTH", detail=detail))
        assert seen.reason == f"INVALID_AUTH ({shown})"

    def test_a_detail_of_nothing_printable_is_left_out(self) -> None:
        seen = look(connection(version="6", phase="INVALID_AUTH", detail=" \n\x00 "))
        assert seen.reason == "INVALID_AUTH"

    @pytest.mark.parametrize(("length", "shown"), [(200, "x" * 200), (201, "x" * 199 + "…")])
    def test_a_detail_has_an_end(self, length: int, shown: str) -> None:
        seen = look(connection(version="6", phase="INVALID_AUTH", detail="x" * length))
        assert seen.reason == f"INVALID_AUTH ({shown})"

    def test_an_unknown_phase_is_one_printable_line_too(self) -> None:
        seen = look(connection(version="6", phase="ODD\n2026 ERROR forged line"))
        assert seen.reason == "ODD 2026 ERROR forged line"


@pytest.mark.parametrize("interval", [0.5, 2.0, 60.0])
def test_first_looks_come_sooner_and_never_slower_than_the_interval(interval: float) -> None:
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
