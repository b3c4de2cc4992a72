"""The series of targets: requests, throttling, clocks, and how long updates take to work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rotator.model.events import Event, RequestAnswered, Settled
from rotator.model.run import Outcome

_VERIFY_SECONDS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
REQUEST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class TargetSeries:
    """An observer that makes these series."""

    def __init__(self, registry: CollectorRegistry, now: Callable[[], datetime]) -> None:
        self._now = now
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
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self._throttled = Counter(
            "rotator_target_throttled_total", "Answers of 429.", ["target"], registry=registry
        )
        self._success = Gauge(
            "rotator_target_last_success_timestamp_seconds",
            "When a request to the target was last answered with success.",
            ["target"],
            registry=registry,
        )
        self._skew = Gauge(
            "rotator_target_clock_skew_seconds",
            "How far the target's clock is ahead of ours; less than a second is shown as 0.",
            ["target"],
            registry=registry,
        )
        self._targets: set[str] = set()

    def __call__(self, event: Event) -> None:
        match event:
            case RequestAnswered():
                self._request(event)
            case Settled(outcome):
                self._settled(outcome)
            case _:
                pass

    def configured(self, targets: Iterable[str]) -> None:
        present = set(targets)
        for gone in self._targets - present:
            for metric in (
                self._verify_seconds,
                self._requests,
                self._request_seconds,
                self._throttled,
                self._success,
                self._skew,
            ):
                metric.remove_by_labels({"target": gone})
        self._targets = present
        for target in present:
            self._throttled.labels(target)
            self._verify_seconds.labels(target)

    def _request(self, event: RequestAnswered) -> None:
        run = {"run_id": event.run_id} if event.run_id else None
        self._requests.labels(event.target, event.method, event.status).inc(exemplar=run)
        self._request_seconds.labels(event.target, event.method).observe(event.seconds, run)
        if event.status == "429":
            self._throttled.labels(event.target).inc()
        if event.status.startswith("2"):
            self._success.labels(event.target).set(self._now().timestamp())
        if event.ahead is not None:
            self._skew.labels(event.target).set(event.ahead)

    def _settled(self, outcome: Outcome) -> None:
        if outcome.verify_seconds is not None:
            series = self._verify_seconds.labels(outcome.target)
            series.observe(outcome.verify_seconds, {"run_id": outcome.run_id})
