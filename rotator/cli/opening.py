"""The edges of a configuration, opened for the time of one command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rotator.clock import SystemClock
from rotator.config.models import Config
from rotator.daemon.compose import SourcePool, fan_out, open_context, open_ledger
from rotator.ports import Observer, RunContext


@asynccontextmanager
async def opened(
    config: Config, *observers: Observer, may_write: Callable[[], bool] = lambda: True
) -> AsyncIterator[RunContext]:
    """Raises LedgerError and SourceError; `may_write` is asked before each update."""
    clock = SystemClock()
    observe = fan_out(*observers)
    async with open_ledger(config.ledger, clock) as (ledger, key):
        pool = SourcePool(key, observe, clock)
        async with open_context(config, ledger, pool, observe, clock, may_write) as context:
            yield context
