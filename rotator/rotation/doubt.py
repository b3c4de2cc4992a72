"""What to do after an answer that leaves open what the target holds now. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from rotator.backoff import Backoff
from rotator.errors import TargetError
from rotator.model.connection import Connection
from rotator.rotation.effects import Found
from rotator.rotation.verify import Absence, resend_after

MOST_SENDINGS = 7
"""Sendings in a row whose answers can't be trusted. Reads may lag behind writes, so one look that
shows the old version proves little."""
PAUSES = Backoff(first=0.1, longest=10.0)
"""From an answer that proves nothing to the look at what came of it."""


class Kind(Enum):
    """Which answer it was."""

    LOST = auto()
    """None that can be trusted: the update may have been applied."""
    CONFLICT = auto()
    """The connection changed meanwhile. Sent again as it was, the update would conflict again."""
    REFUSED = auto()
    """Not found: the connection may have been deleted since it was listed."""


class Next(Enum):
    WAIT = auto()
    """Look again later: what the update conflicts with doesn't show yet."""
    RESEND = auto()
    """Send it again as it was."""
    REBASE = auto()
    """Send it again over what is there now. Whose write that is, nobody knows: only an answer of
    the update's own would prove that it is in place."""
    GIVE_UP = auto()
    GONE = auto()
    REPLACED = auto()


@dataclass(slots=True)
class Doubt:
    """All doubts in a row about one update. Times are seconds of a monotonic clock."""

    since: float
    at: float
    """When the last answer came that proved nothing."""
    trouble: TargetError
    kind: Kind
    absence: Absence
    look_at: float = 0.0
    _pauses: int = 0

    def again(self, trouble: TargetError, at: float, kind: Kind) -> None:
        self.trouble, self.at, self.kind = trouble, at, kind
        self.look_later(at)

    def look_later(self, at: float) -> None:
        self._pauses += 1
        self.look_at = at + PAUSES.pause(self._pauses)

    def decide(
        self,
        base: Connection,
        found: Found,
        at: float,
        *,
        timeout: float,
        sendings: int,
    ) -> Next:
        """What follows from a look at what the update of `base` left behind.

        `sendings` are those so far whose answers proved nothing, `timeout` the patience with reads
        that lag behind the write that the update conflicts with.
        """
        repeatable = sendings < MOST_SENDINGS or self._patient(at, timeout)
        if not isinstance(found, TargetError):
            seen = found.get(base.name)
            if seen is None:
                return Next.GONE if self.absence.missed(at) else Next.WAIT
            self.absence.found()
            if not seen.same_as(base):
                return Next.REPLACED
            if self.kind is Kind.REFUSED:
                # Reads may show for a while what was deleted.
                patience = resend_after(self.absence.interval, timeout)
                return Next.WAIT if at - self.at < patience else Next.GIVE_UP
            if seen.moved_since(base):
                return Next.REBASE if repeatable else Next.GIVE_UP
        if self.kind is Kind.REFUSED:
            return Next.WAIT if at - self.at < timeout else Next.GIVE_UP
        if sendings < MOST_SENDINGS:
            return Next.RESEND
        return Next.WAIT if repeatable else Next.GIVE_UP

    def _patient(self, at: float, timeout: float) -> bool:
        """Whether the write that an update conflicts with may still come into sight."""
        return self.kind is Kind.CONFLICT and at - self.since < timeout
