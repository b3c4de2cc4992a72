"""The names of rotator's metrics as Prometheus stores them, each with its labels."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics import Counter, Histogram, MetricWrapperBase

from rotator.observe.metrics import Metrics

OF_A_SCRAPE = frozenset({"namespace", "job", "instance"})
"""Labels that Prometheus puts on each series."""


def described() -> dict[str, frozenset[str]]:
    """Asks the registry itself: a metric shows here before it has a series."""
    metrics = Metrics()
    found = dict(_registered(metrics))
    for family in metrics.connections.collect():
        found[family.name] = frozenset(family._labelnames)  # type: ignore[attr-defined] # of a family that was made with labels
    return found


def _registered(metrics: Metrics) -> Iterator[tuple[str, frozenset[str]]]:
    for collector in metrics.registry._collector_to_names:
        assert isinstance(collector, MetricWrapperBase)
        labels = frozenset(collector._labelnames)
        match collector:
            case Histogram():
                yield f"{collector._name}_bucket", labels | {"le"}
                yield f"{collector._name}_sum", labels
                yield f"{collector._name}_count", labels
            case Counter():
                yield f"{collector._name}_total", labels
            case _:
                yield collector._name, labels
