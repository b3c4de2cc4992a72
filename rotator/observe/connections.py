"""The series of each connection, rendered when they are scraped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from rotator.model.events import Event, Listed, Planned, Settled
from rotator.model.plan import Verdict
from rotator.model.record import Record
from rotator.model.run import Outcome, Result
from rotator.observe.text import utf8

PHASES = ("READY", "PENDING", "INVALID_AUTH", "UNREACHABLE")
"""Phases that every connection has a series for, besides the one that it is in."""

_PHASE = (
    "rotator_connection_phase",
    "1 for the phase that the connection was last seen in.",
)
_ROTATED = (
    "rotator_connection_last_rotated_timestamp_seconds",
    "When the credential that works now was put.",
)
_VERIFIED = (
    "rotator_connection_last_verified_timestamp_seconds",
    "When the connection was last seen READY after an update.",
)


@dataclass(slots=True)
class Series:
    """The state behind the series of one connection."""

    rotation: str
    """The value of the label: the rotation that put its credential, or would put it."""
    listed_by: set[str] = field(default_factory=set)
    """Rotations whose last look found it. Without any, it is gone."""
    phase: str | None = None
    rotated: float | None = None
    """Seconds since the epoch, like `verified`."""
    verified: float | None = None
    _written: tuple[object, tuple[str, str, str]] | None = None

    def lines(self, target: str, connection: str) -> tuple[str, str, str]:
        """The rendered line of each metric, in the order of `collect`. Kept, since little changes
        between scrapes."""
        state = (self.rotation, self.phase, self.rotated, self.verified)
        if self._written is None or self._written[0] != state:
            self._written = (state, self._write(_escaped(target), _escaped(connection)))
        return self._written[1]

    def _write(self, target: str, connection: str) -> tuple[str, str, str]:
        phases = ""
        for phase, holds in self.phases():
            labels = f'connection="{connection}",phase="{_escaped(phase)}",target="{target}"'
            phases += f"{_PHASE[0]}{{{labels}}} {float(holds)}\n"
        labels = f'connection="{connection}",rotation="{self.rotation}",target="{target}"'
        rotated, verified = (
            "" if at is None else f"{name}{{{labels}}} {floatToGoString(at)}\n"  # type: ignore[no-untyped-call] # it has no types
            for name, at in ((_ROTATED[0], self.rotated), (_VERIFIED[0], self.verified))
        )
        return phases, rotated, verified

    def phases(self) -> list[tuple[str, bool]]:
        if self.phase is None:
            return []
        known = PHASES if self.phase in PHASES else (*PHASES, self.phase)
        return [(phase, phase == self.phase) for phase in known]


class ConnectionSeries(Collector):
    """An observer. It keeps plain values instead of child objects: 5,000 connections have 30,000
    series.

    Any registry can collect it. rotator itself takes `exposition`, which gives the same bytes in a
    twentieth of the time (measured): a scrape must not hold up a run.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], Series] = {}
        self._rotations: set[str] = set()
        self._shown = True

    def __call__(self, event: Event) -> None:
        match event:
            case Listed():
                self._listed(event)
            case Planned():
                self._planned(event)
            case Settled(outcome):
                self._settled(outcome)
            case _:
                pass

    def configured(self, targets: Mapping[str, Collection[str]]) -> None:
        """Rotation → targets."""
        for rotation in self._rotations:
            self._drop(rotation, partial(_elsewhere, frozenset(targets.get(rotation, ()))))
        self._rotations = set(targets)

    def show(self) -> None:
        self._shown = True

    def hide(self) -> None:
        """Forget the phases that were seen here: another process looks at them from now on."""
        self._shown = False
        for series in self._series.values():
            series.phase = None

    def restore(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.rotation in self._rotations and record.gone_at is None:
                series = self._at(record.target, record.connection, record.rotation)
                series.rotated = record.rotated_at.timestamp() if record.rotated_at else None
                series.verified = record.verified_at.timestamp() if record.verified_at else None

    def _at(self, target: str, name: str, rotation: str) -> Series:
        """The connection, created if it is not known yet."""
        series = self._series.setdefault((target, name), Series(rotation))
        series.listed_by.add(rotation)
        return series

    def _listed(self, event: Listed) -> None:
        """Removes what the rotation matched in these targets before, and no longer does."""
        present = {(connection.target, connection.name) for connection in event.connections}
        self._drop(event.rotation, lambda key: key[0] in event.targets and key not in present)
        for connection in event.connections:
            self._at(connection.target, connection.name, event.rotation).phase = connection.phase

    def _planned(self, event: Planned) -> None:
        for change in event.changes:
            # A connection that several rotations match stays with the one that put its credential.
            if change.verdict is not Verdict.INVALID:
                place = change.connection
                series = self._at(place.target, place.name, event.rotation)
                series.rotation = event.rotation

    def _settled(self, outcome: Outcome) -> None:
        series = self._at(outcome.target, outcome.connection, outcome.rotation)
        if outcome.phase is not None:
            series.phase = outcome.phase
        if outcome.result is Result.ROTATED:
            series.verified = outcome.at.timestamp()
            series.rotated = series.verified - (outcome.verify_seconds or 0.0)

    def _drop(self, rotation: str, gone: Callable[[tuple[str, str]], bool]) -> None:
        for key, series in list(self._series.items()):
            if rotation in series.listed_by and gone(key):
                series.listed_by.remove(rotation)
                if not series.listed_by:
                    del self._series[key]

    def exposition(self) -> bytes:
        """The bytes that an encoder of prometheus_client would make of it, in either format.

        May run in another thread than the rest.
        """
        known = list(self._series.items()) if self._shown else []
        columns = zip(*(series.lines(*key) for key, series in known), strict=True)
        parts = []
        for (name, text), lines in zip(_FAMILIES, columns if known else ((), (), ()), strict=True):
            parts.append(f"# HELP {name} {text}\n# TYPE {name} gauge\n")
            parts.extend(lines)
        return "".join(parts).encode()

    def collect(self) -> Iterator[Metric]:
        phases = GaugeMetricFamily(*_PHASE, labels=["target", "connection", "phase"])
        rotated, verified = (
            GaugeMetricFamily(*family, labels=["target", "connection", "rotation"])
            for family in (_ROTATED, _VERIFIED)
        )
        for (target, name), series in list(self._series.items()) if self._shown else ():
            place = [target, utf8(name)]
            for phase, holds in series.phases():
                phases.add_metric([*place, utf8(phase)], float(holds))
            if series.rotated is not None:
                rotated.add_metric([*place, series.rotation], series.rotated)
            if series.verified is not None:
                verified.add_metric([*place, series.rotation], series.verified)
        yield from (phases, rotated, verified)


def _elsewhere(targets: Collection[str], key: tuple[str, str]) -> bool:
    return key[0] not in targets


_FAMILIES = (_PHASE, _ROTATED, _VERIFIED)


def _escaped(text: str) -> str:
    """Escapes the value of a label.

    https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
    """
    return utf8(text).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
