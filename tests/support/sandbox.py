"""The sandbox for tests: in the event loop of the test, or as a process of its own.

Import the fixtures where they are used: `from tests.support.sandbox import sandbox`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from rotator.sandbox.server import Sandbox, running
from rotator.sandbox.settings import (
    API_KEY,
    API_SECRET,
    ENVIRONMENT,
    ORGANIZATION,
    SandboxSettings,
)

SandboxFactory = Callable[..., Awaitable[Sandbox]]


def gateway_path(collection: str = "connections", environment: str = ENVIRONMENT) -> str:
    return f"/sql/v1/organizations/{ORGANIZATION}/environments/{environment}/{collection}"


def client_of(running_sandbox: Sandbox, **options: Any) -> httpx.AsyncClient:
    """An ordinary client with the sandbox's own key."""
    given: dict[str, Any] = {
        "base_url": running_sandbox.url,
        "auth": (API_KEY, API_SECRET),
        "trust_env": False,
        **options,
    }
    return httpx.AsyncClient(**given)


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxFactory]:
    """Start sandboxes: `await sandbox(connections=3, settle=0.2)`; they end with the test.

    Takes the fields of SandboxSettings, and `now` for a clock of the test's own.
    """
    async with AsyncExitStack() as stack:

        async def start(*, now: Callable[[], float] = time.time, **settings: Any) -> Sandbox:
            server = running(SandboxSettings(**settings), now=now)
            return await stack.enter_async_context(server)

        yield start
