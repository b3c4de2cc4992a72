"""What is remembered for livez and readyz."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from rotator.daemon.ticker import HEARTBEAT
from rotator.model.events import Event, RequestAnswered, SourceRead, TokenSeen
from rotator.model.source import SourceState
from rotator.ports import Clock

STALLED_AFTER = 6 * HEARTBEAT.total_seconds()
"""Seconds without a heartbeat of the scheduler after which the process should be restarted."""


NOT_KEPT_AFTER = 300.0
"""Seconds without a look at tokens and leases after which their credentials are in danger."""


CLOCKS_PARTED = 300.0
"""Seconds by which the time of day and the monotonic clock may drift apart.

Schedules and leases are calculated by the one and waited for by the other; a restart puts them
right."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """How far the two clocks were apart at the start."""

    _apart: float

    @classmethod
    def of(cls, clock: Clock) -> Clocks:
        return cls(_apart(clock))

    def parted(self, clock: Clock) -> float | None:
        """By how many seconds they drifted apart since, if that is too many."""
        by = abs(_apart(clock) - self._apart)
        return by if by > CLOCKS_PARTED else None


def _apart(clock: Clock) -> float:
    return clock.now().timestamp() - clock.monotonic()


@dataclass(slots=True)
class Contacts:
    """An observer that remembers who was ever reached, and when the scheduler last worked."""

    _beat: float
    _reached: set[str] = field(default_factory=set)
    _states: dict[str, SourceState] = field(default_factory=dict)
    _tokens: dict[str, datetime | None] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _kept: float = field(init=False)

    def __post_init__(self) -> None:
        self._kept = self._beat

    def __call__(self, event: Event) -> None:
        match event:
            case RequestAnswered(target=target, status=status) if status.startswith("2"):
                self._reached.add(f"target {target}")
            case SourceRead(source=source, operation="read" | "probe" | "examine", result="ok"):
                self._reached.add(f"source {source}")
                self._states[source] = SourceState(source, self.now())
            case SourceRead(source=source, reason=reason) if reason:
                known = self._states.get(source) or SourceState(source, None)
                since = known.failing_since or self.now()
                self._states[source] = replace(known, failing_since=since, reason=reason)
            case TokenSeen(source, ends_at):
                self._tokens[source] = ends_at
            case _:
                pass

    def token_ends_at(self, source: str) -> datetime | None:
        """When the source's own token ends. None: never, or it is not known."""
        return self._tokens.get(source)

    def beat(self, monotonic: float) -> None:
        self._beat = monotonic

    def stalled(self, monotonic: float) -> bool:
        return monotonic - self._beat > STALLED_AFTER

    def kept(self, monotonic: float) -> None:
        """Tokens and leases were looked after."""
        self._kept = monotonic

    def neglected(self, monotonic: float) -> bool:
        return monotonic - self._kept > NOT_KEPT_AFTER

    def trouble(self, source: str) -> str | None:
        """What is wrong with a source, by its last answer. None: nothing."""
        state = self._states.get(source)
        return state.reason if state and state.failing_since else None

    def states(self) -> tuple[SourceState, ...]:
        return tuple(self._states.values())

    def unreached(self, targets: Iterable[str], sources: Iterable[str]) -> list[str]:
        wanted = [f"target {name}" for name in targets] + [f"source {name}" for name in sources]
        return [place for place in wanted if place not in self._reached]


WRITTEN_EVERY = timedelta(minutes=1)


def news(written: SourceState | None, state: SourceState) -> bool:
    """Whether a state is worth writing down.

    It is at once if the source begins or ceases to fail or fails for another reason; else it is now
    and then.
    """
    if written is None or (written.failing_since, written.reason) != (
        state.failing_since,
        state.reason,
    ):
        return True
    if state.ok_at is None:
        return False
    return written.ok_at is None or state.ok_at - written.ok_at >= WRITTEN_EVERY
