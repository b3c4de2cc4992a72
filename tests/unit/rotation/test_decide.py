"""What is decided of a connection, by what is listed, wanted, and remembered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.errors import Cause
from rotator.model.plan import Change, Verdict
from rotator.model.record import Record, Stage
from rotator.rotation.decide import as_it_is, before_of, decide, decide_leased, invalid
from rotator.rotation.verify import Expected, Sight, sight
from tests.unit.rotation.values import NOON, REF, at, connection, credential, record

CHANGED, UNCHANGED = Verdict.CHANGED, Verdict.UNCHANGED
DRIFTED, UNVERIFIED, BROKEN = Verdict.DRIFTED, Verdict.UNVERIFIED, Verdict.BROKEN

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
    "opaque, list lags more": ("0", "b", "a"),
}
OLDER_VERSIONS = ("0",)
"""Versions that every record of the table knows to be older than its own."""
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
    "opaque, list lags more": UNVERIFIED,
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
AFTER_VERIFIED_NOW_REJECTED = {
    # A list that lags shows what the update replaced, and so nothing of its credential.
    versions: BROKEN if verdict is UNCHANGED and "list lags" not in versions else verdict
    for versions, verdict in AFTER_VERIFIED.items()
}
PHASES = {
    "usable": ("READY", "ACTIVE"),
    "rejected": ("INVALID_AUTH",),
    "neither": ("UNREACHABLE", "PENDING"),
}
TABLE: dict[tuple[Stage, str], dict[str, Verdict]] = {
    # the same credential, by how far its last update came and what the phase says
    (Stage.INTENDED, "usable"): ALWAYS_CHANGED,
    (Stage.INTENDED, "rejected"): ALWAYS_CHANGED,
    (Stage.INTENDED, "neither"): ALWAYS_CHANGED,
    (Stage.PUT, "usable"): AFTER_PUT,
    (Stage.PUT, "rejected"): AFTER_PUT,
    (Stage.PUT, "neither"): AFTER_PUT,
    (Stage.VERIFIED, "usable"): AFTER_VERIFIED,
    (Stage.VERIFIED, "rejected"): AFTER_VERIFIED_NOW_REJECTED,
    (Stage.VERIFIED, "neither"): AFTER_VERIFIED,
    (Stage.FAILED, "usable"): AFTER_FAILED_NOW_USABLE,
    (Stage.FAILED, "rejected"): ALWAYS_CHANGED,
    (Stage.FAILED, "neither"): ALWAYS_CHANGED,
    (Stage.REFUSED, "usable"): ALWAYS_CHANGED,
    (Stage.REFUSED, "rejected"): ALWAYS_CHANGED,
    (Stage.REFUSED, "neither"): ALWAYS_CHANGED,
}
ROWS = [
    pytest.param(stage, phase, versions, verdict, id=f"{stage}-{phase}-{versions}")
    for (stage, says), verdicts in TABLE.items()
    for phase in PHASES[says]
    for versions, verdict in verdicts.items()
]


def recorded(stage: Stage, versions: str, fingerprint: str = "new") -> Record:
    _, after, before = VERSIONS[versions]
    made = record(stage, fingerprint=fingerprint, version=after, before=before, error="HTTP 503")
    return replace(made, older_versions=OLDER_VERSIONS)


def decided(
    stage: Stage,
    phase: str,
    versions: str,
    *,
    holds: str = "new",
    reapply: bool = True,
    force: bool = False,
) -> Change:
    return decide(
        connection(version=VERSIONS[versions][0], phase=phase),
        credential("new"),
        REF,
        recorded(stage, versions, holds),
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
        assert change.cause is (Cause.REJECTED if verdict is BROKEN else None)

    def test_another_credential_is_put_whatever_became_of_the_last(
        self, stage: Stage, phase: str, versions: str, verdict: Verdict
    ) -> None:
        change = decided(stage, phase, versions, holds="old")
        assert (change.verdict, change.update) == (CHANGED, True)

    def test_drift_is_only_named_where_that_is_asked_for(
        self, stage: Stage, phase: str, versions: str, verdict: Verdict
    ) -> None:
        change = decided(stage, phase, versions, reapply=False)
        unverified = stage in {Stage.PUT, Stage.FAILED}
        drifted = verdict is DRIFTED or (unverified and "moved on" in versions)
        assert change.verdict is (DRIFTED if drifted else verdict)
        assert change.update is (verdict is CHANGED and not drifted)

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
            assert forced.cause is None

    def test_a_connection_made_again_is_new(
        self, stage: Stage, phase: str, versions: str, verdict: Verdict
    ) -> None:
        again = connection(version=VERSIONS[versions][0], phase=phase, uid="uid-2")
        known = recorded(stage, versions)
        for change in (
            decide(again, credential("new"), REF, known),
            decide_leased(again, REF, known, None),
        ):
            assert (change.verdict, change.update) == (Verdict.NEW, True)
            assert "made again" in change.reason

    def test_a_leased_credential_that_may_stay_is_decided_alike(
        self, stage: Stage, phase: str, versions: str, verdict: Verdict
    ) -> None:
        """But one that works no more is replaced: the next one is another credential."""
        listed = connection(version=VERSIONS[versions][0], phase=phase)
        change = decide_leased(listed, REF, recorded(stage, versions), None)
        assert change.verdict is (CHANGED if verdict is BROKEN else verdict)
        assert change.update is (verdict in {CHANGED, DRIFTED, BROKEN})
        assert change.credential is None, "it is made when it is put"
        assert change.secret is REF

    def test_a_leased_credential_that_cannot_stay_is_replaced(
        self, stage: Stage, phase: str, versions: str, verdict: Verdict
    ) -> None:
        listed = connection(version=VERSIONS[versions][0], phase=phase)
        known = recorded(stage, versions)
        change = decide_leased(listed, REF, known, "its lease is about to end")
        assert (change.verdict, change.update) == (CHANGED, True)
        assert change.reason == "its lease is about to end"


def test_the_table_is_whole() -> None:
    assert TABLE.keys() == {(stage, says) for stage in Stage for says in PHASES}
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
        assert before.same_as(listed)
        assert sight(Expected(before, None), listed) is Sight.OURS

    def test_without_that_version_against_the_connection_as_listed(self) -> None:
        change = decide(connection(), credential(), REF, record(Stage.PUT, before=None))
        assert change.verify_only
        assert before_of(change) is change.connection

    def test_a_list_that_lags_verifies_nothing(self) -> None:
        stale = connection(version="4", phase="READY")
        change = decide(stale, credential(), REF, record(Stage.PUT, before="4"))
        assert change.verify_only
        assert sight(Expected(before_of(change), None), stale) is Sight.STALE


class TestAdopted:
    def test_a_connection_that_works_and_is_not_on_record(self) -> None:
        change = decide(connection(), credential(), REF, None, adopt_unknown=True)
        assert (change.verdict, change.update) == (Verdict.ADOPTED, False)
        made = as_it_is(change, "openai", "run-2", NOON)
        assert made is not None
        assert (made.stage, made.fingerprint, made.resource_version) == (Stage.VERIFIED, "new", "5")
        assert (made.rotated_at, made.verified_at, made.verified_fingerprint) == (None, None, None)

        # What follows is as for any other: nothing for the same secret, else drift or a change.
        again = decide(connection(), credential(), REF, made, adopt_unknown=True)
        assert again.verdict is Verdict.UNCHANGED
        moved = decide(connection(version="6"), credential(), REF, made, adopt_unknown=True)
        assert moved.verdict is Verdict.DRIFTED
        rotated = decide(connection(), credential("newer", "v3"), REF, made, adopt_unknown=True)
        assert (rotated.verdict, rotated.update) == (Verdict.CHANGED, True)

    @pytest.mark.parametrize("phase", ["INVALID_AUTH", "UNREACHABLE", "PENDING", ""])
    def test_one_that_does_not_work_never_is(self, phase: str) -> None:
        change = decide(connection(phase=phase), credential(), REF, None, adopt_unknown=True)
        assert (change.verdict, change.update) == (Verdict.NEW, True)
        assert as_it_is(change, "openai", "run-2", NOON) is None

    def test_nor_is_one_that_was_made_again_or_is_forced(self) -> None:
        known = record(Stage.VERIFIED, uid="uid-0")
        again = decide(connection(), credential(), REF, known, adopt_unknown=True)
        assert (again.verdict, again.update) == (Verdict.NEW, True)
        forced = decide(connection(), credential(), REF, None, adopt_unknown=True, force=True)
        assert (forced.verdict, forced.update) == (Verdict.CHANGED, True)

    def test_without_a_credential_there_is_nothing_to_record(self) -> None:
        change = Change(connection(), Verdict.ADOPTED, "")
        assert as_it_is(change, "openai", "run-2", NOON) is None


class TestAsItIs:
    """What the ledger learns of a connection that nothing is sent to."""

    KNOWN = replace(record(Stage.VERIFIED), phase="READY")

    def of(
        self, phase: str, known: Record, version: str = "5", *, reapply: bool = True
    ) -> Record | None:
        listed = connection(phase=phase, version=version)
        change = decide(listed, credential(), REF, known, reapply_drift=reapply)
        return as_it_is(change, "openai", "run-2", NOON)

    def test_one_that_is_broken_says_so_and_keeps_what_was_verified(self) -> None:
        reason = "INVALID_AUTH: it worked before, and nobody changed the connection since"
        found = self.of("INVALID_AUTH", self.KNOWN)
        assert found == replace(self.KNOWN, phase="INVALID_AUTH", error=reason)

    def test_one_that_works_again_has_no_error_and_exists(self) -> None:
        was = replace(self.KNOWN, phase="INVALID_AUTH", error="INVALID_AUTH: ...", gone_at=NOON)
        assert self.of("READY", was) == self.KNOWN

    def test_nothing_new_is_no_write(self) -> None:
        assert self.of("READY", self.KNOWN) is None

    def test_a_list_that_lags_tells_nothing(self) -> None:
        assert self.of("PENDING", self.KNOWN, version="4") is None

    def test_drift_that_is_only_reported_stays_visible(self) -> None:
        assert self.of("READY", self.KNOWN, version="6", reapply=False) is None

    def test_what_has_no_record_gets_none(self) -> None:
        change = invalid(connection(), "the secret has no field 'api_key'", REF)
        assert as_it_is(change, "openai", "run-2", NOON) is None


class TestLeased:
    def test_what_was_never_rotated_is_new(self) -> None:
        change = decide_leased(connection(), REF, None, None)
        assert (change.verdict, change.update) == (Verdict.NEW, True)
        assert change.reason == "never rotated before"

    def test_one_that_may_stay_says_so(self) -> None:
        change = decide_leased(connection(), REF, record(Stage.VERIFIED), None, warning="odd type")
        assert (change.verdict, change.update) == (UNCHANGED, False)
        assert change.reason == "its lease is good for longer"
        assert change.warning == "odd type"

    def test_one_that_works_no_more_is_replaced(self) -> None:
        """As where its user was removed at the database: only another credential helps."""
        change = decide_leased(connection(phase="INVALID_AUTH"), REF, record(Stage.VERIFIED), None)
        assert (change.verdict, change.update) == (CHANGED, True)
        assert change.reason == "INVALID_AUTH: its leased credential works no more"

    def test_drift_is_only_named_where_that_is_asked_for(self) -> None:
        moved, known = connection(version="9"), record(Stage.VERIFIED)
        assert decide_leased(moved, REF, known, None).update
        named = decide_leased(moved, REF, known, None, reapply_drift=False)
        assert (named.verdict, named.update) == (DRIFTED, False)

    def test_force_replaces_what_may_stay(self) -> None:
        forced = decide_leased(connection(), REF, record(Stage.VERIFIED), None, force=True)
        assert (forced.verdict, forced.reason, forced.update) == (CHANGED, "forced", True)
        stale = decide_leased(connection(), REF, record(Stage.VERIFIED), "ended", force=True)
        assert (stale.reason, stale.update) == ("ended", True)


def test_an_invalid_change_is_never_sent() -> None:
    change = invalid(connection(), "no such field", REF)
    assert (change.verdict, change.reason, change.secret) == (
        Verdict.INVALID,
        "no such field",
        REF,
    )
    assert change.credential is None
    assert not change.touched
    assert change.cause is Cause.CREDENTIAL
    assert invalid(connection(), "sealed", cause=Cause.SECRET).cause is Cause.SECRET
