"""The time during which this process may write."""

from __future__ import annotations

import asyncio

from rotator.ports import Clock


class Term(asyncio.Event):
    """A term of leading. It is set once it is over, and nothing may start after that.

    It checks the clock too: a process that was stopped and goes on finds its term over at its first
    look, before any of its timers fire.
    """

    def __init__(self, clock: Clock, until: float = float("inf")) -> None:
        """`until` is a time of the monotonic clock."""
        super().__init__()
        self._clock = clock
        self._until = until
        self._timer: asyncio.TimerHandle | None = None
        self.extend(until)

    def is_set(self) -> bool:
        return super().is_set() or self._clock.monotonic() >= self._until

    def extend(self, until: float) -> None:
        """Changes the end. A term that is over stays over."""
        if self.is_set():
            return
        self._until = until
        self._cancel()
        if until != float("inf"):
            left = until - self._clock.monotonic()
            self._timer = asyncio.get_running_loop().call_later(left, self.set)

    def set(self) -> None:
        self._cancel()
        super().set()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
