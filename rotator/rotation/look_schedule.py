"""When to look at which connections of one target. Pure; times are seconds of a monotonic clock.

One list page answers for 100 connections, so everything that is due is looked at together, and
there is one look at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from rotator.errors import TargetError
from rotator.model.rule import VerificationPolicy
from rotator.rotation.attempt import Attempt
from rotator.rotation.effects import Look, Seen
from rotator.rotation.verify import pauses

PAUSE_WHILE_SENDING = 1.0
"""Seconds at the least between looks while updates leave: they compete for the same requests."""


@dataclass(slots=True)
class LookSchedule:
    target: str
    policy: VerificationPolicy
    trouble: TargetError | None = None
    """Why the last look failed."""
    answered_at: float = float("-inf")
    """When the last update was answered: what was seen before is old."""
    asked_at: float = float("-inf")
    """When the last look began that succeeded."""
    _under_way: bool = False
    _due: float | None = None
    """When to look at what is being verified. None: nothing is."""
    _ramp: list[float] = field(default_factory=list)
    _sending: bool = True
    _failing_since: float | None = None
    _retry_at: float = float("-inf")
    _again_at: float | None = None
    """When to look once more at what works, where that failed just now."""
    _at_verifying: bool = False
    """Whether the look under way is at what is being verified."""

    def begin_stage(self) -> None:
        self._ramp = list(pauses(self.policy.interval))
        self._sending, self._due = True, None

    def due(
        self,
        verifying: Collection[Attempt],
        doubtful: Iterable[Attempt],
        at: float,
        *,
        sending: bool,
    ) -> list[Attempt]:
        """What a look that begins now is to be at; empty: it is not time for one.

        `sending`: whether any update of the stage has still to be answered.
        """
        self._plan(verifying, at, sending=sending)
        if self._under_way:
            return []
        wanted = [a for a in doubtful if a.look_at is not None and a.look_at <= at]
        self._at_verifying = self._due is not None and self._due <= at
        return [*wanted, *verifying] if self._at_verifying else wanted

    def _plan(self, verifying: Collection[Attempt], at: float, *, sending: bool) -> None:
        if not verifying:
            self._due = None
        elif self._due is None or (self._sending and not sending):
            self._due = at + self._pause(sending=sending)
        self._sending = sending

    def _pause(self, *, sending: bool) -> float:
        if sending:
            return max(self.policy.interval, PAUSE_WHILE_SENDING)
        return self._ramp.pop(0) if self._ramp else self.policy.interval

    def look(self, names: Iterable[str]) -> Look:
        self._under_way = True
        return Look(self.target, frozenset(names))

    def answered(self, seen: Seen, at: float) -> None:
        """A look has come back."""
        self._under_way = False
        if isinstance(seen.found, TargetError):
            self.trouble = seen.found
            self._failing_since = at if self._failing_since is None else self._failing_since
            self._retry_at = at + max(self.policy.interval, PAUSE_WHILE_SENDING)
        else:
            self.trouble, self._failing_since = None, None
            self._retry_at, self.asked_at = float("-inf"), seen.asked_at

    def again(self, verifying: Collection[Attempt], at: float) -> None:
        """Plan the next look at what is being verified, after one came back."""
        if not self._at_verifying:
            return
        confirmed = [a.confirming_at for a in verifying]
        if self._sending or not all(when is not None for when in confirmed):
            self._due = at + self._pause(sending=self._sending)
        else:
            # All were seen usable; one more look, an interval later, settles them together.
            last = max((when for when in confirmed if when is not None), default=at)
            due = last + self.policy.interval
            # A look that was due and settled nothing failed, or a replica that lags answered it.
            self._due = due if due > at else at + self.policy.interval

    def unseen(self, attempts: Iterable[Attempt]) -> list[str]:
        """All of them, where any was not part of the last look, or not since the last update."""
        since, wanted = max(self.answered_at, self.asked_at), list(attempts)
        if all(attempt.looked_at >= since for attempt in wanted):
            return []
        return [attempt.key[1] for attempt in wanted]

    def once_more(self, names: Iterable[str], at: float) -> list[Look]:
        """A look at what works already; empty while one is under way, or right after one failed."""
        self._again_at = None
        if self._under_way:
            return []
        if at < self._retry_at:
            self._again_at = self._retry_at
            return []
        return [self.look(names)]

    def gives_up(self, at: float) -> bool:
        """Whether looks have failed for longer than a connection has to become ready."""
        return self._failing_since is not None and at - self._failing_since >= self.policy.timeout

    def wake_at(self, doubtful: Iterable[Attempt]) -> float | None:
        """When the next look is due. None: after something else has happened."""
        if self._under_way:
            return None
        moments = [a.look_at for a in doubtful if a.look_at is not None]
        moments += [at for at in (self._due, self._again_at) if at is not None]
        return min(moments, default=None)
