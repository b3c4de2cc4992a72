"""Who leads, decided without touching anything: seconds of a monotonic clock are arguments.

What this process does counts from when it was sent; what another did, from when it was seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rotator.coordination.lease import Lease, Spec, timestamp

AUTHORITY = 2 / 3
"""Of the lease: how long after the sending of a renewal its holder may start something."""
RENEWALS = 6
"""In one lease, and how many requests may hang after each other in it."""
LONGEST_POLL = 1.5
"""Seconds between two looks of a follower: part of the time that a takeover takes."""


@dataclass(frozen=True, slots=True)
class Look:
    """Read the Lease."""


@dataclass(frozen=True, slots=True)
class Write:
    """Replace `former`, which was seen last; None: create it."""

    spec: Spec
    former: Lease | None


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


Step = Look | Write | Wait


@dataclass(frozen=True, slots=True)
class _Sent:
    spec: Spec
    at: float
    creates: bool


@dataclass(slots=True)
class Election:
    """What one process knows of the Lease, and what it may do for it."""

    identity: str
    duration: int
    """Seconds."""
    lease: Lease | None = None
    """As seen last."""
    held: bool = False
    """`lease` shows what this process wrote. Whether it leads is a matter of time besides."""
    rival: bool = False
    """Another was seen renewing it: somebody is alive and leads."""
    _look_at: float | None = 0.0
    """When to look before anything else is done; None: what is known is good enough to act on."""
    _poll_at: float = 0.0
    _renew_at: float = 0.0
    _leads_from: float = 0.0
    _until: float = 0.0
    _changed_at: float = 0.0
    """When the present spec was first seen."""
    _sent: dict[str, _Sent] = field(default_factory=dict)
    """By the time of renewal that they hold: the write that `lease` shows, and later ones whose
    fate is not known. A holder's name proves nothing, since two processes may have the same."""
    _last_stamp: datetime | None = None

    @property
    def poll(self) -> float:
        return min(LONGEST_POLL, self.duration / 10)

    @property
    def request_deadline(self) -> float:
        return self.duration / RENEWALS

    @property
    def until(self) -> float:
        """When authority ends, or ended."""
        return self._until if self.held else 0.0

    def leads(self, now: float) -> bool:
        return self.held and self._leads_from <= now < self._until

    def step(self, now: float, wall: datetime) -> Step:
        """What to do now. A Write counts as sent, whatever becomes of it."""
        if self._look_at is not None:
            return Look() if now >= self._look_at else self._wait(now, self._look_at)
        if self.held:
            if now >= self._renew_at:
                return self._renewal(now, wall)
            return self._wait(now, self._renew_at)
        if self.lease is None or not self.lease.spec.holder or now >= self._expires:
            return self._taking(now, wall)
        return Look() if now >= self._poll_at else self._wait(now, self._poll_at, self._expires)

    def _wait(self, now: float, *moments: float) -> Wait:
        """Until the first of these, and of those at which leading begins or ends."""
        edges = (self._leads_from, self._until) if self.held else ()
        return Wait(min(moment for moment in (*moments, *edges) if moment > now) - now)

    @property
    def _expires(self) -> float:
        """By what its holder promised, whose lease may be of another length than ours."""
        promised = self.lease.spec.seconds if self.lease else None
        return self._changed_at + (promised or self.duration)

    def _renewal(self, now: float, wall: datetime) -> Write:
        former = self._known()
        spec = replace(former.spec, seconds=self.duration, renewed=self._stamp(wall))
        return self._write(spec, former, now)

    def _taking(self, now: float, wall: datetime) -> Write:
        stamp = self._stamp(wall)
        transitions = 0
        if self.lease is not None:
            transitions = self.lease.spec.transitions + (self.lease.spec.holder != self.identity)
        spec = Spec(self.identity, self.duration, stamp, stamp, transitions)
        return self._write(spec, self.lease, now)

    def release(self, wall: datetime) -> Write | None:
        """After all work has ended; None where there is nothing to release. Leads no more."""
        if not self.held:
            return None
        former, stamp = self._known(), self._stamp(wall)
        self._lose()
        return Write(Spec("", 1, stamp, stamp, former.spec.transitions), former)

    def _write(self, spec: Spec, former: Lease | None, now: float) -> Write:
        self._sent[spec.renewed] = _Sent(spec, now, creates=former is None)
        return Write(spec, former)

    def _known(self) -> Lease:
        if self.lease is None:
            raise AssertionError("a Lease that is held was seen")
        return self.lease

    def _stamp(self, wall: datetime) -> str:
        """Unlike any before it, so that it tells which write a Lease shows."""
        if self._last_stamp is not None and wall <= self._last_stamp:
            wall = self._last_stamp + timedelta(microseconds=1)
        self._last_stamp = wall
        return timestamp(wall)

    # What came of it

    def seen(self, lease: Lease | None, now: float) -> None:
        """The answer to a Look or a Write, and when it came; None: there is no Lease."""
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
        # else nobody wrote its spec since.

    def _lose(self) -> None:
        # Whatever is still on its way carries a version that is no longer there.
        self.held = False
        self._sent.clear()

    def _own(self, sent: _Sent, now: float) -> None:
        """Counts from when it was sent, also where its own answer was lost."""
        if sent.creates and not self.held:
            # Whoever held a Lease that was deleted may not know it yet, and leads for so long.
            self._leads_from = now + AUTHORITY * self.duration
        elif not self.held:
            self._leads_from = 0.0
        self.held = True
        self._until = sent.at + AUTHORITY * self.duration
        self._renew_at = sent.at + self.duration / RENEWALS
        kept = {key: value for key, value in self._sent.items() if key > sent.spec.renewed}
        self._sent = {sent.spec.renewed: replace(sent, creates=False), **kept}

    def conflicted(self, now: float) -> None:
        """A Write was answered with 409: somebody wrote in between, perhaps this process itself."""
        self._look_at = (
            now + self.duration / 150
        )  # so that a server that only conflicts is not beset

    def doubt(self, now: float, after: float | None = None) -> None:
        """No answer that can be trusted: look again, after `after` seconds if it asks for them."""
        self._look_at = now + (self.duration / 15 if after is None else after)
