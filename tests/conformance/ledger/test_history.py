"""Outcomes: their order, what is found, and what is kept of connections that did not change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from rotator.model.run import Outcome, Result
from tests.support.ledger_values import NOW, OUTCOME, RUN, settled
from tests.support.ledgers import Store, WholeLedger

FULL = replace(
    OUTCOME,
    phase="READY",
    resource_version="8",
    fingerprint="f" * 64,
    secret_version="v2",
)
UNCHANGED: dict[str, Any] = {"result": Result.UNCHANGED, "reason": ""}


def names(outcomes: Iterable[Outcome]) -> list[str]:
    return [outcome.connection for outcome in outcomes]


def test_the_full_outcome_leaves_no_field_out() -> None:
    assert [each.name for each in fields(Outcome) if getattr(FULL, each.name) is None] == []


async def test_an_outcome_is_read_again_as_it_was(ledger: WholeLedger, store: Store) -> None:
    bare = replace(OUTCOME, connection="b", verify_seconds=None)
    await ledger.begin(RUN)
    await ledger.settle([settled(phase="READY", resource_version="8", fingerprint="f" * 64,
                                 secret_version="v2")])  # fmt: skip
    await ledger.settle([settled("b", verify_seconds=None)])
    again = await store.open()
    assert await again.outcomes() == (bare, FULL), "the newest first"
    assert await again.outcomes_of("prod", "a", limit=10) == (FULL,)
    assert await again.latest_outcomes() == (FULL, bare)
    assert await again.run(RUN.id) == (RUN, (FULL, bare)), "in the order of settling"


async def test_outcomes_of_one_call_keep_their_order(ledger: WholeLedger) -> None:
    given = ["c", "a", "b"]
    await ledger.begin(RUN)
    await ledger.settle([settled(name) for name in given])
    assert names(await ledger.outcomes()) == given[::-1]
    _, found = await ledger.run(RUN.id) or (None, ())
    assert names(found) == given


async def test_outcomes_are_in_the_order_of_settling_even_if_the_clock_jumps(
    ledger: WholeLedger,
) -> None:
    for name, at in (("first", NOW), ("second", NOW - timedelta(days=1))):
        await ledger.settle([settled(name, at=at)])
    assert names(await ledger.outcomes()) == ["second", "first"]


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("c-1", ["c-1"]),
        ("c-*", ["c-2", "c-1"]),
        ("c-?", ["c-2", "c-1"]),
        ("*-[12]", ["C-1", "c-2", "c-1"]),
        ("c-[!1]", ["c-2"]),
        ("C-*", ["C-1"]),
        ("c", []),
        ("%", []),
        ("c_1", []),
    ],
)
async def test_globs_tell_cases_apart(ledger: WholeLedger, glob: str, found: list[str]) -> None:
    await ledger.settle([settled(name) for name in ("c-1", "c-2", "C-1")])
    assert names(await ledger.outcomes(glob)) == found


async def test_outcomes_since_a_time_and_no_more_than_asked_for(ledger: WholeLedger) -> None:
    for number in range(5):
        await ledger.settle([settled(f"c-{number}", at=NOW - timedelta(days=number))])
    assert names(await ledger.outcomes(since=NOW - timedelta(days=2))) == ["c-2", "c-1", "c-0"]
    assert names(await ledger.outcomes("c-[01]", since=NOW)) == ["c-0"]
    assert names(await ledger.outcomes(limit=2)) == ["c-4", "c-3"]


async def test_outcomes_of_a_connection_are_of_that_name_and_target_alone(
    ledger: WholeLedger,
) -> None:
    await ledger.settle([settled(), settled(target="dev"), settled("*"), settled(run_id="run-2")])
    found = await ledger.outcomes_of("prod", "a", limit=10)
    assert [outcome.run_id for outcome in found] == ["run-2", "run-1"]
    assert len(await ledger.outcomes_of("prod", "a", limit=1)) == 1
    assert len(await ledger.outcomes_of("prod", "*", limit=10)) == 1, "a name is no glob"


async def test_the_latest_outcome_of_each_connection(ledger: WholeLedger) -> None:
    await ledger.settle([settled("b"), settled("a"), settled("a", target="dev")])
    await ledger.settle([settled("a", run_id="run-2", result=Result.FAILED)])
    found = await ledger.latest_outcomes()
    assert [(o.target, o.connection, o.run_id) for o in found] == [
        ("dev", "a", "run-1"),
        ("prod", "a", "run-2"),
        ("prod", "b", "run-1"),
    ]


# Unchanged


async def test_a_history_tells_what_happened_and_not_that_nothing_did(ledger: WholeLedger) -> None:
    adopted = "taken as it is"
    await ledger.begin(RUN)
    await ledger.settle(
        [
            settled("same", **UNCHANGED),
            settled("adopted", result=Result.UNCHANGED, reason=adopted),
            settled("skipped", result=Result.SKIPPED, reason="halted"),
        ]
    )
    assert names(await ledger.outcomes()) == ["skipped", "adopted"]
    assert await ledger.outcomes_of("prod", "same", limit=10) == ()
    _, found = await ledger.run(RUN.id) or (None, ())
    assert names(found) == ["same", "adopted", "skipped"], "a run tells of each connection"
    assert names(await ledger.latest_outcomes()) == ["adopted", "same", "skipped"]


async def test_unchanged_is_kept_for_the_last_run_of_its_rotation_alone(
    ledger: WholeLedger,
) -> None:
    for number in (1, 2, 3):
        run_id = f"run-{number}"
        await ledger.begin(replace(RUN, id=run_id))
        await ledger.settle([settled("same", run_id=run_id, **UNCHANGED)])
        await ledger.settle([settled("rotated", run_id=run_id)])
    await ledger.begin(replace(RUN, id="other", rotation="azure"))

    kept = {}
    for run_id in ("run-1", "run-2", "run-3"):
        _, found = await ledger.run(run_id) or (None, ())
        kept[run_id] = names(found)
    assert kept == {"run-1": ["rotated"], "run-2": ["rotated"], "run-3": ["same", "rotated"]}
