"""Group commit: writes of many coroutines at once share one transaction and one fsync."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa

from rotator.errors import LedgerError
from rotator.ledger.engine import Database

T = TypeVar("T")
Work = Callable[[sa.Connection], Any]
Batch = list[tuple[Work, asyncio.Future[Any]]]


class Writer:
    """Runs all work on the database in one thread of its own.

    `do` returns once its work is durable. If some work fails, all work of its transaction is tried
    again, each in a transaction of its own, so that a failure stays with its caller.

    Callbacks start the next batch, not a task: a loop that ends cancels its tasks, and callers that
    still write would then wait forever.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._waiting: Batch = []
        self._running: asyncio.Future[list[Any]] | None = None
        self._closed = False

    async def do(self, work: Callable[[sa.Connection], T]) -> T:
        """Answers as the work does. Cancelling the caller undoes nothing. Raises LedgerError."""
        if self._closed:
            raise LedgerError(f"ledger {self._database.path}: it is closed")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, done))
        if self._running is None:
            self._start()
        return await done

    def _start(self) -> None:
        batch, self._waiting = self._waiting, []
        self._running = asyncio.get_running_loop().run_in_executor(
            self._thread, self._commit, [work for work, _ in batch]
        )
        self._running.add_done_callback(partial(self._answer, batch))

    def _answer(self, batch: Batch, running: asyncio.Future[list[Any]]) -> None:
        self._running = None
        for (_, done), answer in zip(batch, running.result(), strict=True):
            if done.cancelled():
                continue
            if isinstance(answer, BaseException):
                done.set_exception(answer)
            else:
                done.set_result(answer)
        if self._waiting:
            self._start()

    def _commit(self, works: list[Work]) -> list[Any]:
        """The answer of each work, or the exception to raise in its caller."""
        try:
            with self._database.transaction() as connection:
                return [work(connection) for work in works]
        except Exception as error:  # noqa: BLE001 - raised in the caller
            if len(works) == 1:
                return [error]
            if type(error) is LedgerError:
                # The ledger itself fails: each work alone would fail too, after another wait.
                return [LedgerError(str(error)) for _ in works]
            return [answer for work in works for answer in self._commit([work])]

    async def aclose(self) -> None:
        """Closes once all work is durable. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        while self._running is not None:
            await asyncio.wait([self._running])
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._database.close)
        self._thread.shutdown()
