"""What the commands do that end by themselves. The daemon has a module of its own."""

from __future__ import annotations

import asyncio
import difflib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click

from rotator.cli import checks
from rotator.cli.checks import Check
from rotator.cli.progress import progress
from rotator.clock import SystemClock
from rotator.config.load import load
from rotator.config.models import Config
from rotator.coordination.lead_once import leading_once
from rotator.coordination.term import Term
from rotator.daemon.compose import SourcePool, fan_out, open_context, open_ledger
from rotator.errors import Cause, ConfigurationError, PlanRefused, Problem
from rotator.leases.keeper import Keeper
from rotator.ledger import SqlLedger
from rotator.model.connection import Connection
from rotator.model.events import Event, RunFinished, Settled
from rotator.model.lease import HeldLease
from rotator.model.record import Record
from rotator.model.run import Outcome, Run
from rotator.model.source import SourceState
from rotator.observe.tracing import traced
from rotator.ports import Observer
from rotator.remedy import remedy
from rotator.rotation.context import RunContext
from rotator.rotation.run import Order, execute, new_run
from rotator.rotation.survey import Survey, survey


def load_config(path: Path) -> Config:
    return load(path)


@asynccontextmanager
async def _opened(
    config: Config, *observers: Observer, may_write: Callable[[], bool] = lambda: True
) -> AsyncIterator[tuple[RunContext, SqlLedger]]:
    clock = SystemClock()
    observe = fan_out(*observers)
    async with open_ledger(config.ledger, clock) as (ledger, key):
        pool = SourcePool(key, observe, clock)
        async with open_context(config, ledger, pool, observe, clock, may_write) as context:
            yield context, ledger


def _chosen(path: Path, config: Config, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in config.rotations:
            near = difflib.get_close_matches(name, config.rotations, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(config.rotations)}"
            raise ConfigurationError((Problem(str(path), 0, "", f"no rotation {name}; {hint}"),))
    return tuple(dict.fromkeys(names)) or tuple(config.rotations)


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that `rotate` made."""

    run: Run
    outcomes: tuple[Outcome, ...]
    todo: str | None
    """Where it failed or was refused: what a person does about it."""


async def rotate(
    path: Path, names: tuple[str, ...], *, only: str | None, force: bool
) -> list[Ended]:
    """Rotations run side by side; one that can't start doesn't keep the others from running.

    Raises NotLeading where another process leads.
    """
    config = load_config(path)
    chosen = _chosen(path, config, names)
    async with leading_once(config.coordination, SystemClock(), _tell) as term:
        return await _rotated(config, chosen, term, only=only, force=force)


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _warn(level: int, _: str, words: str) -> None:
    if level >= logging.WARNING:
        click.echo(f"Warning: traces: {words}", err=True)


async def _rotated(
    config: Config, chosen: tuple[str, ...], term: Term, *, only: str | None, force: bool
) -> list[Ended]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, term.set)
    outcomes: dict[str, list[Outcome]] = {}
    causes: dict[str, Cause | None] = {}

    def collect(event: Event) -> None:
        if isinstance(event, Settled):
            outcomes.setdefault(event.outcome.run_id, []).append(event.outcome)
        if isinstance(event, RunFinished):
            causes[event.run.id] = event.cause

    with progress(wanted=sys.stderr.isatty()) as draw:
        async with (
            traced(os.environ, SystemClock(), _warn) as traces,
            _opened(config, collect, draw, traces, may_write=lambda: not term.is_set()) as opened,
        ):
            context, _ = opened

            async def one(name: str) -> Run:
                order = Order(name, "command", only, force)
                run = new_run(order, context.clock.now())
                return await execute(context, order, run, term)

            # Without a daemon, these are the only moments at which leases are renewed and revoked.
            keeper = Keeper()
            await keeper.tend(context)
            ended = await asyncio.gather(*(one(name) for name in chosen), return_exceptions=True)
            await keeper.tend(context)
    runs = []
    for result in ended:
        if isinstance(result, BaseException):
            raise result
        cause = causes[result.id]
        what = remedy(cause, result.rotation) if cause is not None else None
        runs.append(Ended(result, tuple(outcomes.get(result.id, ())), what))
    return runs


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what would keep it from being carried out."""

    survey: Survey
    problems: tuple[str, ...]


async def plan(
    path: Path, names: tuple[str, ...], *, only: str | None, force: bool
) -> list[Planned]:
    config = load_config(path)
    chosen = _chosen(path, config, names)
    async with _opened(config) as (context, _):
        surveys = await asyncio.gather(
            *(survey(context, name, only=only, force=force) for name in chosen)
        )
    return [Planned(seen, tuple(_problems(seen, config))) for seen in surveys]


def _problems(seen: Survey, config: Config) -> Iterable[str]:
    yield from (str(error) for error in seen.failures.values())
    try:
        seen.plan.refuse_if_unsafe(config.rotations[seen.plan.rotation])
    except PlanRefused as refused:
        yield str(refused)


async def check_online(config: Config) -> list[Check]:
    async with _opened(config) as (context, _):
        return await checks.check_online(context)


async def connections(config: Config, targets: tuple[str, ...]) -> list[Connection]:
    async with _opened(config) as (context, _):
        listed = await asyncio.gather(*(context.targets[name].connections() for name in targets))
    return [connection for connections in listed for connection in connections]


async def status(config: Config) -> list[Record]:
    async with open_ledger(config.ledger, SystemClock()) as (ledger, _):
        return list(await ledger.all_records())


async def source_states(config: Config) -> list[SourceState]:
    async with open_ledger(config.ledger, SystemClock()) as (ledger, _):
        return [state for state in await ledger.source_states() if state.source in config.sources]


async def leases(config: Config) -> list[HeldLease]:
    async with open_ledger(config.ledger, SystemClock()) as (ledger, _):
        return list(await ledger.leases())


async def history(config: Config, connection: str | None, age: timedelta | None) -> list[Outcome]:
    clock = SystemClock()
    async with open_ledger(config.ledger, clock) as (ledger, _):
        since = clock.now() - age if age else None
        return list(await ledger.outcomes(connection, since=since))
