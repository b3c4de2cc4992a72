"""Which spans come of which events: names, times, parents, attributes, and what is no span."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from rotator.clock import SystemClock
from rotator.model.current_run import present_run, working_for
from rotator.model.events import (
    Event,
    RequestAnswered,
    RunFinished,
    RunStarted,
    SecretHinted,
    Settled,
    SourceRead,
    Updated,
)
from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.model.secret import Probe, Secret, SecretRef
from rotator.observe.traces import Traces
from rotator.ports import Observer
from rotator.sources.reader import Reader
from rotator.sources.threads import ThreadedSource, on_this_loop

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
RUN = Run("run-1", "openai", "schedule", START)
DONE = replace(RUN, finished_at=START + timedelta(seconds=9), result=RunResult.SUCCEEDED)
COMMON = {"rotator.run.id": "run-1", "rotator.rotation": "openai"}


@dataclass(slots=True)
class Moved(SystemClock):
    time: datetime = START

    def now(self) -> datetime:
        return self.time

    def after(self, seconds: float) -> None:
        self.time = START + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Kept:
    observe: Traces
    clock: Moved
    exporter: InMemorySpanExporter

    def tell(self, *events: Event) -> None:
        for event in events:
            self.observe(event)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.spans if span.name == name]
        return span


@pytest.fixture
def kept() -> Kept:
    exporter, clock = InMemorySpanExporter(), Moved()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Kept(Traces(provider.get_tracer("test"), clock), clock, exporter)


def times(span: ReadableSpan) -> tuple[float, float]:
    """Start and end, in seconds after START."""
    assert span.start_time is not None
    assert span.end_time is not None
    epoch = int(START.timestamp()) * 10**9
    return (span.start_time - epoch) / 1e9, (span.end_time - epoch) / 1e9


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def identity(span: ReadableSpan) -> int:
    assert span.context is not None
    found: int = span.context.span_id
    return found


def settled(
    result: Result, *, connection: str = "chat", reason: str = "", seconds: float | None = None
) -> Settled:
    at = START + timedelta(seconds=5)
    return Settled(
        Outcome(
            "run-1", "openai", "prod", connection, result, reason, at, verify_seconds=seconds
        )
    )  # fmt: skip


def test_a_run_is_a_root_from_its_start_to_its_end(kept: Kept) -> None:
    kept.tell(RunStarted(RUN), RunFinished(DONE))
    (span,) = kept.spans
    assert (span.name, span.parent, span.kind) == ("run openai", None, SpanKind.INTERNAL)
    assert times(span) == (0.0, 9.0)
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes == {
        **COMMON,
        "rotator.trigger": "schedule",
        "rotator.result": "succeeded",
    }


@pytest.mark.parametrize("result", RunResult)
def test_a_run_that_failed_or_was_refused_is_an_error(kept: Kept, result: RunResult) -> None:
    kept.tell(RunStarted(RUN), RunFinished(replace(DONE, result=result, reason="so it is")))
    (span,) = kept.spans
    failed = result in {RunResult.FAILED, RunResult.REFUSED}
    assert (span.status.status_code is StatusCode.ERROR) == failed
    assert span.status.description == ("so it is" if failed else None)
    assert span.attributes is not None
    assert span.attributes["rotator.reason"] == "so it is"


def test_a_run_that_could_not_be_written_down_has_a_span_too(kept: Kept) -> None:
    kept.tell(RunFinished(replace(DONE, result=RunResult.FAILED, reason="the disk is full")))
    (span,) = kept.spans
    assert times(span) == (0.0, 9.0)
    assert span.status.status_code is StatusCode.ERROR


def test_a_request_of_a_run(kept: Kept) -> None:
    kept.clock.after(2)
    event = RequestAnswered("prod", "PUT", "200", 0.5, "req-7", run_id="run-1")
    kept.tell(RunStarted(RUN), event, RunFinished(DONE))
    span, root = kept.named("PUT prod"), kept.named("run openai")
    assert parent(span) == identity(root)
    assert times(span) == (1.5, 2.0)
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes == {
        **COMMON,
        "rotator.target": "prod",
        "rotator.request_id": "req-7",
        "http.request.method": "PUT",
        "http.response.status_code": 200,
    }


@pytest.mark.parametrize("status", ["302", "409", "429", "500"])
def test_an_answer_that_is_no_success_is_an_error(kept: Kept, status: str) -> None:
    event = RequestAnswered("prod", "GET", status, 0.1, run_id="run-1")
    kept.tell(RunStarted(RUN), event, RunFinished(DONE))
    span = kept.named("GET prod")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, status)


def test_a_request_without_an_answer_says_what_went_wrong(kept: Kept) -> None:
    event = RequestAnswered("prod", "GET", "timeout", 0.1, run_id="run-1")
    kept.tell(RunStarted(RUN), event, RunFinished(DONE))
    span = kept.named("GET prod")
    assert span.attributes == {
        **COMMON,
        "rotator.target": "prod",
        "http.request.method": "GET",
        "error.type": "timeout",
    }
    assert span.status.status_code is StatusCode.ERROR


def test_a_read_of_a_source(kept: Kept) -> None:
    kept.clock.after(1)
    reads = (
        SourceRead("vault", "read", "ok", 0.25, run_id="run-1"),
        SourceRead("vault", "login", "denied", 0.75, "the role is gone", run_id="run-1"),
    )
    kept.tell(RunStarted(RUN), *reads, RunFinished(DONE))
    read, login = kept.named("read vault"), kept.named("login vault")
    assert times(read) == (0.75, 1.0)
    assert times(login) == (0.25, 1.0)
    assert read.attributes == {
        **COMMON,
        "rotator.source": "vault",
        "rotator.operation": "read",
        "rotator.result": "ok",
    }
    assert login.attributes is not None
    assert login.attributes["rotator.reason"] == "the role is gone"
    assert login.status.description == "the role is gone"
    assert read.status.status_code is StatusCode.UNSET


def test_a_verification_lasts_from_the_answered_update_to_its_end(kept: Kept) -> None:
    kept.clock.after(2)
    kept.tell(RunStarted(RUN), Updated("run-1", "openai", "prod", "chat"))
    kept.tell(settled(Result.ROTATED, reason="READY", seconds=3), RunFinished(DONE))
    span = kept.named("verify prod")
    assert times(span) == (2.0, 5.0)
    assert parent(span) == identity(kept.named("run openai"))
    assert span.attributes == {
        **COMMON,
        "rotator.target": "prod",
        "rotator.connection": "chat",
        "rotator.result": "rotated",
        "rotator.reason": "READY",
    }


def test_a_verification_that_failed_is_an_error(kept: Kept) -> None:
    kept.tell(RunStarted(RUN), Updated("run-1", "openai", "prod", "chat"))
    kept.tell(settled(Result.FAILED, reason="INVALID_AUTH"), RunFinished(DONE))
    status = kept.named("verify prod").status
    assert (status.status_code, status.description) == (StatusCode.ERROR, "INVALID_AUTH")


def test_an_update_that_is_sent_again_does_not_restart_the_wait(kept: Kept) -> None:
    updated = Updated("run-1", "openai", "prod", "chat")
    kept.clock.after(1)
    kept.tell(RunStarted(RUN), updated)
    kept.clock.after(4)
    kept.tell(updated, settled(Result.ROTATED, seconds=1), RunFinished(DONE))
    assert times(kept.named("verify prod")) == (1.0, 5.0)


def test_what_an_earlier_run_put_is_verified_as_long_as_it_took(kept: Kept) -> None:
    kept.tell(RunStarted(RUN), settled(Result.ROTATED, seconds=2), RunFinished(DONE))
    assert times(kept.named("verify prod")) == (3.0, 5.0)


def test_a_verification_that_is_cut_off_ends_with_its_run(kept: Kept) -> None:
    interrupted = replace(DONE, result=RunResult.INTERRUPTED)
    updated = Updated("run-1", "openai", "prod", "chat")
    kept.tell(RunStarted(RUN), updated, RunFinished(interrupted))
    span = kept.named("verify prod")
    assert times(span) == (0.0, 9.0)
    assert span.attributes is not None
    assert span.attributes["rotator.result"] == "interrupted"
    assert span.status.status_code is StatusCode.UNSET


def test_a_connection_that_failed_before_its_update_is_an_event_of_the_run(kept: Kept) -> None:
    kept.tell(RunStarted(RUN), settled(Result.FAILED, reason="no field api_key"))
    kept.tell(settled(Result.UNCHANGED, connection="other"), RunFinished(DONE))
    (root,) = kept.spans
    (event,) = root.events
    assert event.name == "connection.failed"
    assert event.attributes == {
        "rotator.target": "prod",
        "rotator.connection": "chat",
        "rotator.result": "failed",
        "rotator.reason": "no field api_key",
    }


def test_what_belongs_to_no_run_is_not_traced(kept: Kept) -> None:
    kept.tell(
        RequestAnswered("prod", "GET", "200", 0.1),
        SourceRead("vault", "probe", "ok", 0.1),
        SourceRead("vault", "read", "ok", 0.1, run_id="over"),
        Updated("over", "openai", "prod", "chat"),
        settled(Result.FAILED),
        SecretHinted("vault", "kv/flink"),
    )
    assert kept.spans == ()


def test_half_a_character_costs_no_trace(kept: Kept) -> None:
    kept.tell(RunStarted(RUN), Updated("run-1", "openai", "prod", "\ud800chat"))
    kept.tell(settled(Result.FAILED, connection="\ud800chat", reason="\ud800"), RunFinished(DONE))
    span = kept.named("verify prod")
    assert span.attributes is not None
    assert span.attributes["rotator.connection"] == "?chat"
    assert span.status.description == "?"


async def test_of_many_tasks_at_once_each_request_is_under_its_own_run(kept: Kept) -> None:
    """Two runs, whose requests interleave in one target."""
    both = asyncio.Barrier(2)

    async def ask(name: str) -> None:
        await both.wait()
        kept.tell(RequestAnswered(name, "GET", "200", 0.0))

    async def run(name: str) -> None:
        mine = replace(RUN, id=name, rotation=name)
        kept.tell(RunStarted(mine))
        with working_for(name):
            async with asyncio.TaskGroup() as tasks:
                for _ in range(20):
                    tasks.create_task(ask(name))
        kept.tell(RunFinished(replace(mine, finished_at=START, result=RunResult.SUCCEEDED)))

    await asyncio.gather(run("a"), run("b"))
    assert present_run() is None
    for name in ("a", "b"):
        root = kept.named(f"run {name}")
        asked = [span for span in kept.spans if span.name == f"GET {name}"]
        assert [parent(span) for span in asked] == [identity(root)] * 20
        assert {span.context.trace_id for span in asked if span.context} == {
            root.context.trace_id if root.context else 0
        }


class LogsIn(Reader):
    """A vendor that tells from its thread, as Vault's login does."""

    def __init__(self, observe: Observer) -> None:
        self._observe = observe

    def read(self, ref: SecretRef) -> Secret:
        assert threading.current_thread() is not threading.main_thread()
        self._observe(SourceRead("vault", "login", "ok", 0.0))
        return Secret(ref, "1", {})

    def probe(self, ref: SecretRef) -> Probe:
        raise NotImplementedError

    def close(self) -> None:
        pass


async def test_events_of_a_thread_belong_to_the_run_that_asked(kept: Kept) -> None:
    source = ThreadedSource("vault", LogsIn(on_this_loop(kept.observe)), 5.0, kept.observe)
    kept.tell(RunStarted(RUN))
    with working_for("run-1"):
        await source.read(SecretRef("vault", "flink"))
    await source.read(SecretRef("vault", "flink"))  # of no run
    kept.tell(RunFinished(DONE))
    root = identity(kept.named("run openai"))
    assert parent(kept.named("login vault")) == root
    assert parent(kept.named("read vault")) == root
    assert len(kept.spans) == 3
