"""The daemon's life: it starts, leads, waits until it is told to stop, and drains."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from rotator.config.load import load
from rotator.config.models import Config
from rotator.coordination.elector import standing
from rotator.coordination.term import Term
from rotator.daemon.contact import first_contact
from rotator.daemon.ending import check_until_file, watch_for
from rotator.daemon.wiring import Daemon, wired
from rotator.observe import log as logs

log = logging.getLogger(__name__)

DRAIN = 7.5
"""Seconds for requests under way at SIGTERM; with the rest of the shutdown it stays below 10."""


async def serve(path: Path, until_file: Path | None = None) -> None:
    """Run until SIGTERM or SIGINT, or until the file exists.

    Raises RotatorError where it can't start.
    """
    config = load(path)
    logs.configure(config.log)
    if until_file is not None:
        check_until_file(until_file)
    async with wired(path, config) as daemon:
        await _live(daemon, config, until_file)


async def _live(daemon: Daemon, config: Config, until_file: Path | None) -> None:
    """Raises what one of the daemon's own tasks died of: half a daemon is worse than none."""
    runner, candidate, leadership = daemon.runner, daemon.candidate, daemon.leadership
    leadership.follow()
    daemon.ticker.start(config.rotations)
    async with AsyncExitStack() as stack:
        election: tuple[asyncio.Task[None], ...] = ()
        if candidate is None:
            await leadership.lead(Term(runner.clock), taken_over=False)
        else:
            election = (await stack.enter_async_context(standing(candidate)),)
        log.info("daemon.started", extra={"address": daemon.address})
        work: list[Coroutine[Any, Any, None]] = [first_contact(daemon.snapshots, runner.stop)]
        if candidate is not None:
            work.append(leadership.lead_in_turn(candidate))
        if until_file is not None:
            work.append(watch_for(until_file, runner.stop))
        try:
            await _until_told(work, election, runner.stop)
        finally:
            log.info("daemon.draining")
            daemon.notifier.hurry()
            daemon.ticker.stop()
            if candidate is not None:
                candidate.resign()
            await runner.drain(DRAIN)
    log.info("daemon.stopped")


async def _until_told(
    work: list[Coroutine[Any, Any, None]],
    vital: Iterable[asyncio.Task[None]],
    stop: asyncio.Event,
) -> None:
    """Wait until `stop` is set. `work` ends then; `vital` goes on, and is only looked after."""
    told = asyncio.create_task(stop.wait())
    own: list[asyncio.Task[Any]] = [told, *(asyncio.create_task(each) for each in work)]
    left: set[asyncio.Task[Any]] = {*own, *vital}
    try:
        while not told.done():
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in own:
            task.cancel()
