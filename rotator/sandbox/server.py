"""The sandbox on a port of loopback, in the event loop of its caller."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from rotator.sandbox.control import control_app
from rotator.sandbox.delivery import TRANSPORT
from rotator.sandbox.gateway import PREFIX, Gateway
from rotator.sandbox.settings import SandboxSettings
from rotator.sandbox.state import SandboxState

HOST = "127.0.0.1"
_BACKLOG = 1024


class _Protocol(HttpToolsProtocol):
    """Leaves its transport where the gateway can reset it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][TRANSPORT] = self.transport


class _App:
    def __init__(self, state: SandboxState) -> None:
        self.closing = False
        self._gateway = Gateway(state)
        self._control = control_app(state)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._gateway if scope["raw_path"].startswith(PREFIX) else self._control
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            if not self.closing:
                raise
            # The request ends with the sandbox; uvicorn would log a crash.


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox that runs."""

    url: str
    port: int
    state: SandboxState


@asynccontextmanager
async def running(
    settings: SandboxSettings | None = None,
    *,
    port: int = 0,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[Sandbox]:
    """Serves until the block ends, then drops every connection, answered or not.

    Port 0 takes a free one. Raises OSError if the port is taken. Latency is real time; everything
    else follows `now`.
    """
    state = SandboxState(settings, now)
    app = _App(state)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_keep_alive=600
    )
    config.load()
    connections = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Protocol(config, connections, {}),
        HOST,
        port,
        family=socket.AF_INET,
        backlog=_BACKLOG,
    )
    taken = int(server.sockets[0].getsockname()[1])
    try:
        yield Sandbox(f"http://{HOST}:{taken}", taken, state)
    finally:
        app.closing = True
        server.close()
        for protocol in list(connections.connections):
            protocol.transport.abort()
        tasks = list(connections.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def serve(settings: SandboxSettings, port: int, ready: Callable[[Sandbox], None]) -> None:
    """Serves until SIGTERM or SIGINT. `ready` is called once requests are accepted."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings, port=port) as sandbox:
        ready(sandbox)
        await stop.wait()
