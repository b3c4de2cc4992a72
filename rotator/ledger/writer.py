"""Group commit: what many coroutines write at once shares one transaction and one fsync."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from rotator.errors import LedgerError
from rotator.ledger.engine import translated

T = TypeVar("T")
Work = Callable[[sa.Connection], Any]


class Writer:
    """All use of the database, in one thread of its own.

    `do` returns once its work is durable. Work that fails takes the others of its transaction
    with it into a second try, each alone, so that nobody loses what another did wrong.
    """

    def __init__(self, engine: sa.Engine, path: Path) -> None:
        self._engine = engine
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._waiting: list[tuple[Work, asyncio.Future[Any]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def do(self, work: Callable[[sa.Connection], T]) -> T:
        """Raises LedgerError. Cancelling the caller doesn't undo the work."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        return await done

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            answers = await loop.run_in_executor(
                self._thread, self._commit, [work for work, _ in batch]
            )
            for (_, done), answer in zip(batch, answers, strict=True):
                if done.cancelled():
                    continue
                if isinstance(answer, BaseException):
                    done.set_exception(answer)
                else:
                    done.set_result(answer)

    def _commit(self, works: list[Work]) -> list[Any]:
        try:
            with translated(self._path), self._engine.begin() as connection:
                return [work(connection) for work in works]
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for it
            if len(works) == 1:
                return [error]
            return [answer for work in works for answer in self._commit([work])]

    async def aclose(self) -> None:
        if self._flushing is not None:
            await self._flushing
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()
        for _, done in self._waiting:
            done.set_exception(LedgerError(f"ledger {self._path}: closed"))
