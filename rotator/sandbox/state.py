"""The whole state of an emulated Confluent Cloud, without HTTP."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rotator.sandbox.answers import Answer, not_found
from rotator.sandbox.connections import Connections
from rotator.sandbox.faults import FaultPlan
from rotator.sandbox.limits import RateLimiter
from rotator.sandbox.seed import seed_connections
from rotator.sandbox.settings import SandboxSettings, changed
from rotator.sandbox.statements import Statements
from rotator.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Environment:
    connections: Connections
    statements: Statements


@dataclass(slots=True)
class Counters:
    """What the clients did."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(method, status) → count. A request without an answer has the status `reset` or `hang`, or
    `gone` if the client left before the answer was sent."""
    updates: Counter[str] = field(default_factory=Counter)
    """Updates that were applied, by `environment/connection`."""
    update_order: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=100_000))
    """The last of them, each with its time."""
    faults: Counter[str] = field(default_factory=Counter)
    lists: int = 0
    """Requests for a page of connections or statements."""
    in_flight: int = 0
    peak_in_flight: int = 0

    def updated(self, connection: str, now: float) -> None:
        self.updates[connection] += 1
        self.update_order.append((now, connection))

    @property
    def throttled(self) -> int:
        return sum(count for (_, status), count in self.requests.items() if status == "429")

    def document(self) -> Mapping[str, object]:
        requests: dict[str, dict[str, int]] = {}
        for (method, status), count in sorted(self.requests.items()):
            requests.setdefault(method, {})[status] = count
        return {
            "requests": requests,
            "updates": dict(self.updates),
            "update_order": [connection for _, connection in self.update_order],
            "lists": self.lists,
            "throttled": self.throttled,
            "faults": dict(self.faults),
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
        }

    def clear(self) -> None:
        self.requests.clear()
        self.updates.clear()
        self.update_order.clear()
        self.lists = 0
        self.faults.clear()
        self.peak_in_flight = self.in_flight


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived, for tests that check requests against the contract."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)


class SandboxState:
    def __init__(
        self,
        settings: SandboxSettings | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Raises pydantic.ValidationError for settings out of range."""
        settings = changed(settings or SandboxSettings(), {})
        self._world = World(settings, now)
        self.now = now
        self.environments: dict[str, Environment] = {}
        self.faults = FaultPlan(settings.seed)
        for fault in settings.orders:
            self.faults.order(fault)
        self.limiter = RateLimiter()
        self.counters = Counters()
        self.recorder: Callable[[Received], None] | None = None
        """Called with each request that passes the rate limit and the faults."""
        self.answer_recorder: Callable[[Received, Answer], None] | None = None
        """Called with each of these and the API's own answer, before a fault changes it."""
        for name in settings.environments:
            self.add_environment(name)
        if settings.connections:
            first = self.environments[settings.environments[0]].connections
            self.seed(first, settings.connections, settings.types)

    @property
    def settings(self) -> SandboxSettings:
        return self._world.settings

    def change(self, **changes: Any) -> None:
        """Replaces settings from now on. Raises pydantic.ValidationError."""
        self._world.settings = changed(self._world.settings, changes)

    def add_environment(self, name: str) -> Environment:
        environment = Environment(Connections(self._world), Statements(self._world, name))
        return self.environments.setdefault(name, environment)

    def environment(self, name: str) -> Environment:
        """Raises ApiError."""
        found = self.environments.get(name)
        if found is None:
            raise not_found(f"environment {name} does not exist")
        return found

    def connections(self, environment: str | None = None) -> Connections:
        """The connections of one environment; of the first if none is named."""
        return self.environment(environment or next(iter(self.environments))).connections

    def statements(self, environment: str | None = None) -> Statements:
        return self.environment(environment or next(iter(self.environments))).statements

    def seed(
        self, connections: Connections, count: int, types: Iterable[str] = ()
    ) -> tuple[str, ...]:
        """Makes so many connections that settled long ago. Returns their names."""
        return seed_connections(connections, self._world, count, tuple(types))
