"""Snapshots of the configuration: a reload leaves each run the one it began with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from rotator.config.models import Config
from rotator.ports import RunContext

OpenContext = Callable[[Config], AbstractAsyncContextManager[RunContext]]


@dataclass(slots=True)
class _Snapshot:
    config: Config
    context: RunContext
    close: AsyncExitStack
    users: int = 0
    retired: bool = False


class Snapshots:
    """The present RunContext, and older ones for as long as a run still uses them."""

    def __init__(self, open_context: OpenContext) -> None:
        self._open_context = open_context
        self._present: _Snapshot | None = None

    @property
    def config(self) -> Config:
        return self._now.config

    @property
    def context(self) -> RunContext:
        return self._now.context

    @property
    def _now(self) -> _Snapshot:
        if self._present is None:
            raise AssertionError("used before its first configuration")
        return self._present

    async def replace(self, config: Config) -> None:
        """Open the edges of a new configuration; if that raises, the old RunContext stays."""
        close = AsyncExitStack()
        context = await close.enter_async_context(self._open_context(config))
        former, self._present = self._present, _Snapshot(config, context, close)
        if former is not None:
            await self._retire(former)

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[RunContext]:
        snapshot = self._now
        snapshot.users += 1
        try:
            yield snapshot.context
        finally:
            snapshot.users -= 1
            if snapshot.retired and snapshot.users == 0:
                await snapshot.close.aclose()

    async def _retire(self, snapshot: _Snapshot) -> None:
        snapshot.retired = True
        if snapshot.users == 0:
            await snapshot.close.aclose()

    async def aclose(self) -> None:
        if self._present is not None:
            await self._retire(self._present)
