"""What the ledger is asked to remember of one connection, step by step."""

from __future__ import annotations

from dataclasses import replace

from rotator.model.record import Record, Stage
from rotator.rotation import records
from tests.unit.rotation.values import at, connection, credential, record

LISTED = connection("c1", target="east", version="5", uid="uid-7")
WORKED = replace(
    record(Stage.VERIFIED, fingerprint="old", secret_version="v1"),
    verified_fingerprint="old",
    rotated_at=at(-100),
    verified_at=at(-90),
    verified_version="v1",
    put_at=at(-95),
)
VERIFIED_FIELDS = ("verified_fingerprint", "rotated_at", "verified_at", "verified_version")


def intended(former: Record | None = None, older: frozenset[str] = frozenset()) -> Record:
    return records.intended(
        former,
        LISTED,
        credential("new", "v2"),
        rotation="openai",
        run_id="run-9",
        at=at(1),
        older=older,
    )


def verified_part(known: Record) -> list[object]:
    return [getattr(known, name) for name in VERIFIED_FIELDS]


class TestIntended:
    def test_names_the_update_before_it_leaves(self) -> None:
        assert intended(older=frozenset({"3", "4"})) == Record(
            target="east",
            connection="c1",
            rotation="openai",
            stage=Stage.INTENDED,
            fingerprint="new",
            secret_version="v2",
            resource_version=None,
            version_before="5",
            run_id="run-9",
            at=at(1),
            uid="uid-7",
            older_versions=("3", "4"),
        )

    def test_what_worked_last_stays_on_record(self) -> None:
        known = intended(WORKED)
        assert verified_part(known) == verified_part(WORKED)
        assert known.put_at == WORKED.put_at
        assert known.fingerprint == "new"


def test_put_is_what_the_answer_tells() -> None:
    before = intended(WORKED)
    known = records.put(before, "6", frozenset({"5"}), at(2))
    assert known == replace(
        before,
        stage=Stage.PUT,
        resource_version="6",
        at=at(2),
        put_at=at(2),
        older_versions=("5",),
    )
    assert records.put(before, None, frozenset(), at(2)).resource_version is None


def test_seen_is_what_a_look_shows() -> None:
    before = records.put(intended(), None, frozenset(), at(2))
    shown = replace(LISTED, resource_version="7", phase="PENDING")
    known = records.seen(before, shown, "6", frozenset({"5"}))
    assert known == replace(before, resource_version="6", phase="PENDING", older_versions=("5",))
    assert records.seen(before, shown, None, frozenset()).resource_version == "7"


class TestVerified:
    def test_is_what_works_from_now_on(self) -> None:
        before = replace(
            records.put(intended(WORKED), "6", frozenset(), at(2)), error="late", gone_at=at(0)
        )
        known = records.verified(before, at(5))
        assert known == replace(
            before,
            stage=Stage.VERIFIED,
            at=at(5),
            error=None,
            gone_at=None,
            verified_fingerprint="new",
            rotated_at=at(2),
            verified_at=at(5),
            verified_version="v2",
        )

    def test_without_a_time_of_its_update_it_was_rotated_now(self) -> None:
        assert records.verified(intended(), at(5)).rotated_at == at(5)

    def test_what_does_not_work_after_all_leaves_what_worked_before(self) -> None:
        known = records.verified(records.put(intended(WORKED), "6", frozenset(), at(2)), at(5))
        after = records.unverified(known, WORKED)
        assert verified_part(after) == verified_part(WORKED)
        assert (after.stage, after.fingerprint) == (known.stage, "new")

    def test_or_nothing_where_nothing_worked_before(self) -> None:
        known = records.verified(records.put(intended(), "6", frozenset(), at(2)), at(5))
        assert verified_part(records.unverified(known, None)) == [None] * 4


class TestOlderVersions:
    def test_the_latest_few_are_kept_by_number(self) -> None:
        some = frozenset(map(str, range(3, 15)))
        assert records.kept(some) == ("7", "8", "9", "10", "11", "12", "13", "14")

    def test_few_are_all_kept(self) -> None:
        assert records.kept(frozenset({"b", "a"})) == ("a", "b")
        assert records.kept(frozenset()) == ()
