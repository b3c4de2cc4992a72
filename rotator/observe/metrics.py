"""Prometheus metrics, from the same events that everybody sees."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rotator import __version__
from rotator.model import (
    Change,
    Event,
    Outcome,
    Planned,
    Record,
    RequestAnswered,
    Result,
    Run,
    RunFinished,
    RunResult,
    Settled,
    SourceRead,
    Verdict,
)

PHASES = ("READY", "PENDING", "INVALID_AUTH", "UNREACHABLE")
"""Always shown for each connection, beside the one that it is in, if that is another."""
_COUNTED = (RunResult.SUCCEEDED, RunResult.FAILED, RunResult.REFUSED)
_RUN_SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
_VERIFY_SECONDS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
_REQUEST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

Key = tuple[str, str]
"""Target and connection."""


class _Connections(Collector):
    """Series of each connection, made when they are asked for.

    Plain dictionaries rather than child objects: 5,000 connections have 30,000 series.
    """

    def __init__(self) -> None:
        self.phases: dict[Key, str] = {}
        self.rotations: dict[Key, str] = {}
        self.rotated: dict[Key, float] = {}
        self.verified: dict[Key, float] = {}

    def forget(self, key: Key) -> None:
        for series in (self.phases, self.rotations, self.rotated, self.verified):
            series.pop(key, None)

    def collect(self) -> Iterator[Metric]:
        phase = GaugeMetricFamily(
            "rotator_connection_phase",
            "1 for the phase that the connection was last seen in.",
            labels=["target", "connection", "phase"],
        )
        for (target, connection), present in list(self.phases.items()):
            shown = PHASES if present in PHASES else (*PHASES, present)
            for name in shown:
                phase.add_metric([target, connection, name], float(name == present))
        yield phase
        yield self._times(
            "rotator_connection_last_rotated_timestamp_seconds",
            "When the credential that works now was put.",
            self.rotated,
        )
        yield self._times(
            "rotator_connection_last_verified_timestamp_seconds",
            "When the connection was last seen READY after an update.",
            self.verified,
        )

    def _times(self, name: str, text: str, series: Mapping[Key, float]) -> Metric:
        family = GaugeMetricFamily(name, text, labels=["target", "connection", "rotation"])
        for key, value in list(series.items()):
            family.add_metric([*key, self.rotations.get(key, "")], value)
        return family


class Metrics:
    """An observer; `registry` is its own, so that nothing of the process mixes in."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._connections = _Connections()
        registry.register(self._connections)
        build = Gauge("rotator_build_info", "What runs.", ["version", "python"], registry=registry)
        build.labels(__version__, platform.python_version()).set(1)
        self._runs = Counter(
            "rotator_runs_total",
            "Runs, by how they ended.",
            ["rotation", "result"],
            registry=registry,
        )
        self._run_seconds = Histogram(
            "rotator_run_duration_seconds",
            "How long runs take.",
            ["rotation"],
            buckets=_RUN_SECONDS,
            registry=registry,
        )
        self._last = self._time("rotator_run_last_timestamp_seconds", "When the last run ended.")
        self._last_success = self._time(
            "rotator_run_last_success_timestamp_seconds", "When the last good run ended."
        )
        self._next = self._time("rotator_run_next_timestamp_seconds", "When cron is due next.")
        self._credentials = Counter(
            "rotator_credentials_total",
            "Connections that runs dealt with, by outcome.",
            ["rotation", "target", "outcome"],
            registry=registry,
        )
        self._verify_seconds = Histogram(
            "rotator_verify_duration_seconds",
            "From the answer to an update until READY was seen.",
            ["target"],
            buckets=_VERIFY_SECONDS,
            registry=registry,
        )
        self._requests = Counter(
            "rotator_target_requests_total",
            "Requests to targets, by status, or `timeout` and `error` where no answer came.",
            ["target", "method", "status"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "rotator_target_request_duration_seconds",
            "How long targets take to answer.",
            ["target", "method"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._throttled = Counter(
            "rotator_target_throttled_total", "Answers of 429.", ["target"], registry=registry
        )
        self._reads = Counter(
            "rotator_source_reads_total",
            "Reads and probes of sources, by result.",
            ["source", "result"],
            registry=registry,
        )
        self._read_seconds = Histogram(
            "rotator_source_read_duration_seconds",
            "How long sources take to answer.",
            ["source"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._reload = Gauge(
            "rotator_config_last_reload_successful",
            "Whether the configuration was taken when it was last read.",
            registry=registry,
        )

    def _time(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["rotation"], registry=self.registry)

    def __call__(self, event: Event) -> None:
        match event:
            case Planned(_, rotation, changes):
                self._planned(rotation, changes)
            case Settled(outcome):
                self._settled(outcome)
            case RunFinished(run):
                self._finished(run)
            case RequestAnswered(target, method, status, seconds):
                self._requests.labels(target, method, status).inc()
                self._request_seconds.labels(target, method).observe(seconds)
                if status == "429":
                    self._throttled.labels(target).inc()
            case SourceRead(source, _, result, seconds):
                self._reads.labels(source, result).inc()
                self._read_seconds.labels(source).observe(seconds)
            case _:
                pass

    # What no event tells

    def configured(self, rotations: Mapping[str, Iterable[str]]) -> None:
        """Rotation → targets. Series of rotations that are gone go with them."""
        for name, targets in rotations.items():
            for result in _COUNTED:
                self._runs.labels(name, str(result))
            self._run_seconds.labels(name)
            for target in targets:
                for outcome in Result:
                    self._credentials.labels(name, target, str(outcome))
                self._throttled.labels(target)
        connections = self._connections
        for key in [key for key, name in connections.rotations.items() if name not in rotations]:
            connections.forget(key)
        for gauge in (self._last, self._last_success, self._next):
            for labels in _labels(gauge):
                if labels[0] not in rotations:
                    gauge.remove(*labels)

    def reloaded(self, *, successful: bool) -> None:
        self._reload.set(successful)

    def next_run(self, rotation: str, due: datetime | None) -> None:
        if due is not None:
            self._next.labels(rotation).set(due.timestamp())

    def restore(self, records: Iterable[Record], last: Iterable[Run], good: Iterable[Run]) -> None:
        """What the ledger knows from before this process."""
        for record in records:
            key = (record.target, record.connection)
            self._connections.rotations[key] = record.rotation
            if record.rotated_at is not None:
                self._connections.rotated[key] = record.rotated_at.timestamp()
            if record.verified_at is not None:
                self._connections.verified[key] = record.verified_at.timestamp()
        for gauge, runs in ((self._last, last), (self._last_success, good)):
            for run in runs:
                if run.finished_at is not None:
                    gauge.labels(run.rotation).set(run.finished_at.timestamp())

    # Events

    def _planned(self, rotation: str, changes: tuple[Change, ...]) -> None:
        """A listing was read: what is no longer in it is gone."""
        seen = {(change.connection.target, change.connection.name): change for change in changes}
        targets = {target for target, _ in seen}
        connections = self._connections
        for key in [key for key, name in connections.rotations.items() if name == rotation]:
            if key not in seen and key[0] in targets:
                connections.forget(key)
        for key, change in seen.items():
            connections.phases[key] = change.connection.phase
            if change.verdict is not Verdict.INVALID:
                connections.rotations[key] = rotation

    def _settled(self, outcome: Outcome) -> None:
        key = (outcome.target, outcome.connection)
        self._credentials.labels(outcome.rotation, outcome.target, str(outcome.result)).inc()
        if outcome.phase is not None:
            self._connections.phases[key] = outcome.phase
        if outcome.result is Result.ROTATED:
            self._connections.rotations[key] = outcome.rotation
            verified = outcome.at.timestamp()
            self._connections.verified[key] = verified
            self._connections.rotated[key] = verified - (outcome.verify_seconds or 0.0)
        if outcome.verify_seconds is not None:
            self._verify_seconds.labels(outcome.target).observe(outcome.verify_seconds)

    def _finished(self, run: Run) -> None:
        if run.result not in _COUNTED or run.finished_at is None:
            return
        self._runs.labels(run.rotation, str(run.result)).inc()
        seconds = (run.finished_at - run.started_at).total_seconds()
        self._run_seconds.labels(run.rotation).observe(seconds)
        self._last.labels(run.rotation).set(run.finished_at.timestamp())
        if run.result is RunResult.SUCCEEDED:
            self._last_success.labels(run.rotation).set(run.finished_at.timestamp())


def _labels(gauge: Gauge) -> list[tuple[str, ...]]:
    return [
        tuple(sample.labels.values()) for family in gauge.collect() for sample in family.samples
    ]
