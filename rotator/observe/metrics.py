"""Prometheus metrics, from the same events that everybody sees."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rotator import __version__
from rotator.model import (
    Event,
    HeldLease,
    LeaseChanged,
    LeasesSeen,
    LeaseState,
    Notified,
    Occasion,
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
    TokenSeen,
    Verdict,
)
from rotator.observe.connections import Connections

_COUNTED = (RunResult.SUCCEEDED, RunResult.FAILED, RunResult.REFUSED)
_DELIVERIES = ("sent", "failed", "dropped")
_RUN_SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
_VERIFY_SECONDS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
_REQUEST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """An observer; `registry` is its own, so that nothing of the process mixes in."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._connections = Connections()
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
        self._source_success = self._of_source(
            "rotator_source_last_success_timestamp_seconds",
            "When a source was last read or probed with success.",
        )
        self._tokens = self._of_source(
            "rotator_source_token_expiry_timestamp_seconds",
            "When the source's own token ends unless it is renewed; absent where it never does.",
        )
        self._lease_expiry = Gauge(
            "rotator_lease_expiry_timestamp_seconds",
            "When the first of the leases that are in use ends unless it is renewed.",
            ["source", "rotation"],
            registry=registry,
        )
        self._leases = Gauge(
            "rotator_leases",
            "Leases by state: live, retired (to be revoked), asked (its answer was lost).",
            ["source", "rotation", "state"],
            registry=registry,
        )
        self._lease_changes = Counter(
            "rotator_lease_changes_total",
            "What became of leases: made, renewed, retired, revoked, and what failed of it.",
            ["source", "rotation", "change"],
            registry=registry,
        )
        self._notifications = Counter(
            "rotator_notifications_total",
            "Notifications to webhooks: sent, failed (given up), dropped (too many before them).",
            ["event", "result"],
            registry=registry,
        )
        for occasion in Occasion:
            for result in _DELIVERIES:
                self._notifications.labels(str(occasion), result)
        self._leader = Gauge(
            "rotator_leader",
            "Whether this process rotates: 1 in one replica, 0 in those that follow it.",
            registry=registry,
        )
        self._reload = Gauge(
            "rotator_config_last_reload_successful",
            "Whether the configuration was taken when it was last read.",
            registry=registry,
        )
        self._configured: set[str] = set()
        self._of_rotations = (
            self._runs,
            self._run_seconds,
            self._last,
            self._last_success,
            self._next,
            self._credentials,
            self._lease_changes,
        )

    def _time(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["rotation"], registry=self.registry)

    def _of_source(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["source"], registry=self.registry)

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                self._planned(event)
            case Settled(outcome):
                self._settled(outcome)
            case RunFinished(run):
                self._finished(run)
            case RequestAnswered(target, method, status, seconds):
                self._requests.labels(target, method, status).inc()
                self._request_seconds.labels(target, method).observe(seconds)
                if status == "429":
                    self._throttled.labels(target).inc()
            case SourceRead():
                self._read(event)
            case TokenSeen(source, ends_at) if ends_at is not None:
                self._tokens.labels(source).set(ends_at.timestamp())
            case TokenSeen(source):
                self._tokens.remove_by_labels({"source": source})
            case LeasesSeen(leases):
                self._leases_seen(leases)
            case LeaseChanged(lease, what):
                self._lease_changes.labels(lease.ref.source, lease.rotation, what).inc()
            case Notified(occasion=occasion, result=result) if result in _DELIVERIES:
                self._notifications.labels(str(occasion), result).inc()
            case _:
                pass

    # What no event tells

    def configured(self, rotations: Mapping[str, Iterable[str]]) -> None:
        """Rotation → targets. Series of rotations that are gone go with them."""
        for name in self._configured - rotations.keys():
            self._connections.forget(name)
            for metric in self._of_rotations:
                metric.remove_by_labels({"rotation": name})
        self._configured = set(rotations)
        for name, targets in rotations.items():
            for result in _COUNTED:
                self._runs.labels(name, str(result))
            self._run_seconds.labels(name)
            for target in targets:
                for outcome in Result:
                    self._credentials.labels(name, target, str(outcome))
                self._throttled.labels(target)

    def reloaded(self, *, successful: bool) -> None:
        self._reload.set(successful)

    def leader(self, *, leads: bool) -> None:
        """Connections, tokens and leases are shown by the process that looks after them alone."""
        self._leader.set(leads)
        if leads:
            self._connections.show()
            return
        self._connections.hide()
        for gauge in (self._tokens, self._lease_expiry, self._leases):
            gauge.clear()

    def next_run(self, rotation: str, due: datetime | None) -> None:
        if due is not None:
            self._next.labels(rotation).set(due.timestamp())
        else:
            self._next.remove(rotation)

    def restore(self, records: Iterable[Record], last: Iterable[Run], good: Iterable[Run]) -> None:
        """What the ledger knows from before this process, of the rotations that are configured."""
        for record in records:
            if record.rotation not in self._configured:
                continue
            series = self._connections.at(record.target, record.connection, record.rotation)
            series.rotated = record.rotated_at.timestamp() if record.rotated_at else None
            series.verified = record.verified_at.timestamp() if record.verified_at else None
        for gauge, runs in ((self._last, last), (self._last_success, good)):
            for run in runs:
                if run.finished_at is not None:
                    gauge.labels(run.rotation).set(run.finished_at.timestamp())

    # Events

    def _planned(self, event: Planned) -> None:
        connections = [change.connection for change in event.changes]
        targets = event.listed | {connection.target for connection in connections}
        self._connections.listed(event.rotation, targets, connections)
        for change in event.changes:
            # One that several rotations claim stays with the one that put its credential.
            if change.verdict is not Verdict.INVALID:
                place = change.connection
                self._connections.at(
                    place.target, place.name, event.rotation
                ).rotation = event.rotation

    def _read(self, event: SourceRead) -> None:
        self._reads.labels(event.source, event.result).inc()
        self._read_seconds.labels(event.source).observe(event.seconds)
        if event.result == "ok" and event.operation in {"read", "probe"}:
            self._source_success.labels(event.source).set_to_current_time()

    def _leases_seen(self, held: tuple[HeldLease, ...]) -> None:
        """Set anew as a whole: a lease that is gone takes its series with it."""
        self._lease_expiry.clear()
        self._leases.clear()
        for lease in held:
            place = (lease.ref.source, lease.rotation)
            self._leases.labels(*place, str(lease.state)).inc()
        for place, ends in _first_ends(held).items():
            self._lease_expiry.labels(*place).set(ends.timestamp())

    def _settled(self, outcome: Outcome) -> None:
        self._credentials.labels(outcome.rotation, outcome.target, str(outcome.result)).inc()
        series = self._connections.at(outcome.target, outcome.connection, outcome.rotation)
        if outcome.phase is not None:
            series.phase = outcome.phase
        if outcome.result is Result.ROTATED:
            series.verified = outcome.at.timestamp()
            series.rotated = series.verified - (outcome.verify_seconds or 0.0)
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


def _first_ends(held: Iterable[HeldLease]) -> Mapping[tuple[str, str], datetime]:
    """The next end of a live lease, or of the token that it dies with, by source and rotation."""
    ends: dict[tuple[str, str], datetime] = {}
    for lease in held:
        known = [end for end in (lease.expires_at, lease.owner_ends_at) if end is not None]
        if lease.state is LeaseState.LIVE and known:
            place = (lease.ref.source, lease.rotation)
            ends[place] = min([*known, ends[place]] if place in ends else known)
    return ends
