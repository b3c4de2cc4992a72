"""Leads for the duration of one command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rotator.clock import SystemClock
from rotator.config.coordination import CoordinationConfig, NoCoordination
from rotator.coordination.elector import Elector, elector, standing, stranger
from rotator.coordination.term import Term
from rotator.errors import (
    CoordinationDenied,
    CoordinationError,
    CoordinationUnavailable,
    NotLeading,
)
from rotator.model.source import Finding
from rotator.ports import Clock

_LOOK_EVERY = 0.1
_PATIENCE = 10.0
_TOLD_AFTER = 1.5


@asynccontextmanager
async def leading_once(
    config: CoordinationConfig, clock: Clock, tell: Callable[[str], None]
) -> AsyncIterator[Term]:
    """Leads, after waiting at most as long as the Lease of a dead process takes to expire. Calls
    `tell` with a line if that takes so long that a person would wonder.

    Raises NotLeading if another process leads, and CoordinationError if that can't be found out.
    """
    if isinstance(config, NoCoordination):
        yield Term(clock)
        return
    candidate = elector(config, clock)
    async with standing(candidate) as loop:
        yield await _first_term(candidate, loop, clock, tell)


async def _first_term(
    candidate: Elector, loop: asyncio.Task[None], clock: Clock, tell: Callable[[str], None]
) -> Term:
    began = clock.monotonic()
    given_up_at = began + candidate.overdue
    told = False
    term = asyncio.create_task(candidate.terms.get())
    try:
        while not term.done():
            await asyncio.wait({term, loop}, timeout=_LOOK_EVERY)
            if loop.done():
                loop.result()
            if candidate.election.rival:
                raise NotLeading(candidate.holder)
            if isinstance(candidate.trouble, CoordinationDenied):
                raise candidate.trouble
            if not told and clock.monotonic() > began + _TOLD_AFTER:
                held = f", held by {candidate.holder}" if candidate.holder else ""
                tell(f"waiting for {candidate.api.address}{held}; {candidate.overdue:g} s at most")
                told = True
            if clock.monotonic() > given_up_at:
                raise candidate.trouble or CoordinationUnavailable(
                    f"{candidate.api.address}: nobody renews it, and it can't be taken"
                )
        return term.result()
    finally:
        term.cancel()


async def examine(config: CoordinationConfig) -> tuple[Finding, ...]:
    """Whether the Lease can be read, and who holds it. Writes nothing."""
    if isinstance(config, NoCoordination):
        return ()
    try:
        candidate = elector(config, SystemClock())
    except CoordinationDenied as denied:
        return (Finding("log in", str(denied)),)
    api = candidate.api
    try:
        lease = await api.get(_PATIENCE)
    except CoordinationError as error:
        return (Finding(f"read {api.address}", str(error)),)
    finally:
        await api.aclose()
    if lease is None:
        return (Finding(f"read {api.address} (absent: the first leader makes it)", ""),)
    holder = lease.spec.holder
    odd = stranger(api.address, holder) if holder and not lease.ours else ""
    return (Finding(f"read {api.address} (held by {holder or 'nobody'})", odd),)
