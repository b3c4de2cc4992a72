"""What a run that crashes leaves in the log."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rotator.clock import SystemClock
from rotator.coordination.term import Term
from rotator.daemon.runner import Runner
from rotator.errors import Cause
from rotator.observe.lines import JsonLines
from rotator.remedy import remedy
from rotator.rotation.context import RunContext

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
