"""The series of rotations: their runs, what runs did, and whether they are in time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rotator.config.models import RotationConfig
from rotator.config.ticks import next_after
from rotator.model.events import Event, Listed, Planned, RunFinished, RunStarted, Settled
from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.observe.freshness import Counted, Freshness

_COUNTED = (RunResult.SUCCEEDED, RunResult.FAILED, RunResult.REFUSED)
_RUN_SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
_CHANGE_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 14_400, 86_400)


class RunSeries:
    """An observer that makes these series. Only the process that leads shows the times of runs:
    followers would show old ones."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            "rotator_runs_total",
            "Runs, by how they ended.",
            ["rotation", "result"],
            registry=registry,
        )
        self._seconds = Histogram(
            "rotator_run_duration_seconds",
            "How long runs take.",
            ["rotation"],
            buckets=_RUN_SECONDS,
            registry=registry,
        )
        self._under_way = _gauge(
            registry, "rotator_run_under_way", "Whether a run of the rotation is under way."
        )
        self._last = _gauge(
            registry, "rotator_run_last_timestamp_seconds", "When the last run ended."
        )
        self._last_success = _gauge(
            registry, "rotator_run_last_success_timestamp_seconds", "When the last good run ended."
        )
        self._next = _gauge(
            registry, "rotator_run_next_timestamp_seconds", "When cron is due next."
        )
        self._due = _gauge(
            registry,
            "rotator_run_due_timestamp_seconds",
            "When cron was or is first due after the last good run; absent without a schedule.",
        )
        self._max_age = _gauge(
            registry,
            "rotator_credential_max_age_seconds",
            "The max_age of the rotation; absent where it has none.",
        )
        self._credentials = Counter(
            "rotator_credentials_total",
            "Connections that runs dealt with, by outcome.",
            ["rotation", "target", "outcome"],
            registry=registry,
        )
        self._changes = Counter(
            "rotator_secret_changes_total",
            "Changes of secrets, one for each connection, by whether it was seen READY with it "
            "within 15 minutes.",
            ["rotation", "target", "result"],
            registry=registry,
        )
        self._change_seconds = Histogram(
            "rotator_change_to_ready_seconds",
            "From the change of a secret until a connection was seen READY with it.",
            ["rotation"],
            buckets=_CHANGE_SECONDS,
            registry=registry,
        )
        self._freshness = Freshness()
        self._rules: Mapping[str, RotationConfig] = {}
        self._since: dict[str, datetime] = {}
        """When a rotation was first configured here. No run was due before that."""
        self._times: dict[Gauge, dict[str, datetime]] = {
            gauge: {} for gauge in (self._last, self._last_success, self._next, self._due)
        }
        self._began: dict[str, datetime] = {}
        self._shown = True

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted(run):
                self._began[run.rotation] = run.started_at
                self._under_way.labels(run.rotation).set(1)
            case Planned(_, rotation, changes) if rotation in self._began:
                watched = rotation in self._rules and self._rules[rotation].watch is not None
                for change in changes:
                    self._freshness.planned(
                        rotation, change, self._began[rotation], watched=watched
                    )
            case Listed(rotation, targets, connections):
                present = {(each.target, each.name) for each in connections}
                self._freshness.listed(rotation, targets, present)
            case Settled(outcome):
                self._settled(outcome)
            case RunFinished(run):
                self._finished(run)
            case _:
                pass

    def configured(self, rules: Mapping[str, RotationConfig], now: datetime) -> None:
        for name in self._rules.keys() - rules.keys():
            self._forget(name)
        self._rules = rules
        self._freshness.configured({name: rule.targets for name, rule in rules.items()})
        for name, rule in rules.items():
            self._since.setdefault(name, now)
            for result in _COUNTED:
                self._runs.labels(name, str(result))
            self._seconds.labels(name)
            self._change_seconds.labels(name)
            self._under_way.labels(name)
            for target in rule.targets:
                for outcome in Result:
                    self._credentials.labels(name, target, str(outcome))
                for kept in ("in_time", "late"):
                    self._changes.labels(name, target, kept)
            if rule.max_age is not None:
                self._max_age.labels(name).set(rule.max_age.total_seconds())
            else:
                self._max_age.remove_by_labels({"rotation": name})
            self._update_due(name)

    def restore(self, last: Iterable[Run], good: Iterable[Run]) -> None:
        for gauge, runs in ((self._last, last), (self._last_success, good)):
            for run in runs:
                if run.finished_at is not None:
                    self._at(gauge, run.rotation, run.finished_at)
        for name in self._rules:
            self._update_due(name)

    def next_run(self, rotation: str, due: datetime | None) -> None:
        self._at(self._next, rotation, due)

    def tick(self, now: datetime) -> None:
        """Count the changes that can no longer arrive in time."""
        for late in self._freshness.overdue(now):
            self._count(late)

    def show(self) -> None:
        self._shown = True
        for gauge, times in self._times.items():
            for rotation, at in times.items():
                gauge.labels(rotation).set(at.timestamp())

    def hide(self) -> None:
        """Hide the times of runs: another process leads, and what it does is not seen here."""
        self._shown = False
        self._freshness.clear()
        for gauge in self._times:
            gauge.clear()

    def _at(self, gauge: Gauge, rotation: str, at: datetime | None) -> None:
        if at is None:
            self._times[gauge].pop(rotation, None)
            gauge.remove_by_labels({"rotation": rotation})
            return
        self._times[gauge][rotation] = at
        if self._shown:
            gauge.labels(rotation).set(at.timestamp())

    def _update_due(self, rotation: str) -> None:
        """Sets when the next good run is due."""
        schedule = self._rules[rotation].schedule
        since = self._times[self._last_success].get(rotation, self._since[rotation])
        due = next_after(schedule, since) if schedule is not None else None
        jitter = schedule.jitter if schedule is not None else timedelta(0)
        self._at(self._due, rotation, due + jitter if due is not None else None)

    def _settled(self, outcome: Outcome) -> None:
        run = {"run_id": outcome.run_id}
        counter = self._credentials.labels(outcome.rotation, outcome.target, str(outcome.result))
        counter.inc(exemplar=run)
        counted, took = self._freshness.settled(outcome)
        if took is not None:
            self._change_seconds.labels(outcome.rotation).observe(took, run)
        if counted is not None:
            self._count(counted, run)

    def _count(self, counted: Counted, run: dict[str, str] | None = None) -> None:
        result = "in_time" if counted.in_time else "late"
        self._changes.labels(counted.rotation, counted.target, result).inc(exemplar=run)

    def _finished(self, run: Run) -> None:
        self._began.pop(run.rotation, None)
        self._under_way.labels(run.rotation).set(0)
        if run.result not in _COUNTED or run.finished_at is None:
            return
        exemplar = {"run_id": run.id}
        self._runs.labels(run.rotation, str(run.result)).inc(exemplar=exemplar)
        seconds = (run.finished_at - run.started_at).total_seconds()
        self._seconds.labels(run.rotation).observe(seconds, exemplar)
        self._at(self._last, run.rotation, run.finished_at)
        if run.result is RunResult.SUCCEEDED:
            self._at(self._last_success, run.rotation, run.finished_at)
            if run.rotation in self._rules:
                self._update_due(run.rotation)

    def _forget(self, rotation: str) -> None:
        for times in self._times.values():
            times.pop(rotation, None)
        self._since.pop(rotation, None)
        for metric in (
            self._runs,
            self._seconds,
            self._under_way,
            self._last,
            self._last_success,
            self._next,
            self._due,
            self._max_age,
            self._credentials,
            self._changes,
            self._change_seconds,
        ):
            metric.remove_by_labels({"rotation": rotation})


def _gauge(registry: CollectorRegistry, name: str, text: str) -> Gauge:
    return Gauge(name, text, ["rotation"], registry=registry)
