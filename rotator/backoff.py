"""Pauses between tries: the one backoff of everything that tries again."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_STEPS = 64
"""Steps of growth. By then every pause has reached its longest, and a float can't hold 2 to the
power of 1,024."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that grow with each failure in a row, in seconds."""

    first: float
    longest: float
    factor: float = 2.0

    def pause(self, failures: int, jitter: float = 0.0) -> float:
        """How long to wait after so many failures, 1 being the first.

        `jitter` is the share to take off, from 0 to 1. The caller draws it.
        """
        steps = min(failures - 1, _MOST_STEPS)
        return min(self.longest, self.first * self.factor**steps) * (1.0 - jitter)
