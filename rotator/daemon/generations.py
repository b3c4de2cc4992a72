"""Configurations that follow each other: a reload never takes the edges from under a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from rotator.config.models import Config
from rotator.rotation.world import World

OpenWorld = Callable[[Config], AbstractAsyncContextManager[World]]


@dataclass(slots=True)
class _Generation:
    world: World
    close: AsyncExitStack
    users: int = 0
    retired: bool = False


class Generations:
    """The present World, and older ones for as long as somebody still uses them."""

    def __init__(self, open_world: OpenWorld) -> None:
        self._open_world = open_world
        self._present: _Generation | None = None

    @property
    def world(self) -> World:
        if self._present is None:
            raise AssertionError("used before its first configuration")
        return self._present.world

    async def replace(self, config: Config) -> None:
        """Raises what opening the new edges raises; the old World stays in place then."""
        close = AsyncExitStack()
        world = await close.enter_async_context(self._open_world(config))
        former, self._present = self._present, _Generation(world, close)
        if former is not None:
            await self._retire(former)

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[World]:
        generation = self._present
        if generation is None:
            raise AssertionError("used before its first configuration")
        generation.users += 1
        try:
            yield generation.world
        finally:
            generation.users -= 1
            if generation.retired and generation.users == 0:
                await generation.close.aclose()

    async def _retire(self, generation: _Generation) -> None:
        generation.retired = True
        if generation.users == 0:
            await generation.close.aclose()

    async def aclose(self) -> None:
        if self._present is not None:
            await self._retire(self._present)
