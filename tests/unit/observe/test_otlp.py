"""Spans on their way to a real collector over real sockets, and what is told when it fails."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import pytest

from rotator.clock import SystemClock
from rotator.model.events import RunFinished, RunStarted
from rotator.model.run import Run, RunResult
from rotator.observe.otlp import GRACE
from rotator.observe.tracing import traced
from rotator.ports import Observer
from tests.e2e.test_sidecar import free_port
from tests.support.collector import Collector, collecting
from tests.support.faulty import HTML, Reply, Trouble
from tests.support.waiting import until

TOKEN = "canary-7c1e-header"
AT_MOST = GRACE + 0.5
"""Seconds of an end."""


@dataclass(slots=True)
class Told:
    lines: list[tuple[int, str, str]] = field(default_factory=list)

    def __call__(self, level: int, event: str, words: str) -> None:
        self.lines.append((level, event, words))

    def of(self, event: str) -> list[str]:
        return [words for _, name, words in self.lines if name == event]

    @property
    def warnings(self) -> list[str]:
        return [words for level, _, words in self.lines if level >= logging.WARNING]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def on(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, told: Told
) -> Callable[..., AbstractAsyncContextManager[Observer]]:
    """Traces to the collector, sent every 20 ms, with these variables beside."""

    def traces(**environ: str) -> AbstractAsyncContextManager[Observer]:
        given = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            **environ,
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        return traced(os.environ, SystemClock(), told)

    return traces


On = Callable[..., AbstractAsyncContextManager[Observer]]


def one_run(observe: Observer, name: str = "openai") -> None:
    now = datetime.now(UTC)
    run = Run(f"run-{name}", name, "command", now)
    observe(RunStarted(run))
    observe(RunFinished(replace(run, finished_at=now, result=RunResult.SUCCEEDED)))


async def test_what_was_traced_is_sent_before_the_end(on: On, collector: Collector) -> None:
    async with on(OTEL_BSP_SCHEDULE_DELAY="60000") as observe:
        one_run(observe)
    (span,) = collector.spans
    assert span.name == "run openai"
    assert span.resource["service.name"] == "rotator"
    (request,) = collector.requests
    assert request.headers["authorization"] == f"Bearer {TOKEN}"


async def test_the_environment_names_the_service(on: On, collector: Collector) -> None:
    async with on(
        OTEL_SERVICE_NAME="flink-keys",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=prod,team=data",
    ) as observe:
        one_run(observe)
    resource = collector.spans[0].resource
    assert resource["service.name"] == "flink-keys"
    assert (resource["deployment.environment.name"], resource["team"]) == ("prod", "data")


async def test_a_sampler_that_takes_none(on: On, collector: Collector) -> None:
    async with on(OTEL_TRACES_SAMPLER="always_off") as observe:
        one_run(observe)
    assert collector.requests == []


async def test_nothing_else_of_the_environment_is_picked_up(
    on: On, collector: Collector, tmp_path: Path
) -> None:
    """A proxy would see the token; a password of .netrc would replace it."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary")
    proxy = f"http://127.0.0.1:{free_port()}"
    async with on(HTTP_PROXY=proxy, http_proxy=proxy, NETRC=str(netrc)) as observe:
        one_run(observe)
    (request,) = collector.requests
    assert request.headers["authorization"] == f"Bearer {TOKEN}"


async def test_compressed(on: On, collector: Collector) -> None:
    async with on(OTEL_EXPORTER_OTLP_COMPRESSION="gzip") as observe:
        one_run(observe)
    assert [span.name for span in collector.spans] == ["run openai"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Reply(500, b"canary-body"), "the collector answers 500"),
        (Reply(503, b"canary-body"), "the collector answers 503"),
        (Reply(401), "the collector answers 401: check OTEL_EXPORTER_OTLP_HEADERS"),
        (HTML, "the answer (200) is HTML, not a collector's: check the endpoint"),
        (
            Reply(302, b"", {"Location": "http://elsewhere.example/canary"}),
            "the collector redirects elsewhere, which is never followed: check the endpoint",
        ),
        (Trouble.HANG, "the collector does not answer in time"),
        (Trouble.RESET, "the collector gives no answer (ConnectionError)"),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_a_trouble_is_one_warning_however_long_it_lasts(
    on: On, collector: Collector, told: Told, fault: Reply | Trouble, words: str
) -> None:
    collector.fail("*", fault, times=None)
    async with on() as observe:
        one_run(observe, "a")
        await until(lambda: bool(told.warnings))
        sent = len(collector.requests)
        one_run(observe, "b")
        await until(lambda: len(collector.requests) > sent)
        collector.faults.clear()
        # What it hangs on now ends by its own time; then what comes later arrives.
        one_run(observe, "c")
        await until(lambda: bool(told.of("traces.restored")))
    assert told.warnings == [words]
    assert TOKEN not in str(told.lines)
    assert "canary" not in str(told.lines)


async def test_a_collector_that_is_down(on: On, told: Told) -> None:
    async with on(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}") as observe:
        one_run(observe)
        await until(lambda: bool(told.warnings))
    assert told.warnings == ["the collector can't be reached: Connection refused"]


async def test_a_collector_that_hangs_holds_up_neither_the_loop_nor_the_end(
    on: On, collector: Collector, told: Told
) -> None:
    collector.fail("*", Trouble.HANG, times=None)
    async with on(OTEL_EXPORTER_OTLP_TIMEOUT="60") as observe:
        one_run(observe)
        await until(lambda: bool(collector.requests))
        for number in range(3000):  # more than the queue holds
            one_run(observe, f"r{number}")
        ended = monotonic()
        # The loop turns while the end waits.
        turns = asyncio.create_task(until(lambda: monotonic() - ended > GRACE / 2))
    assert monotonic() - ended < AT_MOST
    assert turns.done()
    assert told.warnings == [
        "OpenTelemetry says: Queue full, dropping ….",
        f"the collector did not take all of them within {GRACE:g} s",
    ]


async def test_headers_that_are_none_are_not_repeated(on: On, told: Told) -> None:
    async with on(OTEL_EXPORTER_OTLP_HEADERS=f"Bearer {TOKEN}"):
        pass
    (warning,) = told.warnings
    assert warning.startswith("OpenTelemetry says: Header format invalid!")
    assert TOKEN not in str(told.lines)


async def test_settings_that_the_sdk_refuses_end_nothing(on: On, told: Told) -> None:
    async with on(OTEL_BSP_MAX_QUEUE_SIZE="-1") as observe:
        one_run(observe)
    assert told.warnings == [
        "no traces: OpenTelemetry refuses its settings (ValueError): check the variables OTEL_…"
    ]


async def test_the_address_is_shown_without_its_password(
    on: On, collector: Collector, told: Told
) -> None:
    place = collector.url.removeprefix("http://")
    async with on(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://user:{TOKEN}@{place}") as observe:
        one_run(observe)
    assert told.lines == [(logging.INFO, "traces.on", f"http://{place}/v1/traces")]
    assert collector.spans
