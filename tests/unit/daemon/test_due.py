"""What a process runs as soon as it leads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rotator.config.models import RotationConfig
from rotator.daemon.due import CUT_OFF, trigger_at_once
from rotator.model.run import Run, RunResult

SUNDAY = datetime(2026, 11, 22, 3, tzinfo=UTC)
WEEKLY = {"cron": "0 3 * * sun"}
LEASED = {"source": "vault", "engine": "database", "path": "creds/app"}


def rotation(**settings: object) -> RotationConfig:
    """As read from YAML: `settings` over the least that a rotation needs."""
    least = {
        "targets": ["prod"],
        "match": {"type": ["OPENAI"]},
        "secret": {"source": "vault", "path": "flink/openai"},
        "credential": {"api-key": "api_key"},
    }
    return RotationConfig.model_validate({**least, **settings})


def last(result: RunResult | None, started: datetime = SUNDAY) -> Run:
    return Run("run-1", "openai", "schedule", started, None, result)


@pytest.mark.parametrize("taken_over", [False, True])
@pytest.mark.parametrize("result", [None, RunResult.INTERRUPTED])
def test_a_run_that_was_cut_off_is_resumed(result: RunResult | None, taken_over: bool) -> None:
    rule = rotation()
    now = SUNDAY + timedelta(days=1)
    assert trigger_at_once(rule, last(result), now, taken_over=taken_over) == "resume"


def test_a_tick_that_nobody_saw_is_made_up_for() -> None:
    rule = rotation(schedule=WEEKLY)
    done = last(RunResult.SUCCEEDED, SUNDAY - timedelta(days=7))
    assert trigger_at_once(rule, done, SUNDAY + timedelta(hours=1), taken_over=False) == "missed"
    assert trigger_at_once(rule, done, SUNDAY - timedelta(hours=1), taken_over=False) is None


def test_a_ledger_that_knows_nothing_has_missed_nothing() -> None:
    rule = rotation(schedule=WEEKLY)
    for days in range(7):
        now = SUNDAY + timedelta(days=days, minutes=1)
        assert trigger_at_once(rule, None, now, taken_over=False) is None


@pytest.mark.parametrize(
    ("after", "trigger"),
    [
        (timedelta(minutes=1), "takeover"),
        (CUT_OFF - timedelta(minutes=1), "takeover"),
        (CUT_OFF + timedelta(minutes=1), None),
        (timedelta(days=3), None),
    ],
)
def test_after_another_leader_a_scheduled_run_may_have_been_its_last(
    after: timedelta, trigger: str | None
) -> None:
    """And credentials wait for their own time otherwise."""
    rule = rotation(schedule=WEEKLY)
    assert trigger_at_once(rule, None, SUNDAY + after, taken_over=True) == trigger
    finished = last(RunResult.SUCCEEDED, SUNDAY + timedelta(seconds=1))
    assert trigger_at_once(rule, finished, SUNDAY + after, taken_over=True) is None


def test_leases_of_another_leader_end_with_it() -> None:
    rule = rotation(secret=LEASED)
    assert trigger_at_once(rule, None, SUNDAY, taken_over=True) == "takeover"
    assert trigger_at_once(rule, None, SUNDAY, taken_over=False) is None
    assert trigger_at_once(rule, last(RunResult.SUCCEEDED), SUNDAY, taken_over=True) is None


def test_on_start_is_on_every_beginning_to_lead() -> None:
    rule = rotation(schedule={**WEEKLY, "on_start": True})
    for taken_over in (False, True):
        now = SUNDAY + timedelta(days=2)
        assert trigger_at_once(rule, None, now, taken_over=taken_over) == "start"
