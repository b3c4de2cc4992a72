"""The daemon, put together: the only module that knows all its parts."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rotator.clock import SystemClock
from rotator.config.models import Config, HttpConfig, NoCoordination, Reference, targets_of
from rotator.coordination.elector import Elector, elector
from rotator.daemon.compose import SourcePool, Values, fan_out, open_context, open_ledger
from rotator.daemon.contact import PhaseLook
from rotator.daemon.ending import handle_signals
from rotator.daemon.health import Clocks, Contacts
from rotator.daemon.leadership import Leadership
from rotator.daemon.reload import Reload
from rotator.daemon.restore import restore_metrics, told_before
from rotator.daemon.runner import Runner
from rotator.daemon.secret_watch import Hints, SecretWatch
from rotator.daemon.snapshots import Snapshots
from rotator.daemon.ticker import Ticker, Ticks
from rotator.daemon.upkeep import SourceStates, Upkeep
from rotator.daemon.views.connections import ConnectionViews
from rotator.daemon.views.health import HealthViews
from rotator.daemon.views.leader import Leader
from rotator.daemon.views.rotations import RotationViews
from rotator.daemon.views.sources import SourceViews
from rotator.notify.notifier import Notifier
from rotator.notify.receiver import Resolve
from rotator.observe import log as logs
from rotator.observe.listings import Listings
from rotator.observe.live import Live
from rotator.observe.metrics import Metrics
from rotator.observe.tracing import traced
from rotator.ports import Clock, LedgerReader, RunContext
from rotator.web.app import create_app
from rotator.web.server import serving
from rotator.web.views import DaemonView

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Daemon:
    """The parts that the daemon's life moves: it starts, leads, and ends them."""

    snapshots: Snapshots
    runner: Runner
    ticker: Ticker
    leadership: Leadership
    notifier: Notifier
    candidate: Elector | None
    """None: this process is the only one, and leads."""
    address: str
    """Where it serves HTTP."""


@dataclass(frozen=True, slots=True)
class _Observers:
    """What the daemon remembers of its events."""

    metrics: Metrics
    contacts: Contacts
    listings: Listings
    live: Live

    def show_leading(self, leads: bool) -> None:
        self.metrics.leader(leads=leads)
        if not leads:
            self.listings.clear()  # what was seen here grows old


@asynccontextmanager
async def wired(path: Path, config: Config) -> AsyncIterator[Daemon]:
    """A daemon that serves HTTP, handles signals, and has not begun to tick.

    Raises RotatorError where it can't start.
    """
    clock, stop = SystemClock(), asyncio.Event()
    candidate = None
    if not isinstance(config.coordination, NoCoordination):
        candidate = elector(config.coordination, clock)
    seen = _Observers(Metrics(), Contacts(clock.monotonic()), Listings(), Live())

    def edges(new: Config) -> AbstractAsyncContextManager[RunContext]:
        return open_context(new, ledger, pool, observe, clock, runner.may_write)

    snapshots = Snapshots(edges)
    runner = Runner(snapshots.borrow, clock, stop)
    if candidate is not None:
        runner.holder = lambda: candidate.holder

    async def resolve(reference: Reference, key: str) -> str:
        async with snapshots.borrow() as context:
            return await Values(context.sources).resolve(reference, key)

    # What becomes of notifications is told to those who only write it down.
    notifier = Notifier(resolve, clock, fan_out(seen.metrics, logs.Log()))
    async with AsyncExitStack() as stack:
        traces = await stack.enter_async_context(traced(os.environ, clock, _tell))
        ledger, key = await stack.enter_async_context(open_ledger(config.ledger, clock))
        ticker = Ticker(_ticks(snapshots, ledger, runner, seen, clock))
        hints = Hints(snapshots, ticker)
        observe = fan_out(
            seen.metrics,
            logs.Log(),
            seen.contacts,
            seen.listings,
            seen.live,
            hints,
            traces,
            notifier,
        )
        pool = SourcePool(key, observe, clock)
        stack.push_async_callback(snapshots.aclose)
        await snapshots.replace(config)
        seen.metrics.configured(config)
        seen.metrics.reloaded(successful=True)
        if candidate is not None:
            seen.metrics.coordinated(str(candidate.api.address))
        await restore_metrics(seen.metrics, ledger, config)
        stack.push_async_callback(notifier.aclose)
        notifier.configure(config)
        notifier.restore(await told_before(ledger, config))
        view = _view(snapshots, ledger, runner, ticker, seen, Leader(runner, candidate))
        app = create_app(
            view,
            seen.metrics.scrape,
            _token(resolve, config.http),
            stop.set if config.http.quit else None,
        )
        address = await stack.enter_async_context(serving(app, config.http.host, config.http.port))
        handle_signals(stop, _reload(path, snapshots, ticker, seen, notifier))
        leadership = Leadership(snapshots, ledger, runner, ticker, seen.show_leading)
        yield Daemon(snapshots, runner, ticker, leadership, notifier, candidate, address)


def _ticks(
    snapshots: Snapshots, ledger: LedgerReader, runner: Runner, seen: _Observers, clock: Clock
) -> Ticks:
    upkeep = Upkeep(snapshots, runner, seen.contacts, SourceStates(snapshots, seen.contacts), clock)

    def cron(rotation: str) -> None:
        runner.start_by_itself(rotation, "schedule")

    def heartbeat(next_runs: Mapping[str, datetime | None]) -> None:
        seen.contacts.beat(clock.monotonic())
        seen.metrics.tick()
        for rotation, due in next_runs.items():
            seen.metrics.next_run(rotation, due)

    return Ticks(
        on_cron=cron,
        on_watch=SecretWatch(snapshots, ledger, runner).look,
        on_look=PhaseLook(snapshots, runner).look,
        on_keep=upkeep.tick,
        on_heartbeat=heartbeat,
    )


def _view(
    snapshots: Snapshots,
    ledger: LedgerReader,
    runner: Runner,
    ticker: Ticker,
    seen: _Observers,
    leader: Leader,
) -> DaemonView:
    clocks = Clocks.of(snapshots.context.clock)
    return DaemonView(
        health=HealthViews(snapshots, ledger, seen.contacts, clocks, leader),
        rotations=RotationViews(snapshots, ledger, runner, seen.live, ticker.next_run),
        connections=ConnectionViews(snapshots, ledger, seen.listings),
        sources=SourceViews(snapshots, ledger, seen.contacts),
        leader=leader.name,
    )


def _reload(
    path: Path, snapshots: Snapshots, ticker: Ticker, seen: _Observers, notifier: Notifier
) -> Reload:
    def taken(config: Config) -> None:
        logs.configure(config.log)
        seen.metrics.configured(config)
        seen.listings.configured(targets_of(config))
        notifier.configure(config)
        seen.metrics.reloaded(successful=True)
        ticker.replace(config.rotations)

    def refused() -> None:
        seen.metrics.reloaded(successful=False)

    return Reload(path, snapshots, taken, refused)


def _token(resolve: Resolve, http: HttpConfig) -> Callable[[], Awaitable[str]] | None:
    reference = http.token
    if reference is None:
        return None

    async def token() -> str:
        return await resolve(reference, "http.token")

    return token


def _tell(level: int, event: str, words: str) -> None:
    log.log(level, event, extra={"reason": words})
