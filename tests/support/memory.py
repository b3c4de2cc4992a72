"""Ports of the core in memory: targets, sources and a clock that behave like the things.

Endpoints refuse every credential with a value that starts with `bad`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.confluent import types
from rotator.confluent.phases import condition
from rotator.errors import (
    SecretMissing,
    SourceError,
    TargetError,
    TargetRefused,
    UpdateConflict,
)
from rotator.model.connection import Connection
from rotator.model.credential import AuthData, Credential
from rotator.model.events import Event
from rotator.model.lease import Owner
from rotator.model.rule import Rule
from rotator.model.secret import Grant, Probe, Secret, SecretRef
from rotator.model.source import Finding
from rotator.ports import RunContext
from tests.support.memory_ledger import MemoryLedger

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass(slots=True)
class MemoryClock:
    """Sleeping takes no time, but moves the clock on once everything else had its turn."""

    at: float = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        until = self.at + seconds
        for _ in range(50):
            await asyncio.sleep(0)
        self.at = max(self.at, until)


@dataclass(slots=True)
class MemoryTarget:
    name: str = "prod"
    environment: str = "env-1"
    concurrency: int = 4
    held: dict[str, Connection] = field(default_factory=dict)
    puts: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Every update that was applied."""
    unlisted: set[str] = field(default_factory=set)
    """Connections that stand on no page, though they exist."""
    trouble: TargetError | None = None
    """Why no list and no look is answered at present."""
    faults: list[Exception] = field(default_factory=list)
    """What the next updates end with, instead of being applied."""
    look_faults: list[TargetError] = field(default_factory=list)
    """What the next looks end with."""
    gate: asyncio.Event | None = None
    """What updates wait for before they are answered."""
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once an update waits for the gate."""

    def add(self, *names: str, phase: str = "READY", **fields: Any) -> None:
        for name in names:
            made = Connection(
                target=self.name,
                name=name,
                type="OPENAI",
                endpoint="https://api.openai.com/v1",
                phase=phase,
                condition=condition(phase),
                resource_version="1",
                uid=f"uid-{name}",
            )
            self.held[name] = replace(made, **fields)

    def set(self, name: str, phase: str, version: str | None = None) -> None:
        """The connection as it is from now on."""
        now = self.held[name]
        self.held[name] = replace(
            now,
            phase=phase,
            condition=condition(phase),
            resource_version=version or now.resource_version,
        )

    def takes(self, connection_type: str, options: Collection[str]) -> bool:
        return types.fit(connection_type, options) is not None

    def auth_data(self, connection_type: str, values: Mapping[str, str]) -> AuthData:
        return types.auth_data(connection_type, values)

    async def connections(self, connection_type: str | None = None) -> tuple[Connection, ...]:
        await self._answer()
        return tuple(
            each
            for name, each in self.held.items()
            if name not in self.unlisted and connection_type in {None, each.type}
        )

    async def look(self, names: Collection[str]) -> Mapping[str, Connection]:
        return await self.find(names)

    async def find(self, names: Collection[str]) -> Mapping[str, Connection]:
        await self._answer()
        if self.look_faults:
            raise self.look_faults.pop(0)
        return {name: self.held[name] for name in names if name in self.held}

    async def update(self, connection: Connection, credential: Credential) -> str | None:
        await asyncio.sleep(0)
        if self.gate is not None:
            self.waiting.set()
            await self.gate.wait()
        if self.faults:
            raise self.faults.pop(0)
        now = self.held.get(connection.name)
        if now is None:
            raise TargetRefused(self.name, "not found", status=404)
        if now.resource_version != connection.resource_version:
            raise UpdateConflict(self.name, "it changed meanwhile", status=409)
        bad = any(value.startswith("bad") for value in credential.data.values())
        version = str(int(now.resource_version or 0) + 1)
        self.set(connection.name, "INVALID_AUTH" if bad else "READY", version)
        self.puts.append((connection.name, dict(credential.data)))
        return version

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble


@dataclass(slots=True)
class MemorySource:
    name: str = "vault"
    secrets: dict[str, tuple[str, Mapping[str, object]]] = field(default_factory=dict)
    """Path → version and fields."""
    trouble: SourceError | None = None
    owner: Owner | None = None
    read_paths: list[str] = field(default_factory=list)
    """Of each read, those of `read_all` included."""
    made: list[str] = field(default_factory=list)
    """Leases of the credentials that reads made."""
    revoked: list[str] = field(default_factory=list)

    async def read(self, ref: SecretRef) -> Secret:
        await asyncio.sleep(0)
        self.read_paths.append(ref.path)
        if self.trouble is not None:
            raise self.trouble
        version, fields = self._found(ref)
        if not ref.dynamic:
            return Secret(ref, version, fields)
        self.made.append(f"{ref.path}/lease-{len(self.made) + 1}")
        grant = Grant(self.made[-1], 3600.0, renewable=True)
        return Secret(ref, version, fields, lease=grant)

    async def read_all(
        self, refs: Collection[SecretRef]
    ) -> Mapping[SecretRef, Secret | SourceError]:
        answers: dict[SecretRef, Secret | SourceError] = {}
        for ref in refs:
            try:
                answers[ref] = await self.read(ref)
            except SourceError as error:
                answers[ref] = error
        return answers

    async def probe(self, ref: SecretRef) -> Probe:
        assert not ref.dynamic
        if self.trouble is not None:
            raise self.trouble
        version, _ = self._found(ref)
        return Probe(version)

    async def renew(self, lease: str, seconds: float) -> Grant:
        return Grant(lease, seconds, renewable=True)

    async def revoke(self, lease: str) -> None:
        self.revoked.append(lease)

    async def keep_alive(self) -> Owner | None:
        if self.trouble is not None:
            raise self.trouble
        return self.owner

    async def examine(
        self, refs: Collection[SecretRef], watched: Collection[SecretRef]
    ) -> tuple[Finding, ...]:
        return tuple(Finding(f"read {ref.path}") for ref in (*refs, *watched))

    def _found(self, ref: SecretRef) -> tuple[str, Mapping[str, object]]:
        if ref.path not in self.secrets:
            raise SecretMissing(self.name, ref.path, "there is no such secret")
        return self.secrets[ref.path]


def fingerprint(data: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(data.items())).encode()).hexdigest()


@dataclass(slots=True)
class Memory:
    """All that a run works with, in memory."""

    rules: dict[str, Rule]
    targets: dict[str, MemoryTarget]
    sources: dict[str, MemorySource] = field(default_factory=lambda: {"vault": MemorySource()})
    clock: MemoryClock = field(default_factory=MemoryClock)
    events: list[Event] = field(default_factory=list)
    scheduled_since: Callable[[str, datetime, datetime], bool] = lambda *_: False
    adopt_unknown: bool = False
    ledger: MemoryLedger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(self.clock.now)

    @property
    def context(self) -> RunContext:
        return RunContext(
            rules=self.rules,
            targets=self.targets,
            sources=self.sources,
            ledger=self.ledger,
            clock=self.clock,
            observe=self.events.append,
            fingerprint=fingerprint,
            scheduled_since=self.scheduled_since,
            adopt_unknown=self.adopt_unknown,
        )
