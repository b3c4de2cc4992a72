"""The connections of one environment."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from urllib.parse import urlsplit
from uuid import uuid4

from rotator.sandbox.answers import ApiError, bad_request, conflict, not_found
from rotator.sandbox.paging import PageRequest
from rotator.sandbox.settings import SandboxSettings
from rotator.sandbox.timeline import Timeline
from rotator.sandbox.vendors import can_authenticate
from rotator.sandbox.world import World, check_name, own_address, render, timestamp

REDACTED = "<REDACTED>"
PLAINTEXT = "PlaintextProvider"
COLLECTION = "connections"


@dataclass(frozen=True, slots=True)
class StoredConnection:
    name: str
    type: str
    endpoint: str
    data: Mapping[str, str] = field(repr=False)
    uid: str
    created_at: float
    updated_at: float
    version: str
    phase: str
    detail: str = ""
    rendered: bytes = field(init=False, repr=False, compare=False)
    """As read and list show it, without the address: see world.at_address."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", MappingProxyType(dict(self.data)))
        object.__setattr__(self, "rendered", render(self._document()))

    def _document(self) -> Mapping[str, object]:
        return {
            "api_version": "sql/v1",
            "kind": "Connection",
            "metadata": {
                "self": own_address(COLLECTION, self.name),
                "uid": self.uid,
                "resource_version": self.version,
                "created_at": timestamp(self.created_at),
                "updated_at": timestamp(self.updated_at),
            },
            "name": self.name,
            "spec": {
                "connection_type": self.type,
                "endpoint": self.endpoint,
                "auth_data": {"kind": PLAINTEXT, "data": REDACTED},
            },
            "status": {"phase": self.phase, "detail": self.detail},
        }


@dataclass(frozen=True, slots=True)
class SettledPhase:
    phase: str
    detail: str


def judge(
    settings: SandboxSettings, connection_type: str, endpoint: str, data: Mapping[str, str]
) -> SettledPhase:
    """The phase that a connection with this credential settles in."""
    unreachable = _unreachable(settings, endpoint)
    if unreachable:
        return unreachable
    if not can_authenticate(connection_type, data) or not settings.accept.accepts(data):
        return SettledPhase("INVALID_AUTH", "The endpoint refused the credential")
    return SettledPhase(settings.ready_phase, settings.ready_detail)


def _unreachable(settings: SandboxSettings, endpoint: str) -> SettledPhase | None:
    if not any(fnmatchcase(endpoint, glob) for glob in settings.unreachable):
        return None
    return SettledPhase("UNREACHABLE", f"Lookup failed: {urlsplit(endpoint).hostname or endpoint}")


def credential_digest(data: Mapping[str, str]) -> str:
    """SHA-256 of a credential as canonical JSON, so that tests can compare without values."""
    canonical = json.dumps(dict(data), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


class Connections:
    """The connections. They raise ApiError. Reads lag as configured; writes see the present."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._timelines: dict[str, Timeline[StoredConnection]] = {}
        self._names: list[str] = []

    def read(self, name: str) -> StoredConnection:
        found = self._seen(name, self._world.now() - self._world.settings.lag)
        if found is None:
            raise _unknown(name)
        return found

    def current(self, name: str) -> StoredConnection:
        """The connection as it is now, without lag."""
        found = self._seen(name, self._world.now())
        if found is None:
            raise _unknown(name)
        return found

    def names(self) -> tuple[str, ...]:
        now = self._world.now()
        return tuple(name for name in self._names if self._seen(name, now))

    def page(
        self, request: PageRequest, connection_type: str | None = None
    ) -> tuple[list[StoredConnection], bool]:
        """One page in the order of names, and whether more follow."""
        when = self._world.now() - self._world.settings.lag
        found: list[StoredConnection] = []
        for name in self._names[bisect_right(self._names, request.after) :]:
            connection = self._timelines[name].at(when)
            if connection is None or connection_type not in {None, connection.type}:
                continue
            if len(found) == request.size:
                return found, True
            found.append(connection)
        return found, False

    def before(self, name: str) -> StoredConnection | None:
        """The connection before this one, for pages that shift while they are read."""
        index = bisect_right(self._names, name) - 1
        return self._seen(self._names[index], self._world.now()) if index >= 0 else None

    def create(
        self, name: str, connection_type: str, endpoint: str, data: Mapping[str, str]
    ) -> StoredConnection:
        now = self._world.now()
        phase = self._world.settings.settling_phase or "PENDING"
        new = self._new(name, connection_type, endpoint, data, at=now, phase=phase)
        return self._settle(new, now)

    def furnish(
        self, name: str, connection_type: str, endpoint: str, data: Mapping[str, str], since: float
    ) -> None:
        """Make a connection that has existed since then, with a credential that was accepted."""
        settings = self._world.settings
        verdict = _unreachable(settings, endpoint)
        phase = verdict.phase if verdict else settings.ready_phase
        new = self._new(name, connection_type, endpoint, data, at=since, phase=phase)
        self._write(name, since, (since, new))

    def _new(
        self,
        name: str,
        connection_type: str,
        endpoint: str,
        data: Mapping[str, str],
        *,
        at: float,
        phase: str,
    ) -> StoredConnection:
        check_name(name)
        if self._seen(name, self._world.now()):
            raise ApiError(
                409, "resource_already_exists", "Conflict", f"connection {name} already exists"
            )
        if name not in self._timelines:
            self._timelines[name] = Timeline()
            insort(self._names, name)
        return StoredConnection(
            name=name,
            type=connection_type,
            endpoint=endpoint,
            data=data,
            uid=str(uuid4()),
            created_at=at,
            updated_at=at,
            version=self._world.next_version(),
            phase=phase,
        )

    def update(self, name: str, data: Mapping[str, str], version: str | None) -> StoredConnection:
        """Replaces the whole credential. Raises a conflict if `version` is not the present one."""
        now = self._world.now()
        old = self.current(name)
        if version is not None and version != old.version:
            raise conflict(
                f"metadata.resource_version is {version}, but connection {name} is at {old.version}"
            )
        settings = self._world.settings
        new = replace(old, data=data, updated_at=now, version=self._world.next_version())
        settling = new
        if settings.settling_phase is not None:
            settling = replace(new, phase=settings.settling_phase, detail="")
        if settings.phase_lag <= 0:
            return self._settle(settling, now)
        return self._settle(settling, now + settings.phase_lag, (now, new))

    def delete(self, name: str) -> None:
        self.current(name)
        now = self._world.now()
        self._write(name, now, (now, None))

    def force_phase(self, name: str, phase: str, detail: str) -> None:
        """Changes the phase, as a vendor would: nothing is written, so there is no new version."""
        now = self._world.now()
        forced = replace(self.current(name), phase=phase, detail=detail)
        self._write(name, now, (now, forced))

    def _settle(
        self,
        first: StoredConnection,
        begins: float,
        *before: tuple[float, StoredConnection],
    ) -> StoredConnection:
        """Write what the connection shows: `before` it begins to settle, while it settles, and once
        its phase is decided. Returns the first of these."""
        settings = self._world.settings
        verdict = judge(settings, first.type, first.endpoint, first.data)
        last = replace(first, phase=verdict.phase, detail=verdict.detail)
        decided = begins + settings.settle
        if settings.settled_updated_at and decided > first.updated_at:
            last = replace(last, updated_at=decided)
        if settings.settled_version and decided > first.updated_at:
            last = replace(last, version=self._world.next_version())
        views = [*before, (decided, last)]
        if settings.settle > 0:
            views.insert(-1, (begins, first))
        self._write(first.name, first.updated_at, *views)
        return views[0][1]

    def _write(self, name: str, now: float, *views: tuple[float, StoredConnection | None]) -> None:
        self._timelines[name].write(now, *views, lag=self._world.settings.lag)

    def _seen(self, name: str, when: float) -> StoredConnection | None:
        timeline = self._timelines.get(name)
        return timeline.at(when) if timeline else None


def _unknown(name: str) -> ApiError:
    return not_found(f"connection {name} does not exist")


def parse_auth_data(text: str) -> Mapping[str, str]:
    """`spec.auth_data.data`: a JSON object of strings, written as a string."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise bad_request(
            "spec.auth_data.data must be a JSON object of strings, encoded as a string",
            "/spec/auth_data/data",
        )
    return data
