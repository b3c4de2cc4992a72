"""Builds the edges of a configuration, for the daemon and for commands.

A vendor's library is imported when the configuration has a source of its kind.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from rotator.config.models import (
    BasicAuth,
    Config,
    FromSecret,
    LedgerConfig,
    Reference,
    SourceConfig,
    TargetConfig,
)
from rotator.config.references import resolve_local
from rotator.config.rules import rules
from rotator.confluent.authorization import Authorization, basic, bearer
from rotator.confluent.client import Authorize, FlinkTarget
from rotator.confluent.settings import TargetSettings
from rotator.errors import SourceError, ValueUnavailable
from rotator.ledger import FingerprintKey, SqlLedger, fingerprint_key
from rotator.model.events import Event
from rotator.model.secret import SecretRef
from rotator.ports import Clock, Observer, RunContext, Source
from rotator.sources import open_source
from rotator.sources.threads import ThreadedSource


def fan_out(*observers: Observer) -> Observer:
    """One observer for many."""

    def observe(event: Event) -> None:
        for observer in observers:
            observer(event)

    return observe


@dataclass(frozen=True, slots=True)
class Values:
    """The values that references of the configuration lead to, read again at every use."""

    sources: Mapping[str, Source]

    async def resolve(self, reference: Reference, key: str) -> str:
        """Raises ValueUnavailable, which names the key."""
        if not isinstance(reference, FromSecret):
            return resolve_local(reference, key)
        place = reference.secret
        ref = SecretRef(place.source, place.path, place.engine, place.mount, place.version)
        try:
            secret = await self.sources[place.source].read(ref)
        except SourceError as error:
            raise ValueUnavailable(f"{key}: {error}") from None
        value = secret.fields.get(place.field)
        if not isinstance(value, str) or not value:
            raise ValueUnavailable(
                f"{key}: {ref} has no text in its field {place.field!r}; check path and field"
            )
        return value


@asynccontextmanager
async def open_ledger(
    config: LedgerConfig, clock: Clock
) -> AsyncIterator[tuple[SqlLedger, FingerprintKey]]:
    """Raises LedgerError."""
    ledger = await SqlLedger.open(config.path, clock.now)
    try:
        chosen = config.fingerprint_key.file if config.fingerprint_key else None
        yield ledger, fingerprint_key(chosen or config.path.with_suffix(".key"))
    finally:
        await ledger.aclose()


@dataclass(slots=True)
class _Opened:
    name: str
    config: SourceConfig
    source: ThreadedSource
    users: int = 0


@dataclass(slots=True)
class SourcePool:
    """Open sources, by their configuration: a source that a reload doesn't change stays open.

    So its token lives on, and with it the leases that end when this token ends.
    """

    key: FingerprintKey
    observe: Observer
    clock: Clock
    _opened: list[_Opened] = field(default_factory=list)

    @asynccontextmanager
    async def source(self, name: str, config: SourceConfig) -> AsyncIterator[Source]:
        """Raises SourceError if the source can't be opened."""
        found = next((o for o in self._opened if (o.name, o.config) == (name, config)), None)
        if found is None:
            opened = open_source(name, config, self.observe, self.key.digest, self.clock.monotonic)
            found = _Opened(name, config, opened)
            self._opened.append(found)
        found.users += 1
        try:
            yield found.source
        finally:
            found.users -= 1
            if found.users == 0:
                self._opened.remove(found)
                await found.source.aclose()


@asynccontextmanager
async def open_context(
    config: Config,
    ledger: SqlLedger,
    pool: SourcePool,
    observe: Observer,
    clock: Clock,
    may_write: Callable[[], bool] = lambda: True,
) -> AsyncIterator[RunContext]:
    """Open all edges of one configuration. The ledger is opened apart, since it outlives a reload.

    `may_write` is asked before each update of a connection.
    """
    async with AsyncExitStack() as stack:
        sources: dict[str, Source] = {}
        for name, source_config in config.sources.items():
            sources[name] = await stack.enter_async_context(pool.source(name, source_config))
        values = Values(sources)
        targets: dict[str, FlinkTarget] = {}
        for name, target_config in config.targets.items():
            authorize = _authorization(values, name, target_config)
            settings = _target_settings(target_config)
            target = FlinkTarget(name, settings, authorize, observe, clock, may_write)
            stack.push_async_callback(target.aclose)
            targets[name] = target
        yield RunContext(
            rules=rules(config),
            targets=targets,
            sources=sources,
            ledger=ledger,
            clock=clock,
            observe=observe,
            fingerprint=pool.key.fingerprint,
            scheduled_since=_scheduled_since(config),
            adopt_unknown=config.ledger.on_unknown == "adopt",
        )


def _scheduled_since(config: Config) -> Callable[[str, datetime, datetime], bool]:
    def scheduled(rotation: str, since: datetime, now: datetime) -> bool:
        schedule = config.rotations[rotation].schedule
        if schedule is None:
            return False
        from rotator.config.ticks import scheduled_since  # APScheduler: only where it is needed

        return scheduled_since(schedule, since, now)

    return scheduled


def _target_settings(config: TargetConfig) -> TargetSettings:
    return TargetSettings(
        url=config.url,
        organization=config.organization,
        environment=config.environment,
        update=config.update,
        concurrency=config.concurrency,
        requests_per_second=config.requests_per_second,
        timeout=config.timeout.total_seconds(),
        ca_file=config.ca_file,
    )


def _authorization(values: Values, name: str, config: TargetConfig) -> Authorize:
    async def authorization() -> Authorization:
        place = f"targets.{name}.auth"
        if isinstance(config.auth, BasicAuth):
            return basic(
                await values.resolve(config.auth.api_key, f"{place}.api_key"),
                await values.resolve(config.auth.api_secret, f"{place}.api_secret"),
            )
        return bearer(await values.resolve(config.auth.token, f"{place}.token"))

    return authorization
