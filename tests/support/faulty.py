"""An HTTP server on loopback that answers as a test says, and fails in every way on order."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    """With its query, as it was sent."""
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes
    received: float = field(default_factory=monotonic, compare=False)
    """Seconds. Only differences mean something."""
    client_name: str | None = None
    """The common name of the certificate that the client presented."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


class Trouble(Enum):
    HANG = auto()
    """Never answers."""
    RESET = auto()
    """Closes the connection without acting on the request."""
    RESET_AFTER = auto()
    """Acts on the request, and closes the connection."""
    TRUNCATED = auto()
    """Sends half of the answer, then closes."""
    DRIP = auto()
    """Sends the answer byte by byte, and never all of it."""


HTML = Reply(200, b"<html>Welcome to the proxy</html>", {"Content-Type": "text/html"})
NOTHING = Reply(200)


@dataclass(slots=True)
class Fault:
    route: str
    """A glob on `METHOD path`."""
    what: Trouble | Reply
    times: int | None = 1
    """None: for ever."""

    def strikes(self, request: Request) -> bool:
        if self.times == 0 or not fnmatchcase(f"{request.method} {request.path}", self.route):
            return False
        if self.times is not None:
            self.times -= 1
        return True


class FaultyServer:
    """Answers with `answer`, unless a fault strikes first. Remembers every request."""

    def __init__(
        self,
        answer: Callable[[Request], Reply],
        tls: ssl.SSLContext | None = None,
        lock: AbstractContextManager[Any] | None = None,
    ) -> None:
        """`lock` is held during an answer, if the state behind the answers has its own lock."""
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.latency = 0.0
        """Seconds that every answer takes, as from a server far away."""
        self._answer = answer
        self._lock = lock or threading.Lock()
        self._stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"

    def fail(self, route: str, what: Trouble | Reply, times: int | None = 1) -> None:
        self.faults.append(Fault(route, what, times))

    def count(self, route: str) -> int:
        """How many requests came for a glob on `METHOD path`."""
        return sum(fnmatchcase(f"{seen.method} {seen.path}", route) for seen in self.requests)

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = 30

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, ssl.SSLError):
                    self.close_connection = True  # the client has gone

            def do_any(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(length)
                name = _common_name(self.connection)
                server.serve(
                    self, Request(self.command, self.path, headers, body, client_name=name)
                )

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_LIST = do_PATCH = do_any  # noqa: N815 - http.server's

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
                """Logs nothing to standard error."""

        return Handler

    def serve(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        with self._lock:
            self.requests.append(request)
            fault = next((fault for fault in self.faults if fault.strikes(request)), None)
            what = fault.what if fault else None
            if isinstance(what, Reply):
                reply = what
            elif what in {Trouble.HANG, Trouble.RESET}:
                reply = None
            else:
                reply = self._answer(request)
        if self.latency:
            self._stopping.wait(self.latency)
        if what is Trouble.HANG:
            self._stopping.wait()
        if reply is None or what is Trouble.RESET_AFTER:
            self._hang_up(handler)
            return
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        if request.method == "HEAD":
            return
        if what is Trouble.TRUNCATED:
            handler.wfile.write(reply.body[: len(reply.body) // 2])
            self._hang_up(handler)
        elif what is Trouble.DRIP:
            for byte in reply.body[:-1]:
                handler.wfile.write(bytes([byte]))
                self._stopping.wait(0.05)
            self._stopping.wait()
        else:
            handler.wfile.write(reply.body)

    def _hang_up(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        try:
            handler.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it went first


def _common_name(connection: socket.socket) -> str | None:
    if not isinstance(connection, ssl.SSLSocket):
        return None
    certificate: Mapping[str, Any] = connection.getpeercert() or {}
    parts = [dict(part) for part in certificate.get("subject", ())]
    return next((part["commonName"] for part in parts if "commonName" in part), None)
