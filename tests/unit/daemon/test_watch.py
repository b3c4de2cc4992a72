"""What a look at secrets leads to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rotator.config.models import SecretConfig
from rotator.daemon.watch import RETRY_AFTER_FAILURE, Watch, may_concern, next_change
from rotator.errors import SecretDeleted, SecretMissing, SourceUnavailable
from rotator.model.run import Run, RunResult
from rotator.model.secret import Probe, SecretRef

REF = SecretRef("vault", "flink/openai")
OTHER = SecretRef("vault", "flink/azure")
GOOD = Run(
    "run-1", "openai", "watch", datetime(2026, 11, 20, tzinfo=UTC), result=RunResult.SUCCEEDED
)
BAD = replace(GOOD, result=RunResult.FAILED)


def test_a_version_that_was_not_acted_on() -> None:
    watch = Watch()
    assert watch.calls_for_a_run({REF: Probe("2")}, {REF: "1"}, GOOD)
    assert watch.calls_for_a_run({REF: Probe("2")}, {}, None)
    assert not watch.calls_for_a_run({REF: Probe("2")}, {REF: "2"}, GOOD)
    assert not watch.calls_for_a_run({REF: Probe("2")}, {REF: "2", OTHER: "9"}, GOOD)


def test_a_secret_that_was_deleted_and_is_back_with_its_old_version() -> None:
    """Only a run reads the value again, and compares its fingerprint."""
    seen = {REF: "1"}
    for gone in (SecretDeleted("vault", "x", "deleted"), SecretMissing("vault", "x", "absent")):
        watch = Watch()
        watch.failed(gone)
        assert watch.calls_for_a_run({REF: Probe("1")}, seen, GOOD)
        assert not watch.calls_for_a_run({REF: Probe("1")}, seen, GOOD)
    watch = Watch()
    watch.failed(SecretDeleted("vault", "x", "deleted"))
    watch.failed(SourceUnavailable("vault", "x", "sealed"))
    assert not watch.calls_for_a_run({REF: Probe("1")}, seen, GOOD)


def test_a_run_that_failed_is_tried_again_now_and_then() -> None:
    watch, seen = Watch(), {REF: "1"}
    looks = [watch.calls_for_a_run({REF: Probe("1")}, seen, BAD) for _ in range(30)]
    assert [at for at, called in enumerate(looks, 1) if called] == [
        RETRY_AFTER_FAILURE * n for n in (1, 2, 3)
    ]
    watch.calls_for_a_run({REF: Probe("1")}, seen, BAD)
    assert not watch.calls_for_a_run({REF: Probe("1")}, seen, GOOD)
    again = [watch.calls_for_a_run({REF: Probe("1")}, seen, BAD) for _ in range(10)]
    assert again == [False] * 9 + [True], "counted anew after a good run"


def test_a_warning_is_told_once_until_it_changes_or_comes_back() -> None:
    watch = Watch()
    stuck = {REF: Probe("1", warning="stuck"), OTHER: Probe("1")}
    assert watch.new_warnings(stuck) == [(REF, "stuck")]
    assert watch.new_warnings(stuck) == []
    assert watch.new_warnings({REF: Probe("1", warning="worse")}) == [(REF, "worse")]
    assert watch.new_warnings({REF: Probe("1")}) == []
    assert watch.new_warnings(stuck) == [(REF, "stuck")]


def test_the_first_change_that_is_due() -> None:
    assert next_change({REF: Probe("1"), OTHER: Probe("1", 30.0)}) == 30.0
    assert next_change({REF: Probe("1", 5.0), OTHER: Probe("1", 30.0)}) == 5.0
    assert next_change({REF: Probe("1")}) is None
    assert next_change({}) is None


@pytest.mark.parametrize(
    ("path", "concerns"),
    [
        ("", True),
        ("kv/data/flink/openai-1", True),
        ("kv/metadata/flink/openai-1", True),
        ("kv/flink/openai-1", True),
        ("kv/data/flink/openai-1/more", False),
        ("kv/data/flink/", False),
        ("other/data/flink/openai-1", False),
        ("kv/data/flinkXopenai-1", False),
    ],
)
def test_which_hints_are_of_a_secret(path: str, concerns: bool) -> None:
    secret = SecretConfig(source="vault", path="flink/{connection}")
    assert may_concern(secret, path) is concerns
    assert may_concern(SecretConfig(source="vault", path="a.b", mount="/m/"), "m/data/aXb") is False
