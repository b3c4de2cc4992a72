"""What is decided of a connection, by what is listed, wanted, and remembered."""

from __future__ import annotations

import pytest

from rotator.model.plan import Change, Verdict
from rotator.model.record import Record, Stage
from rotator.rotation.plan import adopted, before_of, decide
from rotator.rotation.verify import State, judge
from tests.unit.rotation.values import NOON, REF, at, connection, credential, record

CHANGED, UNCHANGED = Verdict.CHANGED, Verdict.UNCHANGED
DRIFTED, UNVERIFIED = Verdict.DRIFTED, Verdict.UNVERIFIED

VERSIONS = {
    # what is listed, against: after the update, before it
    "as recorded": ("5", "5", "4"),
    "moved on": ("6", "5", "4"),
    "list lags": ("4", "5", "4"),
    "list lags more": ("3", "5", "4"),
    "not listed": (None, "5", "4"),
    "answer told none": ("5", None, "4"),
    "answer told none, list lags": ("4", None, "4"),
    "no versions": (None, None, None),
    "versions appeared": ("5", None, None),
    "opaque, as recorded": ("b", "b", "a"),
    "opaque, moved on": ("c", "b", "a"),
    "opaque, list lags": ("a", "b", "a"),
}
ALWAYS_CHANGED = dict.fromkeys(VERSIONS, CHANGED)
AFTER_PUT = {
    "as recorded": UNVERIFIED,
    "moved on": CHANGED,
    "list lags": UNVERIFIED,
    "list lags more": UNVERIFIED,
    "not listed": UNVERIFIED,
    "answer told none": UNVERIFIED,
    "answer told none, list lags": UNVERIFIED,
    "no versions": CHANGED,
    "versions appeared": CHANGED,
    "opaque, as recorded": UNVERIFIED,
    "opaque, moved on": CHANGED,
    "opaque, list lags": UNVERIFIED,
}
AFTER_FAILED_NOW_USABLE = {
    **ALWAYS_CHANGED,
    "as recorded": UNVERIFIED,
    "answer told none": UNVERIFIED,
    "opaque, as recorded": UNVERIFIED,
}
AFTER_VERIFIED = {
    **dict.fromkeys(VERSIONS, UNCHANGED),
    "moved on": DRIFTED,
    "opaque, moved on": DRIFTED,
}
TABLE: dict[tuple[Stage, bool], dict[str, Verdict]] = {
    # the same credential, by how far its last update came and whether the phase is usable
    (Stage.INTENDED, True): ALWAYS_CHANGED,
    (Stage.INTENDED, False): ALWAYS_CHANGED,
    (Stage.PUT, True): AFTER_PUT,
    (Stage.PUT, False): AFTER_PUT,
    (Stage.VERIFIED, True): AFTER_VERIFIED,
    (Stage.VERIFIED, False): AFTER_VERIFIED,
    (Stage.FAILED, True): AFTER_FAILED_NOW_USABLE,
    (Stage.FAILED, False): ALWAYS_CHANGED,
    (Stage.REFUSED, True): ALWAYS_CHANGED,
    (Stage.REFUSED, False): ALWAYS_CHANGED,
}
ROWS = [
    pytest.param(stage, phase, versions, verdict, id=f"{stage}-{phase}-{versions}")
    for (stage, usable), verdicts in TABLE.items()
    for phase in (("READY", "ACTIVE") if usable else ("INVALID_AUTH", "UNREACHABLE", "PENDING"))
    for versions, verdict in verdicts.items()
]


def decided(
    stage: Stage,
    phase: str,
    versions: str,
    *,
    recorded: str = "new",
    reapply: bool = True,
    force: bool = False,
) -> Change:
    listed, after, before = VERSIONS[versions]
    return decide(
        connection(version=listed, phase=phase),
        credential("new"),
        REF,
        record(stage, fingerprint=recorded, version=after, before=before, error="HTTP 503"),
        reapply_drift=reapply,
        force=force,
    )


@pytest.mark.parametrize(("stage", "phase", "versions", "verdict"), ROWS)
class TestDecide:
    def test_the_same_credential(
        self, stage: Stage, phase: str, versions: str, verdict: Verdict
    ) -> None:
        change = decided(stage, phase, versions)
        assert change.verdict is verdict
        assert change.update is (verdict in {CHANGED, DRIFTED})
        assert change.verify_only is (verdict is UNVERIFIED)

    def test_another_credential_is_put_whatever_became_of_the_last(
        self, stage: Stage, phase: str, versions: str, verdict: Verdict
    ) -> None:
        change = decided(stage, phase, versions, recorded="old")
        assert (change.verdict, change.update) == (CHANGED, True)

    def test_drift_is_only_named_where_that_is_asked_for(
        self, stage: Stage, phase: str, versions: str, verdict: Verdict
    ) -> None:
        change = decided(stage, phase, versions, reapply=False)
        assert change.verdict is verdict
        assert change.update is (verdict is CHANGED)

    def test_force_puts_what_would_not_be_put(
        self, stage: Stage, phase: str, versions: str, verdict: Verdict
    ) -> None:
        for reapply in (True, False):
            plain = decided(stage, phase, versions, reapply=reapply)
            forced = decided(stage, phase, versions, reapply=reapply, force=True)
            assert forced.update
            assert not forced.verify_only
            expected = (plain.verdict, plain.reason) if plain.update else (CHANGED, "forced")
            assert (forced.verdict, forced.reason) == expected

    def test_a_connection_made_again_is_new(
        self, stage: Stage, phase: str, versions: str, verdict: Verdict
    ) -> None:
        listed, after, before = VERSIONS[versions]
        again = connection(version=listed, phase=phase, uid="uid-2")
        known = record(stage, version=after, before=before)
        change = decide(again, credential("new"), REF, known)
        assert (change.verdict, change.update) == (Verdict.NEW, True)
        assert "made again" in change.reason


def test_the_table_is_whole() -> None:
    assert TABLE.keys() == {(stage, usable) for stage in Stage for usable in (True, False)}
    assert all(verdicts.keys() == VERSIONS.keys() for verdicts in TABLE.values())


@pytest.mark.parametrize("reapply", [True, False])
@pytest.mark.parametrize("force", [True, False])
def test_what_was_never_rotated_is_new(reapply: bool, force: bool) -> None:
    change = decide(connection(), credential(), REF, None, reapply_drift=reapply, force=force)
    assert (change.verdict, change.update) == (Verdict.NEW, True)
    assert change.reason == "never rotated before"


@pytest.mark.parametrize(("known", "now"), [(None, "uid-2"), ("uid-1", None), (None, None)])
def test_a_uid_that_is_missing_proves_nothing(known: str | None, now: str | None) -> None:
    change = decide(connection(uid=now), credential(), REF, record(Stage.VERIFIED, uid=known))
    assert change.verdict is UNCHANGED


def test_a_change_carries_all_that_the_run_needs() -> None:
    listed, wanted, known = connection(), credential(), record(Stage.VERIFIED)
    change = decide(listed, wanted, REF, known, warning="type X is not known")
    assert change.connection is listed
    assert change.credential is wanted
    assert change.record is known
    assert change.secret is REF
    assert change.warning == "type X is not known"


KEPT = record(Stage.VERIFIED)
OLDER = record(Stage.VERIFIED, fingerprint="old")
LONG = record(Stage.VERIFIED, fingerprint="old", secret_version="w" * 24)


class TestReasons:
    @pytest.mark.parametrize(
        ("known", "listed", "secret_version", "reason"),
        [
            (KEPT, "9", "v2", "changed by someone else: resource version 5 → 9"),
            (KEPT, "5", "v9", "secret version v9"),
            (OLDER, "5", "v3", "secret version v2 → v3"),
            (LONG, "5", "v" * 25, f"secret version {'w' * 24} → {'v' * 23}…"),
            (record(Stage.REFUSED, error="HTTP 403"), "5", "v2", "was refused: HTTP 403"),
            (record(Stage.FAILED, error="INVALID_AUTH"), "6", "v2", "failed: INVALID_AUTH"),
            (record(Stage.PUT), "6", "v2", "changed by someone else before it was verified"),
            (OLDER, "5", "v2", "from the same version: the mapping or fingerprint key changed"),
        ],
    )
    def test_say_what_a_person_asks(
        self, known: Record, listed: str, secret_version: str, reason: str
    ) -> None:
        wanted = credential("new", secret_version)
        assert decide(connection(version=listed), wanted, REF, known).reason.endswith(reason)

    def test_never_hold_a_value_or_a_fingerprint(self) -> None:
        records: list[Record | None] = [None]
        records += [record(stage, fingerprint=of) for stage in Stage for of in ("fp-1", "fp-2")]
        for known in records:
            reason = decide(connection(version="9"), credential("fp-1"), REF, known).reason
            assert reason
            assert "value-of" not in reason
            assert "fp-" not in reason


class TestBeforeOf:
    def test_an_update_is_seen_against_the_connection_as_listed(self) -> None:
        change = decide(connection(version="7"), credential("other"), REF, record(Stage.PUT))
        assert before_of(change) is change.connection

    def test_an_unverified_one_against_the_version_before_the_earlier_update(self) -> None:
        listed = connection(version="5", phase="READY", updated_at=at(9))
        change = decide(listed, credential(), REF, record(Stage.PUT, before="4"))
        before = before_of(change)
        assert before.resource_version == "4"
        assert before.updated_at is None
        assert (before.name, before.type, before.endpoint, before.uid) == (
            listed.name, listed.type, listed.endpoint, listed.uid,
        )  # fmt: skip
        seen = judge(before, listed, misses=0, waited=0, timeout=30)
        assert seen.state is State.VERIFIED

    def test_a_list_that_lags_verifies_nothing(self) -> None:
        stale = connection(version="4", phase="READY")
        change = decide(stale, credential(), REF, record(Stage.PUT, before="4"))
        assert change.verify_only
        assert judge(before_of(change), stale, misses=0, waited=0, timeout=30).state is (
            State.PENDING
        )


def test_a_connection_that_works_and_is_not_on_record_is_adopted() -> None:
    change = decide(connection(), credential(), REF, None, adopt_unknown=True)
    assert (change.verdict, change.update) == (Verdict.ADOPTED, False)
    made = adopted(change, "openai", "run-2", NOON)
    assert made is not None
    assert (made.stage, made.fingerprint, made.resource_version) == (Stage.VERIFIED, "new", "5")
    assert (made.rotated_at, made.verified_at, made.verified_fingerprint) == (None, None, None)

    # What follows from the record: nothing for the same secret, drift and change as for any other.
    again = decide(connection(), credential(), REF, made, adopt_unknown=True)
    assert again.verdict is Verdict.UNCHANGED
    moved = decide(connection(version="6"), credential(), REF, made, adopt_unknown=True)
    assert moved.verdict is Verdict.DRIFTED
    rotated = decide(connection(), credential("newer", "v3"), REF, made, adopt_unknown=True)
    assert (rotated.verdict, rotated.update) == (Verdict.CHANGED, True)


@pytest.mark.parametrize("phase", ["INVALID_AUTH", "UNREACHABLE", "PENDING", ""])
def test_one_that_does_not_work_is_never_adopted(phase: str) -> None:
    change = decide(connection(phase=phase), credential(), REF, None, adopt_unknown=True)
    assert (change.verdict, change.update) == (Verdict.NEW, True)
    assert adopted(change, "openai", "run-2", NOON) is None


def test_nor_is_one_that_was_made_anew_or_is_forced() -> None:
    recorded = record(Stage.VERIFIED, uid="uid-0")
    anew = decide(connection(), credential(), REF, recorded, adopt_unknown=True)
    assert (anew.verdict, anew.update) == (Verdict.NEW, True)
    forced = decide(connection(), credential(), REF, None, adopt_unknown=True, force=True)
    assert (forced.verdict, forced.update) == (Verdict.CHANGED, True)
