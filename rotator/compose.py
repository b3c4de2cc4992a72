"""The composition root: every edge is built here from the Config, and handed to the core.

The only module that sees both sides. Vendors are imported when a source of their kind is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from rotator.clock import SystemClock
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
from rotator.confluent.authorization import Authorization, basic, bearer
from rotator.confluent.client import Authorize, FlinkTarget
from rotator.errors import SourceError, ValueUnavailable
from rotator.ledger import FingerprintKey, SqlLedger, fingerprint_key
from rotator.model import Event, SecretRef
from rotator.ports import Clock, Observer, Source
from rotator.rotation.survey import World
from rotator.sources import open_source


def fan_out(*observers: Observer) -> Observer:
    """One observer for many."""

    def observe(event: Event) -> None:
        for observer in observers:
            observer(event)

    return observe


@dataclass(frozen=True, slots=True)
class Values:
    """What the references of the configuration lead to, looked up anew at every use."""

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


@asynccontextmanager
async def open_world(
    config: Config,
    ledger: SqlLedger,
    key: FingerprintKey,
    observe: Observer,
    clock: Clock | None = None,
) -> AsyncIterator[World]:
    """All edges of one configuration; the ledger is opened apart, since it outlives a reload."""
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        sources: dict[str, Source] = {}
        for name, source_config in config.sources.items():
            sources[name] = await stack.enter_async_context(
                _source(name, source_config, observe, key)
            )
        values = Values(sources)
        targets: dict[str, FlinkTarget] = {}
        for name, target_config in config.targets.items():
            target = FlinkTarget(
                name, target_config, _authorization(values, name, target_config), observe, clock
            )
            stack.push_async_callback(target.aclose)
            targets[name] = target
        yield World(
            config=config,
            targets=targets,
            sources=sources,
            ledger=ledger,
            clock=clock,
            observe=observe,
            fingerprint=key.fingerprint,
        )


@asynccontextmanager
async def _source(
    name: str, config: SourceConfig, observe: Observer, key: FingerprintKey
) -> AsyncIterator[Source]:
    source = open_source(name, config, observe, key.digest)
    try:
        yield source
    finally:
        await source.aclose()


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
