"""What livez and readyz go by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rotator.model import Event, RequestAnswered, SourceRead
from rotator.schedule import HEARTBEAT

STALLED_AFTER = 6 * HEARTBEAT.total_seconds()
"""Seconds without a heartbeat of the scheduler, after which the process should be restarted."""


@dataclass(slots=True)
class Contacts:
    """An observer that remembers who was ever reached, and when the scheduler last turned."""

    _beat: float
    _reached: set[str] = field(default_factory=set)

    def __call__(self, event: Event) -> None:
        match event:
            case RequestAnswered(target=target, status=status) if status.startswith("2"):
                self._reached.add(f"target {target}")
            case SourceRead(source=source, operation="read" | "probe", result="ok"):
                self._reached.add(f"source {source}")
            case _:
                pass

    def beat(self, monotonic: float) -> None:
        self._beat = monotonic

    def stalled(self, monotonic: float) -> bool:
        return monotonic - self._beat > STALLED_AFTER

    def unreached(self, targets: Iterable[str], sources: Iterable[str]) -> list[str]:
        wanted = [f"target {name}" for name in targets] + [f"source {name}" for name in sources]
        return [place for place in wanted if place not in self._reached]
