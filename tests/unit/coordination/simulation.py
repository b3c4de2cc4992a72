"""Several elections against one Lease, in time that only the simulation moves.

Requests and answers take their time, are lost, or arrive long after their sender gave up; processes
are paused; their clocks start anywhere and show any time of day. At every instant it is checked
that not more than one of them leads.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from rotator.coordination.election import Election, ReadLease, Step, Wait, WriteLease
from rotator.coordination.lease import Lease

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass(slots=True)
class Store:
    """One Lease as the API server keeps it: optimistic locking by uid and resource version."""

    lease: Lease | None = None
    _version: int = 0
    _uid: int = 0

    def next_version(self) -> str:
        self._version += 1
        return str(self._version)

    def write(self, write: WriteLease) -> Lease | None:
        """None: 409."""
        if write.former is None:
            if self.lease is not None:
                return None
            self._uid += 1
            self.lease = Lease(write.spec, f"uid-{self._uid}", self.next_version())
            return self.lease
        present = self.lease
        if present is None or (present.uid, present.version) != (
            write.former.uid,
            write.former.version,
        ):
            return None
        self.lease = replace(present, spec=write.spec, version=self.next_version())
        return self.lease

    def touch(self) -> None:
        """Somebody changes a label."""
        if self.lease is not None:
            self.lease = replace(self.lease, version=self.next_version())

    def delete(self) -> None:
        self.lease = None


@dataclass(frozen=True, slots=True)
class Weather:
    """How likely each fault is, for each request; and how long a way takes, in seconds."""

    lost_request: float = 0.0
    lost_answer: float = 0.0
    late: float = 0.0
    way: float = 0.02
    longest_delay: float = 20.0


@dataclass(slots=True)
class Node:
    election: Election
    started_at: float
    """What its monotonic clock shows when the simulation begins."""
    wall_ahead: timedelta
    alive: bool = True
    cut_off: bool = False
    paused_until: float = 0.0
    request: int = 0
    """The one whose answer is waited for; a late answer to another is nobody's."""


@dataclass(slots=True)
class World:
    random: Random
    weather: Weather = Weather()
    store: Store = field(default_factory=Store)
    now: float = 0.0
    nodes: list[Node] = field(default_factory=list)
    led: list[tuple[float, int | None]] = field(default_factory=list)
    """Who led from when on."""
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _count: itertools.count[int] = field(default_factory=itertools.count)

    def add(self, identity: str, duration: int = 15, at: float = 0.0) -> Node:
        node = Node(
            Election(identity, duration),
            self.random.uniform(0, 1e6),
            timedelta(seconds=self.random.uniform(-1e5, 1e5)),
        )
        self.nodes.append(node)
        self.at(at, lambda: self._turn(node))
        return node

    def at(self, when: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._count), do))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            when, _, do = heapq.heappop(self._events)
            # Authority may begin or end between two events.
            for instant in (when - 1e-6, when):
                self.now = max(self.now, instant)
                self._check()
            do()
            self._check()
        self.now = until

    @property
    def leaders(self) -> list[int]:
        return [
            index
            for index, node in enumerate(self.nodes)
            if node.alive and node.election.leads(self._local(node))
        ]

    def _check(self) -> None:
        leaders = self.leaders
        assert len(leaders) <= 1, f"{leaders} lead at {self.now}"
        leader = leaders[0] if leaders else None
        if not self.led or self.led[-1][1] != leader:
            self.led.append((self.now, leader))

    def _local(self, node: Node) -> float:
        return node.started_at + self.now

    def _when_awake(self, node: Node, do: Callable[[], None]) -> None:
        """What a paused process finds when it goes on."""
        if not node.alive:
            return
        if self.now < node.paused_until:
            self.at(node.paused_until, lambda: self._when_awake(node, do))
            return
        do()

    def _turn(self, node: Node) -> None:
        self._when_awake(node, lambda: self._step(node))

    def _step(self, node: Node) -> None:
        wall = NOON + timedelta(seconds=self.now) + node.wall_ahead
        step = node.election.step(self._local(node), wall)
        if isinstance(step, Wait):
            assert step.seconds > 0
            self.at(self.now + step.seconds, lambda: self._turn(node))
        else:
            self._send(node, step)

    def _send(self, node: Node, step: ReadLease | WriteLease) -> None:
        weather, chance = self.weather, self.random.random
        node.request = request = next(self._count)
        gives_up = self.now + node.election.request_deadline
        self.at(gives_up, lambda: self._when_awake(node, lambda: self._give_up(node, request)))
        if node.cut_off or chance() < weather.lost_request:
            return
        delay = self.random.uniform(0, weather.way)
        if chance() < weather.late:
            delay = self.random.uniform(0, weather.longest_delay)
        answered = not (chance() < weather.lost_answer)
        self.at(self.now + delay, lambda: self._arrive(node, step, request, answered=answered))

    def _arrive(self, node: Node, step: Step, request: int, *, answered: bool) -> None:
        lease = self.store.lease if isinstance(step, ReadLease) else None
        conflict = False
        if isinstance(step, WriteLease):
            lease = self.store.write(step)
            conflict = lease is None
        if not answered or node.cut_off:
            return
        back = self.now + self.random.uniform(0, self.weather.way)

        def take() -> None:
            if node.request != request:
                return
            node.request = -1
            if conflict:
                node.election.conflicted(self._local(node))
            else:
                node.election.seen(lease, self._local(node))
            self._turn(node)

        self.at(back, lambda: self._when_awake(node, take))

    def _give_up(self, node: Node, request: int) -> None:
        if node.request == request:
            node.request = -1
            node.election.doubt(self._local(node))
            self._turn(node)

    # What happens to processes

    def release(self, node: Node) -> None:
        """An orderly end."""
        write = node.election.release(NOON + timedelta(seconds=self.now))
        node.alive = False
        if write is not None:
            self.store.write(write)

    def led_by(self, since: float) -> set[int | None]:
        before = [who for when, who in self.led if when <= since][-1:]
        return {*before, *(who for when, who in self.led if when > since)}
