"""When a run starts, and what one that crashes leaves in the log."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rotator.clock import SystemClock
from rotator.coordination.term import Term
from rotator.daemon.runner import Draining, Runner
from rotator.errors import Cause, NotLeading, RunInProgress
from rotator.observe.lines import JsonLines
from rotator.ports import RunContext
from rotator.remedy import remedy

CANARY = "sk-canary-value"


@asynccontextmanager
async def crashing() -> AsyncIterator[RunContext]:
    raise RuntimeError(CANARY)
    yield  # makes it a generator


async def test_a_crash_is_one_line_with_its_place_and_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = SystemClock()
    runner = Runner(crashing, clock, asyncio.Event(), term=Term(clock))
    run = runner.start("openai", "schedule")
    await runner.idle()
    (record,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
    line = json.loads(JsonLines().format(record))
    told = {name: line[name] for name in ("event", "run", "rotation", "error", "todo")}
    assert told == {
        "event": "run.crashed",
        "run": run.id,
        "rotation": "openai",
        "error": "RuntimeError",
        "todo": remedy(Cause.INTERNAL, "openai"),
    }
    assert "daemon/test_runner.py:" in line["at"]
    assert CANARY not in str(line)
    assert runner.under_way("openai") is None


async def test_a_process_that_does_not_lead_starts_nothing_by_itself() -> None:
    runner = Runner(crashing, SystemClock(), asyncio.Event(), holder=lambda: "pod-b")
    runner.start_by_itself("openai", "schedule")
    assert runner.under_way("openai") is None
    with pytest.raises(NotLeading, match="pod-b leads"):
        runner.start("openai", "http")


async def test_a_tick_during_a_run_is_left_out_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    clock = SystemClock()
    runner = Runner(crashing, clock, asyncio.Event(), term=Term(clock))
    run = runner.start("openai", "http")
    runner.start_by_itself("openai", "schedule")
    assert runner.under_way("openai") is run
    (skipped,) = [each for each in caplog.records if each.getMessage() == "run.skipped"]
    assert run.id in str(vars(skipped)["reason"])
    with pytest.raises(RunInProgress):
        runner.start("openai", "http")
    await runner.idle()


async def test_a_process_that_is_about_to_stop_starts_nothing() -> None:
    clock = SystemClock()
    runner = Runner(crashing, clock, asyncio.Event(), term=Term(clock))
    await runner.drain(0.0)
    assert not runner.leads
    runner.start_by_itself("openai", "schedule")
    assert runner.under_way("openai") is None
    with pytest.raises(Draining):
        runner.start("openai", "http")
