"""Prometheus metrics, from the same events that every observer gets."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Gauge, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from rotator import __version__
from rotator.config.models import Config, targets_of
from rotator.model.events import Event
from rotator.model.record import Record
from rotator.model.run import Run
from rotator.observe.connections import ConnectionSeries
from rotator.observe.notifications import NotificationSeries
from rotator.observe.runs import RunSeries
from rotator.observe.sources import SourceSeries
from rotator.observe.targets import TargetSeries

_END = b"# EOF\n"
"""The end of an OpenMetrics exposition."""


class Metrics:
    """An observer that keeps all metrics. It has a registry of its own, so that it shows nothing
    else of the process."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        # This would add a series to each counter and histogram that nobody looks at.
        disable_created_metrics()  # type: ignore[no-untyped-call] # it has no types
        self._now = now
        self.registry = registry = CollectorRegistry()
        self.connections = ConnectionSeries()
        build = Gauge("rotator_build_info", "What runs.", ["version", "python"], registry=registry)
        build.labels(__version__, platform.python_version()).set(1)
        self._leader = Gauge(
            "rotator_leader",
            "Whether this process rotates: 1 in one replica, 0 in those that follow it.",
            registry=registry,
        )
        self._coordination = Gauge(
            "rotator_coordination_info",
            "1 where one of several replicas leads: by which Lease.",
            ["lease"],
            registry=registry,
        )
        self._reload = Gauge(
            "rotator_config_last_reload_successful",
            "Whether the configuration was valid when it was last read.",
            registry=registry,
        )
        self._runs = RunSeries(registry)
        self._targets = TargetSeries(registry, now)
        self._sources = SourceSeries(registry, now)
        self._notifications = NotificationSeries(registry)

    def __call__(self, event: Event) -> None:
        for observer in (
            self.connections,
            self._runs,
            self._targets,
            self._sources,
            self._notifications,
        ):
            observer(event)

    def scrape(self, accept: str) -> tuple[bytes, str]:
        """The exposition in the requested format, and its media type.

        May run in another thread than the rest. Raises ValueError or TypeError for an `accept` that
        makes no sense.
        """
        encode, kind = choose_encoder(accept)
        text: bytes = encode(self.registry)
        end = _END if text.endswith(_END) else b""
        return text.removesuffix(end) + self.connections.exposition() + end, kind

    # What no event tells

    def configured(self, config: Config) -> None:
        """Removes the series of rotations, targets and sources that are gone."""
        self.connections.configured(targets_of(config))
        self._runs.configured(config.rotations, self._now())
        self._targets.configured(config.targets)
        self._sources.configured(config.sources, config.rotations)

    def reloaded(self, *, successful: bool) -> None:
        self._reload.set(successful)

    def coordinated(self, lease: str) -> None:
        self._coordination.labels(lease).set(1)

    def leader(self, *, leads: bool) -> None:
        self._leader.set(leads)
        if leads:
            self.connections.show()
            self._runs.show()
            return
        self.connections.hide()
        self._runs.hide()
        self._sources.hide()

    def next_run(self, rotation: str, due: datetime | None) -> None:
        self._runs.next_run(rotation, due)

    def tick(self) -> None:
        """Call this every few seconds."""
        self._runs.tick(self._now())

    def restore(self, records: Iterable[Record], last: Iterable[Run], good: Iterable[Run]) -> None:
        """Takes over what the ledger knows about the configured rotations from before this
        process."""
        self.connections.restore(records)
        self._runs.restore(last, good)
