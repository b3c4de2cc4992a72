"""Runs uvicorn in the daemon's own loop. The daemon handles the signals."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from rotator.errors import ListenError

DEADLINE = 30.0
"""Seconds for a request and its answer as a whole, before the connection is cut."""
_GRACE = 1
"""Seconds for answers in progress when the server stops. What is left is cancelled then."""
_CUT_AFTER = 0.8
"""Seconds of these until connections are cut, so that uvicorn has none to complain about."""
_MOST_CONNECTIONS = 100
_MOST_HEADER_BYTES = 16_384


@asynccontextmanager
async def serving(
    app: ASGIApp, host: str, port: int, *, deadline: float = DEADLINE
) -> AsyncIterator[str]:
    """The address that the server listens on. Port 0 takes a free one. Raises ListenError."""
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=_with_deadline(deadline),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_GRACE,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    bound_host, bound_port = listener.getsockname()[:2]
    try:
        yield _place(bound_host, bound_port)
    finally:
        server.should_exit = True
        cut = asyncio.get_running_loop().call_later(_CUT_AFTER, server.cut)
        try:
            await task
        finally:
            cut.cancel()
            server.cut()
            listener.close()


class _Server(uvicorn.Server):
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        # uvicorn's own would take SIGTERM away from the drain. (It returns a generator's manager.)
        return nullcontext()

    def cut(self) -> None:
        """Closes what is still open, whatever the other side does."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _with_deadline(seconds: float) -> type[H11Protocol]:
    """Cuts slow connections. uvicorn waits forever for a request, and for a client to take its
    answer.

    As many such clients as there may be connections would keep health checks and scrapes out.
    """

    class WithDeadline(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            # As in H11Protocol, which narrows BaseTransport too.
            super().connection_made(transport)
            self._restart()

        def on_response_complete(self) -> None:
            self._restart()
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._cancel()

        def _restart(self) -> None:
            self._cancel()
            self._deadline = self.loop.call_later(seconds, self.transport.abort)

        def _cancel(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()

    return WithDeadline


def _listen(host: str, port: int) -> socket.socket:
    place = f"http.listen {_place(host, port)}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ListenError(
            f"{place}: this host has no address; write one of this machine, as 127.0.0.1 or 0.0.0.0"
        ) from None
    family, _, _, _, address = found[0]
    both = family is socket.AF_INET6 and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server(address, family=family, backlog=128, dualstack_ipv6=both)
    except OSError as error:
        words = {
            errno.EADDRINUSE: "the port is in use; choose another, or end what uses it",
            errno.EACCES: "not permitted; choose a port above 1023",
            errno.EADDRNOTAVAIL: "this machine has no such address; write 127.0.0.1 or 0.0.0.0",
        }.get(error.errno or 0, error.strerror)
        raise ListenError(f"{place}: {words}") from None
    # asyncio sets this only where a socket names its protocol, and without it each answer waits
    # 40 ms for an acknowledgement. What is accepted inherits it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    return listener


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
