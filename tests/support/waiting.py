"""Waits for a condition of another process, with a deadline. The one place that sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

DEADLINE = 30.0
_PAUSE = 0.005


async def until(condition: Callable[[], bool], deadline: float = DEADLINE) -> None:
    """Raises TimeoutError if the condition doesn't hold within `deadline` seconds."""
    async with asyncio.timeout(deadline):
        while not condition():  # noqa: ASYNC110 - the condition is of another process
            await asyncio.sleep(_PAUSE)


async def until_so(condition: Callable[[], Awaitable[bool]], deadline: float = DEADLINE) -> None:
    """The same for a condition that has to be awaited."""
    async with asyncio.timeout(deadline):
        while not await condition():  # noqa: ASYNC110 - as above
            await asyncio.sleep(_PAUSE)
