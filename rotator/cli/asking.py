"""What listings ask for: connections of targets, and what the ledger has on record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from rotator.cli.opening import opened
from rotator.clock import SystemClock
from rotator.config.models import Config
from rotator.daemon.compose import open_ledger
from rotator.model.connection import Connection
from rotator.model.lease import HeldLease
from rotator.model.record import Record
from rotator.model.run import Outcome
from rotator.model.source import SourceState


async def connections_of(config: Config, targets: Sequence[str]) -> list[Connection]:
    async with opened(config) as context:
        listed = await asyncio.gather(*(context.targets[name].connections() for name in targets))
    return [connection for connections in listed for connection in connections]


async def known_connections(config: Config) -> list[Record | Outcome]:
    """Every connection that a run planned for, by target and name.

    One that no update was sent to has no record; its newest outcome says why.
    """
    async with open_ledger(config.ledger, SystemClock()) as (ledger, _):
        records = await ledger.all_records()
        on_record = {(record.target, record.connection) for record in records}
        untouched = [
            outcome
            for outcome in await ledger.latest_outcomes()
            if (outcome.target, outcome.connection) not in on_record
        ]
    return sorted((*records, *untouched), key=lambda known: (known.target, known.connection))


async def source_states(config: Config) -> list[SourceState]:
    """States of the sources that the configuration has, as the daemon last saw them."""
    async with open_ledger(config.ledger, SystemClock()) as (ledger, _):
        return [state for state in await ledger.source_states() if state.source in config.sources]


async def held_leases(config: Config) -> tuple[HeldLease, ...]:
    async with open_ledger(config.ledger, SystemClock()) as (ledger, _):
        return await ledger.leases()


async def outcomes(
    config: Config, connection: str | None, age: timedelta | None
) -> tuple[Outcome, ...]:
    """The newest first; `connection` is a glob on names."""
    clock = SystemClock()
    async with open_ledger(config.ledger, clock) as (ledger, _):
        return await ledger.outcomes(connection, since=clock.now() - age if age else None)
