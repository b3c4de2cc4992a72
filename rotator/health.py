"""What livez and readyz go by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rotator.model import Event, RequestAnswered, SourceRead
from rotator.schedule import HEARTBEAT

STALLED_AFTER = 6 * HEARTBEAT.total_seconds()
"""Seconds without a heartbeat of the scheduler, after which the process should be restarted."""


NOT_KEPT_AFTER = 300.0
"""Seconds without a look at tokens and leases: their credentials are in danger then."""


@dataclass(slots=True)
class Contacts:
    """An observer that remembers who was ever reached, and when the scheduler last turned."""

    _beat: float
    _reached: set[str] = field(default_factory=set)
    _troubles: dict[str, str] = field(default_factory=dict)
    """Source → what it said last, where that was a failure."""
    _kept: float = field(init=False)

    def __post_init__(self) -> None:
        self._kept = self._beat

    def __call__(self, event: Event) -> None:
        match event:
            case RequestAnswered(target=target, status=status) if status.startswith("2"):
                self._reached.add(f"target {target}")
            case SourceRead(source=source, operation="read" | "probe" | "examine", result="ok"):
                self._reached.add(f"source {source}")
                self._troubles.pop(source, None)
            case SourceRead(source=source, reason=reason) if reason:
                self._troubles[source] = reason
            case _:
                pass

    def beat(self, monotonic: float) -> None:
        self._beat = monotonic

    def stalled(self, monotonic: float) -> bool:
        return monotonic - self._beat > STALLED_AFTER

    def kept(self, monotonic: float) -> None:
        """Tokens and leases were tended."""
        self._kept = monotonic

    def neglected(self, monotonic: float) -> bool:
        return monotonic - self._kept > NOT_KEPT_AFTER

    def trouble(self, source: str) -> str | None:
        """What is wrong with a source by its last answer; None: nothing."""
        return self._troubles.get(source)

    def unreached(self, targets: Iterable[str], sources: Iterable[str]) -> list[str]:
        wanted = [f"target {name}" for name in targets] + [f"source {name}" for name in sources]
        return [place for place in wanted if place not in self._reached]
