"""The states of one resource over time: what it was, is, and will be unless it is written again."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Timeline(Generic[T]):
    """Views of one resource, each from a moment on; None means that it does not exist.

    Phases that pass by themselves are written ahead, and reads that lag look back, so neither needs
    a timer.
    """

    __slots__ = ("_moments",)

    def __init__(self) -> None:
        self._moments: list[tuple[float, T | None]] = []

    def at(self, when: float) -> T | None:
        for since, view in reversed(self._moments):
            if since <= when:
                return view
        return None

    def write(self, now: float, *views: tuple[float, T | None], lag: float) -> None:
        """Replaces what comes after `now`, and forgets what no lagging read can see."""
        past = [moment for moment in self._moments if moment[0] <= now]
        horizon = now - lag
        while len(past) > 1 and past[1][0] <= horizon:
            past.pop(0)
        self._moments = [*past, *views]
