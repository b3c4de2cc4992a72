"""What a look at secrets leads to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rotator.config.models import SecretConfig
from rotator.daemon.watch import RETRY_AFTER_FAILURE, Watch, may_concern, next_change
from rotator.errors import SecretDeleted, SecretMissing, SourceUnavailable
from rotator.model.run import ActedOn, Run, RunResult
from rotator.model.secret import Probe, SecretRef

REF = SecretRef("vault", "flink/openai")
OTHER = SecretRef("vault", "flink/azure")
LEASED = SecretRef("vault", "creds/app", engine="database", holder="openai")
GOOD = Run(
    "run-1", "openai", "watch", datetime(2026, 11, 20, tzinfo=UTC), result=RunResult.SUCCEEDED
)
BAD = replace(GOOD, result=RunResult.FAILED)
A, B = ("prod", "a"), ("prod", "b")
WANTED = {A: REF}
ACTED = {A: ActedOn(REF, "1")}
NOW_1, NOW_2 = {REF: Probe("1")}, {REF: Probe("2")}


def test_a_version_that_was_not_acted_on() -> None:
    watch = Watch()
    assert not watch.calls_for_a_run(NOW_1, WANTED, ACTED, GOOD)
    assert watch.calls_for_a_run(NOW_2, WANTED, ACTED, GOOD)
    assert watch.calls_for_a_run(NOW_1, WANTED, {}, None), "nothing was acted on"


def test_what_was_acted_on_counts_for_each_connection() -> None:
    """A run of one connection does not keep the others from being noticed."""
    both = {A: REF, B: REF}
    for acted_on in ({A: ActedOn(REF, "2")}, {A: ActedOn(REF, "2"), B: ActedOn(REF, "1")}):
        assert Watch().calls_for_a_run(NOW_2, both, acted_on, GOOD)
    acted_on = {A: ActedOn(REF, "2"), B: ActedOn(REF, "2")}
    assert not Watch().calls_for_a_run(NOW_2, both, acted_on, GOOD)


def test_a_connection_that_is_gone_calls_for_nothing() -> None:
    assert not Watch().calls_for_a_run(NOW_1, WANTED, {**ACTED, B: ActedOn(OTHER, "9")}, GOOD)


def test_a_connection_that_needs_another_secret_now() -> None:
    """Versions of two secrets can be equal by chance: both begin at 1."""
    assert Watch().calls_for_a_run({OTHER: Probe("1")}, {A: OTHER}, ACTED, GOOD)


def test_a_leased_secret_was_not_probed_and_calls_for_nothing() -> None:
    assert not Watch().calls_for_a_run(NOW_1, {A: REF, B: LEASED}, ACTED, GOOD)


def test_a_secret_that_was_deleted_and_is_back_with_its_old_version() -> None:
    """Only a run reads the value again, and compares its fingerprint."""
    for gone in (SecretDeleted("vault", "x", "deleted"), SecretMissing("vault", "x", "absent")):
        watch = Watch()
        watch.failed(gone)
        assert watch.calls_for_a_run(NOW_1, WANTED, ACTED, GOOD)
        assert not watch.calls_for_a_run(NOW_1, WANTED, ACTED, GOOD)
    watch = Watch()
    watch.failed(SecretDeleted("vault", "x", "deleted"))
    watch.failed(SourceUnavailable("vault", "x", "sealed"))
    assert not watch.calls_for_a_run(NOW_1, WANTED, ACTED, GOOD)


def test_a_run_that_failed_is_tried_again_now_and_then() -> None:
    watch = Watch()
    looks = [watch.calls_for_a_run(NOW_1, WANTED, ACTED, BAD) for _ in range(30)]
    assert [at for at, called in enumerate(looks, 1) if called] == [
        RETRY_AFTER_FAILURE * n for n in (1, 2, 3)
    ]
    watch.calls_for_a_run(NOW_1, WANTED, ACTED, BAD)
    assert not watch.calls_for_a_run(NOW_1, WANTED, ACTED, GOOD)
    again = [watch.calls_for_a_run(NOW_1, WANTED, ACTED, BAD) for _ in range(10)]
    assert again == [False] * 9 + [True], "counted from the start after a good run"


def test_a_warning_is_logged_once_until_it_changes_or_comes_back() -> None:
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
def test_which_hints_belong_to_a_secret(path: str, concerns: bool) -> None:
    secret = SecretConfig(source="vault", path="flink/{connection}")
    assert may_concern(secret, path) is concerns
    assert may_concern(SecretConfig(source="vault", path="a.b", mount="/m/"), "m/data/aXb") is False
