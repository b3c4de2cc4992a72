"""A trace of each run, from the same events that every observer gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from rotator.model.events import (
    Event,
    RequestAnswered,
    RunFinished,
    RunStarted,
    Settled,
    SourceRead,
    Updated,
)
from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.observe.text import utf8
from rotator.ports import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TROUBLE = (RunResult.FAILED, RunResult.REFUSED)

Attributes = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class _OpenSpan:
    """The span of a run in progress."""

    span: Span
    inside: Context
    """The context that the spans of its parts start in."""
    common: Attributes
    put: dict[tuple[str, str], int] = field(default_factory=dict)
    """Target and connection → when its update was answered, in nanoseconds."""


class Traces:
    """An observer. It makes a span when its end is known, with the times of the event.

    It neither reads nor sets OpenTelemetry's current span: the event says which run a request or a
    read belongs to. What belongs to no run is not traced: looks at secrets come every few seconds,
    and the metrics count them.
    """

    def __init__(self, tracer: Tracer, clock: Clock) -> None:
        self._tracer = tracer
        self._clock = clock
        self._runs: dict[str, _OpenSpan] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted(run):
                self._runs[run.id] = self._begun(run)
            case RunFinished(run):
                self._finished(run)
            case Updated(run_id, _, target, connection):
                if run_id in self._runs:
                    # Sending an update again does not restart the wait.
                    self._runs[run_id].put.setdefault((target, connection), self._now())
            case Settled(outcome):
                self._settled(outcome)
            case RequestAnswered():
                self._answered(event)
            case SourceRead():
                self._read(event)
            case _:
                pass

    def _now(self) -> int:
        return _nanoseconds(self._clock.now())

    # Runs

    def _begun(self, run: Run) -> _OpenSpan:
        common = {"rotator.run.id": run.id, "rotator.rotation": run.rotation}
        span = self._tracer.start_span(
            f"run {run.rotation}",
            context=Context(),
            attributes=_present({**common, "rotator.trigger": run.trigger}),
            start_time=_nanoseconds(run.started_at),
        )
        return _OpenSpan(span, set_span_in_context(span, Context()), common)

    def _finished(self, run: Run) -> None:
        # A run that could not be recorded has no start.
        begun = self._runs.pop(run.id, None) or self._begun(run)
        end = _nanoseconds(run.finished_at) if run.finished_at else self._now()
        for (target, connection), since in begun.put.items():
            # The run was interrupted; the next one verifies it.
            attributes = _verification(target, connection, str(run.result), "")
            self._part(begun, f"verify {target}", attributes, since, end)
        begun.span.set_attributes(
            _present({"rotator.result": str(run.result), "rotator.reason": run.reason})
        )
        if run.result in _TROUBLE:
            begun.span.set_status(_error(run.reason))
        begun.span.end(end)

    # Their parts

    def _settled(self, outcome: Outcome) -> None:
        begun = self._runs.get(outcome.run_id)
        if begun is None:
            return
        target, connection = outcome.target, outcome.connection
        end = _nanoseconds(outcome.at)
        since = begun.put.pop((target, connection), None)
        if since is None and outcome.verify_seconds is not None:  # an earlier run had put it
            since = end - _span(outcome.verify_seconds)
        failed = outcome.result is Result.FAILED
        attributes = _verification(target, connection, str(outcome.result), outcome.reason)
        if since is not None:
            error = outcome.reason if failed else None
            self._part(begun, f"verify {target}", attributes, since, end, error=error)
        elif failed:  # nothing was put, so there is nothing to wait for
            begun.span.add_event("connection.failed", _present(attributes), end)

    def _answered(self, event: RequestAnswered) -> None:
        begun = self._runs.get(event.run_id or "")
        if begun is None:
            return
        status = int(event.status) if event.status.isdecimal() else None
        attributes = {
            "rotator.target": event.target,
            "rotator.request_id": event.request_id,
            "http.request.method": event.method,
            "http.response.status_code": status,
            "error.type": event.status if status is None else None,
        }
        end = self._now()
        self._part(
            begun,
            f"{event.method} {event.target}",
            attributes,
            end - _span(event.seconds),
            end,
            kind=SpanKind.CLIENT,
            error=None if status is not None and 200 <= status < 300 else event.status,
        )

    def _read(self, event: SourceRead) -> None:
        begun = self._runs.get(event.run_id or "")
        if begun is None:
            return
        attributes = {
            "rotator.source": event.source,
            "rotator.operation": event.operation,
            "rotator.result": event.result,
            "rotator.reason": event.reason,
        }
        end = self._now()
        self._part(
            begun,
            f"{event.operation} {event.source}",
            attributes,
            end - _span(event.seconds),
            end,
            error=None if event.result == "ok" else event.reason or event.result,
        )

    def _part(
        self,
        begun: _OpenSpan,
        name: str,
        attributes: Attributes,
        start: int,
        end: int,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        error: str | None = None,
    ) -> None:
        span = self._tracer.start_span(
            name,
            context=begun.inside,
            kind=kind,
            attributes=_present({**begun.common, **attributes}),
            start_time=start,
        )
        if error is not None:
            span.set_status(_error(error))
        span.end(end)


def _verification(target: str, connection: str, result: str, reason: str) -> Attributes:
    return {
        "rotator.target": target,
        "rotator.connection": connection,
        "rotator.result": result,
        "rotator.reason": reason,
    }


def _present(attributes: Attributes) -> dict[str, str | int]:
    """The attributes that have a value."""
    return {
        key: utf8(value) if isinstance(value, str) else value
        for key, value in attributes.items()
        if value is not None and value != ""
    }


def _error(reason: str) -> Status:
    return Status(StatusCode.ERROR, utf8(reason))


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _span(seconds: float) -> int:
    return int(seconds * 1e9)
