"""One line for each event, with stable names: deploy/logging.md lists them all.

A test compares that page with this code, so names and fields are written out here.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter

from rotator.config.models import LogConfig
from rotator.model.current_run import present_run
from rotator.model.events import (
    Event,
    LeaseChanged,
    LeasesSeen,
    LeaseStep,
    Notified,
    Planned,
    RequestAnswered,
    RunFinished,
    RunStarted,
    SecretHinted,
    Settled,
    SourceRead,
    TokenSeen,
    Updated,
)
from rotator.model.plan import Verdict
from rotator.model.run import RunResult
from rotator.observe.lines import ROOT, ConsoleLines, JsonLines, wants_colour
from rotator.remedy import remedy_after

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
"""Loggers that stay at WARNING whatever is configured: their DEBUG lines can hold values."""

_LEASE_EVENTS: dict[LeaseStep, str] = {
    "made": "lease.made",
    "lost": "lease.lost",
    "renewed": "lease.renewed",
    "not renewed": "lease.not_renewed",
    "retired": "lease.retired",
    "revoked": "lease.revoked",
    "shortened": "lease.shortened",
    "not revoked": "lease.not_revoked",
    "ended": "lease.ended",
}


def configure(config: LogConfig) -> None:
    """Logs to standard error. May be called again after a reload."""
    handler = logging.StreamHandler(sys.stderr)
    if config.format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(ConsoleLines(coloured=wants_colour(sys.stderr, os.environ)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    logging.getLogger(ROOT).setLevel(config.level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class Log:
    """The observer that writes events to the log. No event holds a value."""

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
            case RunFinished():
                self._finished(event)
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
            _LEASE_EVENTS[event.what],
            logging.WARNING if event.reason else logging.INFO,
            source=lease.ref.source,
            rotation=lease.rotation,
            holder=lease.ref.holder,
            lease=lease.id,
            ends=lease.expires_at.isoformat(timespec="seconds") if lease.expires_at else None,
            revoke=lease.revoke_at.isoformat(timespec="seconds") if lease.revoke_at else None,
            reason=event.reason or None,
            run=present_run(),
        )

    def _notified(self, event: Notified) -> None:
        told = {
            "notification": event.id,
            "occasion": str(event.occasion),
            "rotation": event.rotation,
            "receiver": event.receiver,
            "attempts": event.attempts or None,
            "reason": event.reason or None,
        }
        match event.result:
            case "sent":
                self._say("notification.sent", logging.INFO, **told)
            case "delayed":
                self._say("notification.delayed", logging.WARNING, **told)
            case "dropped" if event.reason:  # one line says that more are
                self._say("notification.dropped", logging.WARNING, **told)
            case "failed":
                remedy = "check url and secret of that webhook: `rotator check --online`"
                self._say("notification.failed", logging.ERROR, **told, todo=remedy)
            case _:
                pass

    def _planned(self, event: Planned) -> None:
        run, rotation = event.run_id, event.rotation
        verdicts = Counter(str(change.verdict) for change in event.changes)
        updates = sum(change.update for change in event.changes)
        self._say("run.planned", run=run, rotation=rotation, updates=updates, **verdicts)
        for change in event.changes:
            place = {"target": change.connection.target, "connection": change.connection.name}
            if change.verdict is Verdict.DRIFTED:
                self._say(
                    "connection.drifted",
                    logging.WARNING,
                    run=run,
                    rotation=rotation,
                    **place,
                    reason=change.reason,
                )
            if change.warning is not None:
                self._say(
                    "connection.warning",
                    logging.WARNING,
                    run=run,
                    rotation=rotation,
                    **place,
                    reason=change.warning,
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
            request_id=event.request_id,
        )

    def _finished(self, event: RunFinished) -> None:
        run = event.run
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
            request_id=event.request_id,
            todo=remedy_after(event) or None,
        )

    def _say(self, name: str, level: int = logging.INFO, **fields: object) -> None:
        if self._log.isEnabledFor(level):
            present = {key: value for key, value in fields.items() if value is not None}
            self._log.log(level, name, extra=present)
