"""The series of each connection, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rotator.model import Connection
from rotator.observe.text import utf8

PHASES = ("READY", "PENDING", "INVALID_AUTH", "UNREACHABLE")
"""Always shown for each connection, beside the one that it is in, if that is another."""


@dataclass(slots=True)
class Series:
    """What is known of one connection."""

    rotation: str
    """The label: who put its credential, or would."""
    listed_by: set[str] = field(default_factory=set)
    """Rotations whose last look held it; without any it is gone."""
    phase: str | None = None
    rotated: float | None = None
    """Seconds since the epoch, as `verified`."""
    verified: float | None = None


class Connections(Collector):
    """Plain values rather than child objects: 5,000 connections have 30,000 series.

    `collect` may run in another thread than the rest.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], Series] = {}
        self._shown = True

    def show(self) -> None:
        self._shown = True

    def hide(self) -> None:
        """Another process looks after them from now on; what was seen last grows old here."""
        self._shown = False
        for series in self._series.values():
            series.phase = None

    def at(self, target: str, name: str, rotation: str) -> Series:
        """Made where it is not known yet."""
        series = self._series.setdefault((target, name), Series(rotation))
        series.listed_by.add(rotation)
        return series

    def listed(
        self, rotation: str, targets: Collection[str], connections: Iterable[Connection]
    ) -> None:
        """All that the rotation matches in these targets; what it matched before is gone."""
        present = {(connection.target, connection.name) for connection in connections}
        self._drop(rotation, lambda key: key[0] in targets and key not in present)
        for connection in connections:
            self.at(connection.target, connection.name, rotation).phase = connection.phase

    def forget(self, rotation: str) -> None:
        self._drop(rotation, lambda _: True)

    def _drop(self, rotation: str, gone: Callable[[tuple[str, str]], bool]) -> None:
        for key, series in list(self._series.items()):
            if rotation in series.listed_by and gone(key):
                series.listed_by.remove(rotation)
                if not series.listed_by:
                    del self._series[key]

    def collect(self) -> Iterator[Metric]:
        phases = GaugeMetricFamily(
            "rotator_connection_phase",
            "1 for the phase that the connection was last seen in.",
            labels=["target", "connection", "phase"],
        )
        rotated = _times(
            "rotator_connection_last_rotated_timestamp_seconds",
            "When the credential that works now was put.",
        )
        verified = _times(
            "rotator_connection_last_verified_timestamp_seconds",
            "When the connection was last seen READY after an update.",
        )
        for (target, connection), series in list(self._series.items()) if self._shown else ():
            place = [target, utf8(connection)]
            if series.phase is not None:
                present = utf8(series.phase)
                for phase in PHASES if present in PHASES else (*PHASES, present):
                    phases.add_metric([*place, phase], float(phase == present))
            if series.rotated is not None:
                rotated.add_metric([*place, series.rotation], series.rotated)
            if series.verified is not None:
                verified.add_metric([*place, series.rotation], series.verified)
        yield from (phases, rotated, verified)


def _times(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["target", "connection", "rotation"])
