"""What `rotator rotate` does: it runs rotations side by side, to their end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import click

from rotator.cli.filter import no_such_connection
from rotator.cli.opening import opened
from rotator.cli.progress import progress
from rotator.clock import SystemClock
from rotator.config.models import Config
from rotator.coordination.lead_once import leading_once
from rotator.coordination.term import Term
from rotator.errors import Cause, NothingMatches
from rotator.leases.keeper import Keeper
from rotator.model.events import Event, RunFinished, Settled
from rotator.model.run import Outcome, Run
from rotator.observe.tracing import traced
from rotator.remedy import remedy
from rotator.rotation.run import Order, execute, new_run


@dataclass(frozen=True, slots=True)
class RotateReport:
    """A run, the outcomes of its connections, and what to do about it."""

    run: Run
    outcomes: tuple[Outcome, ...]
    remedy: str | None
    """None if there is nothing to do."""


@dataclass(slots=True)
class _Collected:
    """An observer that remembers what the runs came to."""

    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    causes: dict[str, Cause | None] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Settled):
            self.outcomes.setdefault(event.outcome.run_id, []).append(event.outcome)
        if isinstance(event, RunFinished):
            self.causes[event.run.id] = event.cause

    def finished(self, run: Run) -> RotateReport:
        cause = self.causes[run.id]
        what = remedy(cause, run.rotation) if cause is not None else None
        return RotateReport(run, tuple(self.outcomes.get(run.id, ())), what)


async def rotate_now(
    config: Config, names: Sequence[str], *, only: str | None, force: bool
) -> list[RotateReport]:
    """The runs of these rotations; one that can't start doesn't keep the others from running.

    Raises NotLeading where another process leads, and NoSuchConnection where `only` matches no
    connection of any of them; a rotation without such a connection is left out.
    """
    async with leading_once(config.coordination, SystemClock(), _tell) as term:
        orders = [Order(name, "command", only, force) for name in names]
        return await _rotated(config, orders, term)


async def _rotated(config: Config, orders: Sequence[Order], term: Term) -> list[RotateReport]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, term.set)
    collected = _Collected()
    with progress(wanted=sys.stderr.isatty()) as draw:
        async with (
            traced(os.environ, SystemClock(), _warn) as traces,
            opened(config, collected, draw, traces, may_write=lambda: not term.is_set()) as context,
        ):

            async def one(order: Order) -> Run:
                return await execute(context, order, new_run(order, context.clock.now()), term)

            # Without a daemon, these are the only moments at which leases are renewed and revoked.
            keeper = Keeper()
            await keeper.tend(context)
            ended = await asyncio.gather(*(one(order) for order in orders), return_exceptions=True)
            await keeper.tend(context)
    return [collected.finished(run) for run in _runs(ended)]


def _runs(ended: Sequence[Run | BaseException]) -> list[Run]:
    """Without the rotations that the filter left out. Raises what kept any other from ending."""
    runs, unmatched = [], []
    for result in ended:
        if isinstance(result, NothingMatches):
            unmatched.append(result)
        elif isinstance(result, BaseException):
            raise result
        else:
            runs.append(result)
    if unmatched and not runs:
        raise no_such_connection(unmatched)
    return runs


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _warn(level: int, _: str, words: str) -> None:
    if level >= logging.WARNING:
        click.echo(f"Warning: traces: {words}", err=True)
