"""What is logged: one line for each event, for machines or for people, and never a value."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.config.models import LogConfig
from rotator.errors import Cause
from rotator.model.connection import Condition, Connection
from rotator.model.credential import Credential
from rotator.model.current_run import working_for
from rotator.model.events import (
    Event,
    LeaseChanged,
    LeasesSeen,
    Notified,
    Occasion,
    Planned,
    RequestAnswered,
    RunFinished,
    RunStarted,
    Settled,
    SourceRead,
    Updated,
)
from rotator.model.plan import Change, Verdict
from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.observe import log
from rotator.observe.lines import ROOT
from rotator.remedy import remedy
from tests.unit.observe.test_metrics import LEASE

CANARY = "sk-canary-value"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RUN = Run("run-1", "openai", "schedule", NOW)
DONE = replace(
    RUN,
    finished_at=NOW + timedelta(seconds=4.5),
    result=RunResult.SUCCEEDED,
    counts={"rotated": 2, "unchanged": 3},
)
CONNECTION = Connection("prod", "chat", "OPENAI", "https://example.com", "READY", Condition.USABLE)
CHANGE = Change(
    CONNECTION, Verdict.CHANGED, "another version", Credential({"k": CANARY}, "f", "v2"),
    update=True,
)  # fmt: skip
OUTCOME = Outcome("run-1", "openai", "prod", "chat", Result.ROTATED, "READY", NOW, "READY",
                  verify_seconds=1.23456)  # fmt: skip

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """`configure` is for a whole process; what it changes is put back."""
    root = logging.getLogger()
    handlers, show = root.handlers[:], warnings.showwarning
    named = {name: logging.getLogger(name) for name in ("", ROOT, *log._QUIET)}
    levels = {name: logger.level for name, logger in named.items()}
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    warnings.showwarning = show
    for name, level in levels.items():
        named[name].setLevel(level)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """All lines since the last time, each of which must be a JSON object.

    The test itself calls `configure`: in a fixture, standard error is another one.
    """
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    ("event", "level", "fields"),
    [
        (RunStarted(RUN), "info", {"event": "run.started", "trigger": "schedule"}),
        (
            Planned("run-1", "openai", (CHANGE,)),
            "info",
            {"event": "run.planned", "updates": 1, "changed": 1},
        ),
        (
            Updated("run-1", "openai", "prod", "chat"),
            "info",
            {"event": "connection.updated", "target": "prod", "connection": "chat"},
        ),
        (
            Settled(OUTCOME),
            "info",
            {"event": "connection.settled", "result": "rotated", "seconds": 1.235},
        ),
        (
            Settled(replace(OUTCOME, result=Result.FAILED, reason="INVALID_AUTH: key refused")),
            "error",
            {"event": "connection.settled", "reason": "INVALID_AUTH: key refused"},
        ),
        (
            RunFinished(DONE),
            "info",
            {"event": "run.finished", "result": "succeeded", "seconds": 4.5, "rotated": 2},
        ),
    ],
)
def test_each_event_has_a_name_a_level_and_its_run(
    lines: Lines, event: Event, level: str, fields: dict[str, Any]
) -> None:
    log.configure(LogConfig())
    log.Log()(event)
    (line,) = lines()
    assert {"level": level, "run": "run-1", "rotation": "openai", **fields}.items() <= line.items()
    assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)
    assert CANARY not in str(line)


@pytest.mark.parametrize("result", [RunResult.FAILED, RunResult.REFUSED])
@pytest.mark.parametrize("cause", [*Cause, None])
def test_a_failed_run_says_what_to_do(lines: Lines, result: RunResult, cause: Cause | None) -> None:
    log.configure(LogConfig())
    log.Log()(RunFinished(replace(DONE, result=result, reason="1 failed"), cause, "request-7"))
    (line,) = lines()
    assert (line["level"], line["result"], line["reason"]) == ("error", str(result), "1 failed")
    assert line["todo"] == remedy(cause or Cause.OTHER, "openai")
    assert line["request_id"] == "request-7"


def test_a_failure_of_a_target_carries_its_request(lines: Lines) -> None:
    log.configure(LogConfig())
    failed = replace(OUTCOME, result=Result.FAILED, reason="no (X-Request-Id request-7)")
    log.Log()(Settled(failed, Cause.REFUSED, "request-7"))
    (line,) = lines()
    assert (line["event"], line["request_id"]) == ("connection.settled", "request-7")


def test_an_interrupted_run_is_no_error(lines: Lines) -> None:
    log.configure(LogConfig())
    log.Log()(RunFinished(replace(DONE, result=RunResult.INTERRUPTED)))
    (line,) = lines()
    assert line["level"] == "info"
    assert "todo" not in line


def test_drift_and_warnings_of_a_plan_are_named(lines: Lines) -> None:
    log.configure(LogConfig())
    drifted = replace(CHANGE, verdict=Verdict.DRIFTED, reason="changed by someone else")
    warned = replace(CHANGE, warning="type NEWAI is not known")
    log.Log()(Planned("run-1", "openai", (drifted, warned)))
    said = [(line["event"], line["level"], line.get("reason")) for line in lines()]
    assert said == [
        ("run.planned", "info", None),
        ("connection.drifted", "warning", "changed by someone else"),
        ("connection.warning", "warning", "type NEWAI is not known"),
    ]


def test_requests_are_for_debugging(lines: Lines) -> None:
    log.configure(LogConfig())
    answered = RequestAnswered("prod", "PUT", "200", 0.0512, "request-7")
    log.Log()(answered)
    assert lines() == []
    log.configure(LogConfig(level="debug"))
    log.Log()(answered)
    (line,) = lines()
    assert (line["event"], line["request_id"], line["seconds"]) == (
        "target.request",
        "request-7",
        0.051,
    )


def test_a_source_that_fails_is_a_warning(lines: Lines) -> None:
    log.configure(LogConfig())
    log.Log()(SourceRead("vault", "read", "ok", 0.01))
    log.Log()(SourceRead("vault", "read", "denied", 0.01))
    (line,) = lines()
    assert (line["level"], line["source"], line["result"]) == ("warning", "vault", "denied")


def test_leases_are_logged_by_id_and_a_problem_with_one_is_a_warning(lines: Lines) -> None:
    log.configure(LogConfig())
    tell = log.Log()
    tell(LeaseChanged(LEASE, "made"))
    tell(LeaseChanged(LEASE, "not renewed", "source vault: it is sealed"))
    tell(LeasesSeen((LEASE,)))
    made, failed = lines()
    its = {
        "source": "vault",
        "rotation": "openai",
        "lease": LEASE.id,
        "ends": "2026-11-20T12:01:00+00:00",
    }
    assert {"event": "lease.made", "level": "info", **its}.items() <= made.items()
    reason = {
        "event": "lease.not_renewed",
        "level": "warning",
        "reason": "source vault: it is sealed",
    }
    assert {**reason, **its}.items() <= failed.items()


@pytest.mark.parametrize(
    ("result", "reason", "level"),
    [
        ("sent", "", "info"),
        ("delayed", "HTTP 503", "warning"),
        ("failed", "HTTP 404", "error"),
        ("dropped", "more than 100 wait for this webhook", "warning"),
        ("dropped", "", None),
    ],
)
def test_what_becomes_of_notifications(
    lines: Lines, result: str, reason: str, level: str | None
) -> None:
    log.configure(LogConfig())
    log.Log()(Notified("run-1-failed", Occasion.FAILED, "openai", "a.example", result, reason, 2))
    told = [(line["event"], line["level"], line["receiver"]) for line in lines()]
    assert told == ([(f"notification.{result}", level, "a.example")] if level else [])


def test_a_lease_that_a_run_asks_for_names_it(lines: Lines) -> None:
    log.configure(LogConfig())
    with working_for("run-1"):
        log.Log()(LeaseChanged(LEASE, "made"))
    log.Log()(LeaseChanged(LEASE, "renewed"))
    made, renewed = lines()
    assert made["run"] == "run-1"
    assert "run" not in renewed


def test_configured_again_it_says_everything_once(lines: Lines) -> None:
    log.configure(LogConfig())
    log.configure(LogConfig())
    logging.getLogger("rotator.daemon").info("daemon.started", extra={"address": "127.0.0.1:1"})
    (line,) = lines()
    assert (line["event"], line["address"]) == ("daemon.started", "127.0.0.1:1")


@pytest.mark.parametrize("library", ["botocore.auth", "httpx", "urllib3.connectionpool", "hvac"])
def test_libraries_are_never_heard_below_a_warning(lines: Lines, library: str) -> None:
    log.configure(LogConfig(level="debug"))
    logging.getLogger(library).debug("signing with %s", CANARY)
    logging.getLogger(library).info("signing with %s", CANARY)
    assert lines() == []
    logging.getLogger(library).warning("slow")
    (line,) = lines()
    assert (line["event"], line["logger"], line["message"]) == ("library", library, "slow")


def test_an_exception_is_logged_by_type_and_place(lines: Lines) -> None:
    log.configure(LogConfig())
    try:
        json.loads(CANARY)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    (line,) = lines()
    assert line["error"] == "JSONDecodeError"
    assert line["message"] == "Exception in ASGI application"
    assert line["at"].startswith("observe/test_log.py:")
    assert "json/decoder.py:" in line["at"]
    assert CANARY not in str(line)


async def test_a_task_whose_exception_nobody_took_holds_no_value(lines: Lines) -> None:
    log.configure(LogConfig())

    async def crash() -> None:
        raise RuntimeError(CANARY)

    task = asyncio.create_task(crash())
    await asyncio.wait([task])
    del task
    gc.collect()
    (line,) = lines()
    assert (line["logger"], line["error"]) == ("asyncio", "RuntimeError")
    assert line["message"] == "Task exception was never retrieved"
    assert CANARY not in str(line)


def test_a_message_that_doesnt_fit_its_arguments_shows_none(lines: Lines) -> None:
    log.configure(LogConfig())
    logging.getLogger("urllib3").warning("%d and %d", *[CANARY])
    (line,) = lines()
    assert line["message"] == "%d and %d"


def test_warnings_are_lines_too(lines: Lines) -> None:
    log.configure(LogConfig())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        log.configure(LogConfig())
        warnings.warn("old habits", DeprecationWarning, stacklevel=1)
    (line,) = lines()
    assert (line["event"], line["logger"]) == ("library", "py.warnings")
    assert "DeprecationWarning: old habits" in line["message"]
