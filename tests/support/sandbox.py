"""The sandbox for tests: in the event loop of the test, or as a process of its own.

Import the fixtures where they are used: `from tests.support.sandbox import sandbox`.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
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

START_DEADLINE = 20.0
STOP_DEADLINE = 10.0

SandboxFactory = Callable[..., Awaitable[Sandbox]]


def gateway_path(collection: str = "connections", environment: str = ENVIRONMENT) -> str:
    return f"/sql/v1/organizations/{ORGANIZATION}/environments/{environment}/{collection}"


def auth_data(data: Mapping[str, str]) -> dict[str, str]:
    return {"kind": "PlaintextProvider", "data": json.dumps(dict(data), separators=(",", ":"))}


def update_body(
    name: str, data: Mapping[str, str], version: str | None = None
) -> dict[str, object]:
    """What a client PUTs to replace a credential."""
    body: dict[str, object] = {"name": name, "spec": {"auth_data": auth_data(data)}}
    if version is not None:
        body["metadata"] = {"resource_version": version}
    return body


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


@dataclass(frozen=True, slots=True)
class SandboxProcess:
    """A sandbox in its own process. `control` steers it."""

    url: str
    process: subprocess.Popen[str]

    def control(self) -> httpx.Client:
        return httpx.Client(base_url=f"{self.url}/sandbox", trust_env=False)


@contextmanager
def sandbox_running_as_process(*arguments: str) -> Iterator[SandboxProcess]:
    """`python -m rotator.sandbox --port 0 ARGUMENTS`, ended by SIGTERM."""
    command = [sys.executable, "-m", "rotator.sandbox", "--port", "0", "-o", "json", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            readable, _, _ = select.select([process.stdout], [], [], START_DEADLINE)
            line = process.stdout.readline() if readable else ""
            assert line, f"the sandbox did not start within {START_DEADLINE} s"
            yield SandboxProcess(json.loads(line)["url"], process)
        finally:
            process.terminate()
            try:
                process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


@pytest.fixture
def sandbox_process() -> Iterator[Callable[..., SandboxProcess]]:
    """Start sandbox processes: `sandbox_process("--connections", "3")`."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(sandbox_running_as_process(*arguments))


class ManualClock:
    """A clock that only the test moves."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self.time = start

    def __call__(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds
