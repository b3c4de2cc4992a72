"""One JSON object a line, with stable `event` names; or lines for people."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from rotator.config.models import LogConfig
from rotator.model import (
    Event,
    Planned,
    RequestAnswered,
    Run,
    RunFinished,
    RunResult,
    RunStarted,
    Settled,
    SourceRead,
    Updated,
)

ROOT = "rotator"
_QUIET = ("apscheduler", "asyncio", "boto3", "botocore", "httpcore", "httpx", "hvac", "urllib3")
"""Never below WARNING, whatever is configured: what they say at DEBUG can hold values."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(config: LogConfig) -> None:
    """Log to standard error. May be called again, after a reload."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if config.format == "json" else _Console())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(ROOT).setLevel(config.level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    given = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    if record.exc_info and record.exc_info[0] is not None:
        # The type alone: messages and frames of other people's exceptions can hold values.
        given["error"] = record.exc_info[0].__name__
    return given


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_fields(record),
        }
        return json.dumps(line, default=str)


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone()
        words = " ".join(f"{key}={_quoted(value)}" for key, value in _fields(record).items())
        level = "" if record.levelno == logging.INFO else f"{record.levelname} "
        return f"{moment:%H:%M:%S} {level}{record.getMessage()} {words}".rstrip()


def _quoted(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text and text else json.dumps(text)


class Log:
    """The observer that writes events down. No event holds a value."""

    def __init__(self) -> None:
        self._log = logging.getLogger(f"{ROOT}.events")

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted(run):
                self._say("run.started", run=run.id, rotation=run.rotation, trigger=run.trigger)
            case Planned(run, rotation, changes):
                verdicts = Counter(str(change.verdict) for change in changes)
                updates = sum(change.update for change in changes)
                self._say("run.planned", run=run, rotation=rotation, updates=updates, **verdicts)
            case Updated(run, rotation, target, connection):
                self._say(
                    "connection.updated",
                    run=run,
                    rotation=rotation,
                    target=target,
                    connection=connection,
                )
            case Settled():
                self._settled(event)
            case RunFinished(run):
                self._finished(run)
            case RequestAnswered():
                self._say(
                    "target.request",
                    logging.DEBUG,
                    target=event.target,
                    method=event.method,
                    status=event.status,
                    seconds=round(event.seconds, 3),
                    request_id=event.request_id,
                )
            case SourceRead():
                failed = event.result != "ok"
                self._say(
                    "source.read",
                    logging.WARNING if failed else logging.DEBUG,
                    source=event.source,
                    operation=event.operation,
                    result=event.result,
                    seconds=round(event.seconds, 3),
                )

    def _settled(self, event: Settled) -> None:
        outcome = event.outcome
        level = {"failed": logging.ERROR, "unchanged": logging.DEBUG}.get(
            outcome.result, logging.INFO
        )
        seconds = outcome.verify_seconds
        self._say(
            "connection.settled",
            level,
            run=outcome.run_id,
            rotation=outcome.rotation,
            target=outcome.target,
            connection=outcome.connection,
            result=str(outcome.result),
            reason=outcome.reason,
            phase=outcome.phase,
            seconds=None if seconds is None else round(seconds, 3),
        )

    def _finished(self, run: Run) -> None:
        fine = run.result in {RunResult.SUCCEEDED, RunResult.INTERRUPTED}
        seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else None
        self._say(
            "run.finished",
            logging.INFO if fine else logging.ERROR,
            run=run.id,
            rotation=run.rotation,
            trigger=run.trigger,
            result=str(run.result),
            seconds=None if seconds is None else round(seconds, 3),
            **run.counts,
            reason=run.reason or None,
            todo=None
            if fine
            else f"see why: rotator plan {run.rotation}; then: rotator rotate {run.rotation}",
        )

    def _say(self, name: str, level: int = logging.INFO, **fields: object) -> None:
        if self._log.isEnabledFor(level):
            present = {key: value for key, value in fields.items() if value is not None}
            self._log.log(level, name, extra=present)
