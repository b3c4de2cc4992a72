"""What is news: the same failure once, its end once, whatever restarts in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from rotator.config.models import WebhookConfig
from rotator.model.events import Occasion
from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.notify.decisions import Decision, FinishedRun, Told, decide, digest, gist, lasting

START = datetime(2026, 11, 20, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
FAILED, RECOVERED, ROLLED_BACK = Occasion.FAILED, Occasion.RECOVERED, Occasion.ROLLED_BACK


def run(
    result: RunResult | None,
    hours: float = 0,
    reason: str = "",
    trigger: str = "schedule",
) -> Run:
    at = START + hours * HOUR
    finished = at if result is not None else None
    return Run(f"run-{hours:g}", "openai", trigger, at, finished, result, reason)


def outcome(
    connection: str = "a", reason: str = "INVALID_AUTH", result: Result = Result.FAILED
) -> Outcome:
    return Outcome("run", "openai", "prod", connection, result, reason, START)


def failed(*troubles: Outcome, hours: float = 0, reason: str = "1 failed") -> FinishedRun:
    return FinishedRun(run(RunResult.FAILED, hours, reason), troubles or (outcome(),), 40)


SUCCEEDED = FinishedRun(run(RunResult.SUCCEEDED, 1))


def history(*ended: FinishedRun) -> list[tuple[Occasion, ...]]:
    """What each of these runs is news of."""
    told: Told | None = None
    said = []
    for one in ended:
        decision = decide(one, told)
        told = decision.told
        said.append(decision.occasions)
    return said


def test_the_same_failure_is_announced_once_and_its_end_once() -> None:
    same = failed(hours=1), failed(hours=2)
    well = FinishedRun(run(RunResult.SUCCEEDED, 3)), FinishedRun(run(RunResult.SUCCEEDED, 4))
    assert history(failed(), *same, *well) == [(FAILED,), (), (), (RECOVERED,), ()]


def test_a_success_without_a_failure_is_no_news() -> None:
    assert history(SUCCEEDED, SUCCEEDED) == [(), ()]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(failed(outcome("b"), hours=1), id="another connection"),
        pytest.param(failed(outcome(), outcome("b"), hours=1), id="one more connection"),
        pytest.param(failed(outcome(reason="FAILED"), hours=1), id="another reason"),
        pytest.param(failed(hours=1, reason="prod: HTTP 503; 1 failed"), id="of the run"),
        pytest.param(
            FinishedRun(run(RunResult.REFUSED, 1, "1 failed"), (outcome(),)), id="refused"
        ),
    ],
)
def test_a_failure_that_changed_is_news(changed: FinishedRun) -> None:
    assert history(failed(), changed) == [(FAILED,), (FAILED,)]


def test_the_order_of_connections_says_nothing() -> None:
    a, b = outcome("a"), outcome("b")
    assert history(failed(a, b), failed(b, a, hours=1)) == [(FAILED,), ()]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "target prod: refused (HTTP 401, X-Request-Id abc-1)",
            "target prod: refused (HTTP 401, X-Request-Id def-2)",
        ),
        (
            "the update is not visible: still at resource version 17, after 300 s",
            "the update is not visible: still at resource version 23, after 300 s",
        ),
        (
            "Stopped after openai-001 was rejected (INVALID_AUTH); 39 others were not touched",
            "Stopped after openai-001 was rejected (INVALID_AUTH); 41 others were not touched",
        ),
        (
            "target east: stopped after a failed; 1 other was not touched; target west: b failed",
            "target east: stopped after a failed; 2 others were not touched; target west: b failed",
        ),
        (
            "FAILED (trace 6f1b2c3d-0000-4000-8000-000000000001 at 2026-11-20T03:00:01Z)",
            "FAILED (trace 7f1b2c3d-0000-4000-8000-000000000001 at 2026-11-21T03:00:01Z)",
        ),
        ("half \ud800", "half \\ud800"),  # as it comes back from the ledger
    ],
)
def test_what_differs_from_run_to_run_is_no_change(one: str, other: str) -> None:
    assert gist(one) == gist(other)
    assert history(failed(reason=one), failed(hours=1, reason=other)) == [(FAILED,), ()]


@pytest.mark.parametrize(
    ("one", "other"),
    [("HTTP 401", "HTTP 403"), ("connection openai-001: x", "connection openai-002: x")],
)
def test_what_a_person_would_call_another_reason_is_one(one: str, other: str) -> None:
    assert gist(one) != gist(other)


def test_a_failure_that_lasts_is_announced_every_24_hours() -> None:
    hours = (0, 12, 23.9, 24, 36, 47.9, 48)
    said = history(*(failed(hours=hour) for hour in hours))
    assert [hour for hour, now in zip(hours, said, strict=True) if now] == [0, 24, 48]


@pytest.mark.parametrize("result", [RunResult.INTERRUPTED, None])
def test_an_interrupted_run_says_and_forgets_nothing(result: RunResult | None) -> None:
    interrupted = FinishedRun(run(result, 1), (outcome(),))
    assert history(interrupted) == [()]
    assert history(failed(), interrupted, SUCCEEDED) == [(FAILED,), (), (RECOVERED,)]
    told = decide(failed(), None).told
    assert decide(interrupted, told) == Decision((), told)


def test_a_run_that_rolled_back_is_announced_as_such_or_as_a_failure() -> None:
    back = failed(outcome(), outcome("b", "put back", Result.ROLLED_BACK))
    assert history(back, SUCCEEDED) == [(ROLLED_BACK, FAILED), (RECOVERED,)]


def test_a_refusal_is_a_failure() -> None:
    assert history(FinishedRun(run(RunResult.REFUSED, 0, "matches 0 connections"))) == [(FAILED,)]


def test_the_configuration_knows_every_occasion() -> None:
    (choices,) = {get_args(get_args(WebhookConfig.model_fields["events"].annotation)[0])}
    assert set(choices) == {str(occasion) for occasion in Occasion}
    assert WebhookConfig.model_fields["events"].default == choices


# After a restart


def test_nothing_lasts_where_nothing_failed() -> None:
    assert lasting([]) is None
    assert lasting([run(RunResult.SUCCEEDED, 1), run(RunResult.FAILED)]) is None


def test_the_last_failure_is_remembered_as_it_was_announced() -> None:
    ended = failed()
    found = lasting([run(RunResult.FAILED, 0, "1 failed"), run(RunResult.SUCCEEDED, -1)])
    assert found is not None
    unchanged = outcome("c", "secret version 3", Result.UNCHANGED)
    told = found.told([outcome(), unchanged])
    assert told == decide(ended, None).told
    assert decide(failed(hours=1), told).occasions == ()
    assert decide(SUCCEEDED, told).occasions == (RECOVERED,)


@pytest.mark.parametrize("result", [RunResult.INTERRUPTED, None])
def test_runs_that_say_nothing_are_looked_past(result: RunResult | None) -> None:
    found = lasting([run(result, 2), run(RunResult.REFUSED, 1), run(result, 0)])
    assert found is not None
    assert (found.last.result, found.since) == (RunResult.REFUSED, START + HOUR)


def test_a_failure_of_a_command_was_not_announced() -> None:
    typed = run(RunResult.FAILED, 2, trigger="command")
    assert lasting([typed]) is None
    assert lasting([typed, run(RunResult.SUCCEEDED, 1)]) is None
    fixed_by_hand = run(RunResult.SUCCEEDED, 2, trigger="command")
    assert lasting([fixed_by_hand, run(RunResult.FAILED, 1)]) is not None


@pytest.mark.parametrize(
    ("hours", "told_at"), [((0,), 0), ((12, 0), 0), ((24, 0), 24), ((47, 30, 1, 0), 24)]
)
def test_restarts_do_not_put_off_the_next_telling(hours: tuple[int, ...], told_at: int) -> None:
    found = lasting([run(RunResult.FAILED, hour) for hour in hours])
    assert found is not None
    assert found.told([]).at == START + told_at * HOUR
    assert found.told([]).run == f"run-{hours[0]}"


def test_the_digest_holds_nothing_but_hex() -> None:
    said = digest(failed(outcome(reason="canary-5f2b9c")))
    assert set(said) <= set("0123456789abcdef")
