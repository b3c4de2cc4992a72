"""The long-running process: wires, signals, reloads, drains."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from rotator.clock import SystemClock
from rotator.config.load import load
from rotator.config.models import Config, HttpConfig, NoCoordination, Reference
from rotator.coordination.elector import Elector, elector, standing
from rotator.coordination.term import Term
from rotator.daemon.compose import SourcePool, Values, fan_out, open_context, open_ledger
from rotator.daemon.duties import Duties
from rotator.daemon.ending import check_until_file, heed_signals, watch_for
from rotator.daemon.health import Clocks, Contacts
from rotator.daemon.runner import Runner
from rotator.daemon.snapshots import Snapshots
from rotator.daemon.state import DaemonState
from rotator.ledger import SqlLedger
from rotator.model.events import Event, SecretHinted
from rotator.notify.decisions import Told, lasting
from rotator.notify.notifier import Notifier
from rotator.notify.receiver import Resolve
from rotator.observe import log as logs
from rotator.observe.listings import Listings
from rotator.observe.live import Live
from rotator.observe.metrics import Metrics
from rotator.observe.tracing import traced
from rotator.web.app import create_app
from rotator.web.server import serving

log = logging.getLogger(__name__)

DRAIN = 7.5
"""Seconds for requests under way at SIGTERM; with the rest of the shutdown it stays below 10."""
LOOKED_BACK = 500
"""Runs of a rotation, for the first of the failures that last."""


async def serve(path: Path, until_file: Path | None = None) -> None:
    """Run until SIGTERM or SIGINT, or until the file exists.

    Raises RotatorError where it can't start.
    """
    config = load(path)
    logs.configure(config.log)
    if until_file is not None:
        check_until_file(until_file)
    clock = SystemClock()
    candidate = None
    if not isinstance(config.coordination, NoCoordination):
        candidate = elector(config.coordination, clock)
    metrics, contacts, stop = Metrics(), Contacts(clock.monotonic()), asyncio.Event()
    listings, live = Listings(), Live()
    hints: list[Callable[[SecretHinted], None]] = []

    def hinted(event: Event) -> None:
        if isinstance(event, SecretHinted):
            for take in hints:
                take(event)

    async def resolve(reference: Reference, key: str) -> str:
        async with snapshots.borrow() as context:
            return await Values(context.sources).resolve(reference, key)

    # What becomes of notifications is told to those who only write it down.
    notifier = Notifier(resolve, clock, fan_out(metrics, logs.Log()))
    async with AsyncExitStack() as stack:
        traces = await stack.enter_async_context(traced(os.environ, clock, _tell))
        observe = fan_out(metrics, logs.Log(), contacts, listings, live, hinted, traces, notifier)
        ledger, key = await stack.enter_async_context(open_ledger(config.ledger, clock))
        pool = SourcePool(key, observe, clock)
        snapshots = Snapshots(
            lambda config: open_context(config, ledger, pool, observe, clock, runner.may_write)
        )
        runner = Runner(snapshots.borrow, stop)
        stack.push_async_callback(snapshots.aclose)
        await snapshots.replace(config)
        metrics.configured(config)
        metrics.reloaded(successful=True)
        if candidate is not None:
            metrics.coordinated(str(candidate.api.address))
        await _restore(metrics, ledger, config)
        stack.push_async_callback(notifier.aclose)
        notifier.configure(config)
        notifier.restore(await _told(ledger, config))
        duties = Duties(
            path, ledger, snapshots, runner, metrics, listings, notifier, contacts, clock, stop
        )
        hints.append(duties.on_hint)
        state = DaemonState(
            snapshots,
            ledger,
            runner,
            contacts,
            clock,
            duties.schedule.next_run,
            Clocks.of(clock),
            listings,
            live,
            candidate,
        )
        app = create_app(
            state,
            metrics.scrape,
            _token(resolve, config.http),
            stop.set if config.http.quit else None,
        )
        address = await stack.enter_async_context(serving(app, config.http.host, config.http.port))
        heed_signals(stop, duties.reload)
        await _live(duties, candidate, address, until_file)


def _tell(level: int, event: str, words: str) -> None:
    log.log(level, event, extra={"reason": words})


async def _restore(metrics: Metrics, ledger: SqlLedger, config: Config) -> None:
    last = [await ledger.last_run(name) for name in config.rotations]
    good = [await ledger.last_success(name) for name in config.rotations]
    metrics.restore(await ledger.all_records(), filter(None, last), filter(None, good))


async def _told(ledger: SqlLedger, config: Config) -> dict[str, Told]:
    """What the process before this one will have told of rotations that fail."""
    told = {}
    for rotation in config.rotations if config.notify else ():
        found = lasting(await ledger.runs(rotation, limit=LOOKED_BACK))
        if found is not None and (run := await ledger.run(found.last.id)) is not None:
            told[rotation] = found.told(run[1])
    return told


def _token(resolve: Resolve, http: HttpConfig) -> Callable[[], Awaitable[str]] | None:
    reference = http.token
    if reference is None:
        return None

    async def token() -> str:
        return await resolve(reference, "http.token")

    return token


async def _live(
    duties: Duties, candidate: Elector | None, address: str, until_file: Path | None
) -> None:
    """Raises what a task of the daemon's own died of: rather no process than half of one."""
    duties.follow()
    duties.schedule.start(duties.config.rotations)
    duties.on_heartbeat()
    async with AsyncExitStack() as stack:
        election: tuple[asyncio.Task[None], ...] = ()
        if candidate is None:
            await duties.lead(Term(duties.clock), taken_over=False)
        else:
            duties.runner.holder = lambda: candidate.holder
            election = (await stack.enter_async_context(standing(candidate)),)
        log.info("daemon.started", extra={"address": address})
        work: list[Coroutine[Any, Any, None]] = [duties.first_contact()]
        if candidate is not None:
            work.append(_lead_in_turn(duties, candidate))
        if until_file is not None:
            work.append(watch_for(until_file, duties.stop))
        try:
            await _until_told(work, election, duties.stop)
        finally:
            log.info("daemon.draining")
            duties.notifier.hurry()
            duties.schedule.stop()
            if candidate is not None:
                candidate.resign()
            await duties.runner.drain(DRAIN)
    log.info("daemon.stopped")


async def _lead_in_turn(duties: Duties, candidate: Elector) -> None:
    while True:
        term = await candidate.terms.get()
        await duties.lead(term, taken_over=candidate.taken_over)
        await term.wait()
        duties.follow()


async def _until_told(
    work: list[Coroutine[Any, Any, None]],
    vital: Iterable[asyncio.Task[None]],
    stop: asyncio.Event,
) -> None:
    """Until `stop` is set. What is at work ends with it; what is vital is only looked after."""
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
