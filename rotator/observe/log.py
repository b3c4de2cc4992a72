"""One JSON object a line, with stable `event` names; or lines for people."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections import Counter, deque
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from rotator.config.models import LogConfig
from rotator.model import (
    Event,
    LeaseChanged,
    LeasesSeen,
    Notified,
    Planned,
    RequestAnswered,
    Run,
    RunFinished,
    RunResult,
    RunStarted,
    SecretHinted,
    Settled,
    SourceRead,
    TokenSeen,
    Updated,
    Verdict,
)

ROOT = "rotator"
_QUIET = (
    "apscheduler",
    "asyncio",
    "boto3",
    "botocore",
    "httpcore",
    "httpx",
    "hvac",
    "urllib3",
    "uvicorn",
)
"""Never below WARNING, whatever is configured: what they say at DEBUG can hold values."""
_MOST_FRAMES = 5
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(config: LogConfig) -> None:
    """Log to standard error. May be called again, after a reload."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if config.format == "json" else _Console())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    logging.getLogger(ROOT).setLevel(config.level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name == ROOT or record.name.startswith(f"{ROOT}.")


def _event(record: logging.LogRecord) -> str:
    """Our own records are named after what happened; what libraries say is text in a field."""
    return record.getMessage() if _is_ours(record) else "library"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    if _is_ours(record):
        given = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    else:
        given = {"logger": record.name, "message": _first_line(record)}
    if record.exc_info and record.exc_info[0] is not None:
        # Types and places alone: messages and frames of other people's exceptions can hold values.
        given["error"] = record.exc_info[0].__name__
        frames = deque(traceback.walk_tb(record.exc_info[2]), maxlen=_MOST_FRAMES)
        given["at"] = " > ".join(_place(frame, line) for frame, line in frames)
    return given


def _place(frame: FrameType, line: int) -> str:
    return f"{'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{line}"


def _first_line(record: logging.LogRecord) -> str:
    """asyncio's second line is the repr of an exception, and reprs can hold values."""
    try:
        text = record.getMessage()
    except (TypeError, ValueError, LookupError):
        # Logging's own answer to a message that doesn't fit its arguments is to print these.
        text = str(record.msg)
    return text.partition("\n")[0]


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": _event(record),
            **_fields(record),
        }
        return json.dumps(line, default=str)


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone()
        words = " ".join(f"{key}={_quoted(value)}" for key, value in _fields(record).items())
        level = "" if record.levelno == logging.INFO else f"{record.levelname} "
        return f"{moment:%H:%M:%S} {level}{_event(record)} {words}".rstrip()


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
            case Planned():
                self._planned(event)
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
                    run=event.run_id,
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
                    reason=event.reason or None,
                    run=event.run_id,
                )
            case LeaseChanged():
                self._lease_changed(event)
            case Notified():
                self._notified(event)
            case SecretHinted(source, path):
                self._say("source.hint", logging.DEBUG, source=source, path=path)
            case TokenSeen() | LeasesSeen():
                pass  # the same every few seconds

    def _lease_changed(self, event: LeaseChanged) -> None:
        lease = event.lease
        self._say(
            f"lease.{event.what.replace(' ', '_')}",
            logging.WARNING if event.reason else logging.INFO,
            source=lease.ref.source,
            rotation=lease.rotation,
            holder=lease.ref.holder,
            lease=lease.id,
            ends=lease.expires_at.isoformat(timespec="seconds") if lease.expires_at else None,
            revoke=lease.revoke_at.isoformat(timespec="seconds") if lease.revoke_at else None,
            reason=event.reason or None,
        )

    def _notified(self, event: Notified) -> None:
        if event.result == "dropped" and not event.reason:
            return  # one line says that they are
        level = {"failed": logging.ERROR, "sent": logging.INFO}.get(event.result, logging.WARNING)
        self._say(
            f"notification.{event.result}",
            level,
            notification=event.id,
            occasion=str(event.occasion),
            rotation=event.rotation,
            receiver=event.receiver,
            attempts=event.attempts or None,
            reason=event.reason or None,
        )

    def _planned(self, event: Planned) -> None:
        run, rotation = event.run_id, event.rotation
        verdicts = Counter(str(change.verdict) for change in event.changes)
        updates = sum(change.update for change in event.changes)
        self._say("run.planned", run=run, rotation=rotation, updates=updates, **verdicts)
        for change in event.changes:
            drifted = change.reason if change.verdict is Verdict.DRIFTED else None
            for name, reason in (
                ("connection.drifted", drifted),
                ("connection.warning", change.warning),
            ):
                if reason is not None:
                    self._say(
                        name,
                        logging.WARNING,
                        run=run,
                        rotation=rotation,
                        target=change.connection.target,
                        connection=change.connection.name,
                        reason=reason,
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
            todo=run.todo or None,
        )

    def _say(self, name: str, level: int = logging.INFO, **fields: object) -> None:
        if self._log.isEnabledFor(level):
            present = {key: value for key, value in fields.items() if value is not None}
            self._log.log(level, name, extra=present)
