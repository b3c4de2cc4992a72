"""Runs under way in this process: at most one for each rotation, and a drain that ends them all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from rotator.errors import Cause, NotLeading, RotatorError, RunInProgress
from rotator.model.run import Run
from rotator.ports import Clock, RunContext
from rotator.remedy import remedy
from rotator.rotation.run import Order, execute, new_run

log = logging.getLogger(__name__)


class Draining(RotatorError):
    """This process is about to stop, so no run starts any more."""


@dataclass(slots=True)
class Runner:
    """Starts runs as tasks of their own.

    `borrow` hands out the present RunContext, and keeps it open while a run uses it.
    """

    borrow: Callable[[], AbstractAsyncContextManager[RunContext]]
    clock: Clock
    stop: asyncio.Event
    """Set when the process is to end."""
    holder: Callable[[], str] = lambda: ""
    """Who leads where this process doesn't."""
    term: asyncio.Event | None = None
    """Runs may go on until it is set. None: this process has never led."""
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _runs: dict[str, Run] = field(default_factory=dict)

    def under_way(self, rotation: str) -> Run | None:
        return self._runs.get(rotation)

    @property
    def leads(self) -> bool:
        """Whether this process starts runs by itself."""
        return self.may_write() and not self.stop.is_set()

    def may_write(self) -> bool:
        return self.term is not None and not self.term.is_set()

    def start_by_itself(self, rotation: str, trigger: str) -> None:
        """Start a run that nobody asked for in person; leave it out where it can't start now."""
        if not self.leads:
            return
        try:
            self.start(rotation, trigger)
        except (RunInProgress, NotLeading) as busy:
            log.info("run.skipped", extra={"rotation": rotation} | busy.fields())

    def start(self, rotation: str, trigger: str) -> Run:
        """Start a run and return at once.

        Raises RunInProgress where a run of the rotation is under way here, NotLeading where another
        process leads, and Draining once this one was told to stop.
        """
        if self.stop.is_set():
            raise Draining("rotator is about to stop; start the run again afterwards")
        term = self.term
        if term is None or term.is_set():
            raise NotLeading(self.holder())
        running = self._runs.get(rotation)
        if running is not None:
            raise RunInProgress(rotation, running.id)
        order = Order(rotation, trigger)
        run = self._runs[rotation] = new_run(order, self.clock.now())
        task = asyncio.create_task(self._run(order, run, term), name=f"run {run.id}")
        self._tasks[rotation] = task
        return run

    async def _run(self, order: Order, run: Run, term: asyncio.Event) -> None:
        """Carry out a run. Whatever goes wrong is logged, a crash too."""
        place = {"rotation": run.rotation, "run": run.id}
        try:
            async with self.borrow() as context:
                try:
                    await execute(context, order, run, term)
                except RunInProgress as busy:
                    log.warning("run.skipped", extra=place | busy.fields())
                except RotatorError as error:
                    what = {"todo": remedy(error.cause, run.rotation)}
                    log.error("run.failed", extra=place | error.fields() | what)  # noqa: TRY400 - one line, without frames
        except Exception:
            # Of the traceback, the log takes the places alone: its frames can hold values.
            log.exception(
                "run.crashed", extra=place | {"todo": remedy(Cause.INTERNAL, run.rotation)}
            )
        finally:
            self._runs.pop(order.rotation, None)
            self._tasks.pop(order.rotation, None)

    async def idle(self) -> None:
        """Return when no run is under way."""
        while tasks := set(self._tasks.values()):
            await asyncio.wait(tasks)

    async def drain(self, grace: float) -> None:
        """Let requests under way end for at most `grace` seconds; then cancel what is left."""
        self.stop.set()
        if self.term is not None:
            self.term.set()
        tasks = set(self._tasks.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
