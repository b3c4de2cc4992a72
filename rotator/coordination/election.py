"""Decides who leads, without I/O. Times are arguments, in seconds of a monotonic clock.

Our own actions count from when they were sent; those of others, from when they were seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rotator.coordination.lease import Lease, Spec, timestamp

AUTHORITY = 2 / 3
"""Share of the lease: how long after sending a renewal its holder may start something."""
RENEWALS = 6
"""Requests that may hang one after another within one lease."""
LONGEST_POLL = 1.5
"""Seconds between two looks of a follower. They are part of the time that a takeover takes."""


@dataclass(frozen=True, slots=True)
class ReadLease:
    """Read the Lease."""


@dataclass(frozen=True, slots=True)
class WriteLease:
    """Replace `former`, which was seen last; None: create the Lease."""

    spec: Spec
    former: Lease | None


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


Step = ReadLease | WriteLease | Wait


@dataclass(frozen=True, slots=True)
class _Sent:
    spec: Spec
    at: float
    creates: bool


@dataclass(slots=True)
class Election:
    """What one process knows about the Lease, and what it may do."""

    identity: str
    duration: int
    """The length of the lease, in seconds."""
    lease: Lease | None = None
    """The Lease as it was last seen."""
    held: bool = False
    """Whether `lease` shows what this process wrote. Whether it leads also depends on the time."""
    rival: bool = False
    """Another process was seen renewing it, so somebody is alive and leads."""
    _look_at: float | None = 0.0
    """When to look before anything else; None: what is known is good enough to act on."""
    _poll_at: float = 0.0
    _renew_at: float = 0.0
    _leads_from: float = 0.0
    _until: float = 0.0
    _changed_at: float = 0.0
    """When the present spec was first seen."""
    _sent: dict[str, _Sent] = field(default_factory=dict)
    """Writes by the renewal time that they hold: the one that `lease` shows, and later ones with an
    unknown outcome. The name of the holder proves nothing, since two processes may have the
    same."""
    _last_stamp: datetime | None = None

    @property
    def poll(self) -> float:
        return min(LONGEST_POLL, self.duration / 10)

    @property
    def request_deadline(self) -> float:
        return self.duration / RENEWALS

    @property
    def until(self) -> float:
        """When authority ends or ended."""
        return self._until if self.held else 0.0

    def leads(self, now: float) -> bool:
        return self.held and self._leads_from <= now < self._until

    def step(self, now: float, wall: datetime) -> Step:
        """What to do now. A WriteLease counts as sent, whatever happens to it."""
        if self._look_at is not None:
            return ReadLease() if now >= self._look_at else self._wait(now, self._look_at)
        if self.held:
            if now >= self._renew_at:
                return self._renewal(now, wall)
            return self._wait(now, self._renew_at)
        if self.lease is None or not self.lease.spec.holder or now >= self._expires:
            return self._taking(now, wall)
        return (
            ReadLease() if now >= self._poll_at else self._wait(now, self._poll_at, self._expires)
        )

    def _wait(self, now: float, *moments: float) -> Wait:
        """Waits until the first of these, or until leading begins or ends."""
        edges = (self._leads_from, self._until) if self.held else ()
        return Wait(min(moment for moment in (*moments, *edges) if moment > now) - now)

    @property
    def _expires(self) -> float:
        """When the lease of another holder ends. Its length may differ from ours."""
        promised = self.lease.spec.seconds if self.lease else None
        return self._changed_at + (promised or self.duration)

    def _renewal(self, now: float, wall: datetime) -> WriteLease:
        former = self._known()
        spec = replace(former.spec, seconds=self.duration, renewed=self._stamp(wall))
        return self._write(spec, former, now)

    def _taking(self, now: float, wall: datetime) -> WriteLease:
        stamp = self._stamp(wall)
        transitions = 0
        if self.lease is not None:
            transitions = self.lease.spec.transitions + (self.lease.spec.holder != self.identity)
        spec = Spec(self.identity, self.duration, stamp, stamp, transitions)
        return self._write(spec, self.lease, now)

    def release(self, wall: datetime) -> WriteLease | None:
        """Stops leading, after all work has ended. Returns None if there is nothing to release."""
        if not self.held:
            return None
        former, stamp = self._known(), self._stamp(wall)
        self._lose()
        return WriteLease(Spec("", 1, stamp, stamp, former.spec.transitions), former)

    def _write(self, spec: Spec, former: Lease | None, now: float) -> WriteLease:
        self._sent[spec.renewed] = _Sent(spec, now, creates=former is None)
        return WriteLease(spec, former)

    def _known(self) -> Lease:
        if self.lease is None:
            raise AssertionError("a Lease that is held was seen")
        return self.lease

    def _stamp(self, wall: datetime) -> str:
        """A time of renewal that no earlier write had, so that it identifies the write that a Lease
        shows."""
        if self._last_stamp is not None and wall <= self._last_stamp:
            wall = self._last_stamp + timedelta(microseconds=1)
        self._last_stamp = wall
        return timestamp(wall)

    # How a step was answered

    def seen(self, lease: Lease | None, now: float) -> None:
        """A ReadLease or a WriteLease was answered at `now`; None: there is no Lease."""
        former, self.lease = self.lease, lease
        self._look_at, self._poll_at = None, now + self.poll
        if lease is None:
            if self.held:
                self._lose()
            return
        sent = self._sent.get(lease.spec.renewed)
        if sent is not None and sent.spec == lease.spec:
            self._own(sent, now)
        elif former is None or (former.uid, former.spec) != (lease.uid, lease.spec):
            self._lose()
            self.rival = former is not None and lease.spec.holder != ""
            self._changed_at = now
        # Otherwise nobody has written its spec since.

    def _lose(self) -> None:
        # Whatever is still on its way carries a version that is no longer there.
        self.held = False
        self._sent.clear()

    def _own(self, sent: _Sent, now: float) -> None:
        """Leading counts from when the write was sent, even if its own answer was lost."""
        if sent.creates and not self.held:
            # The holder of a deleted Lease may not know yet, and leads until it ends.
            self._leads_from = now + AUTHORITY * self.duration
        elif not self.held:
            self._leads_from = 0.0
        self.held = True
        self._until = sent.at + AUTHORITY * self.duration
        self._renew_at = sent.at + self.duration / RENEWALS
        kept = {key: value for key, value in self._sent.items() if key > sent.spec.renewed}
        self._sent = {sent.spec.renewed: replace(sent, creates=False), **kept}

    def conflicted(self, now: float) -> None:
        """A write was answered with 409: somebody wrote in between, perhaps this process itself."""
        # Not at once: a server that answers every write with a conflict must not be flooded.
        self._look_at = now + self.duration / 150

    def doubt(self, now: float, after: float | None = None) -> None:
        """No answer came that can be trusted: look again, `after` seconds later if the server asks
        for that."""
        self._look_at = now + (self.duration / 15 if after is None else after)
