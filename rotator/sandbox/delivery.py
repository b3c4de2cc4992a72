"""Sends an answer over the wire, whole or not."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

from starlette.types import Receive, Scope, Send

from rotator.sandbox.access import unauthenticated
from rotator.sandbox.answers import HTML, JSON, Answer, ApiError, Headers, conflict
from rotator.sandbox.answers import method_not_allowed as not_allowed
from rotator.sandbox.faults import Fault, FaultKind

TRANSPORT = "rotator.sandbox.transport"
"""Key of the ASGI scope's state under which the server leaves the connection's transport."""

_PAGE = b"<!doctype html><html><head><title>%s</title></head><body><h1>%s</h1></body></html>"
_BAD_GATEWAY = Answer(502, _PAGE % (b"502 Bad Gateway", b"502 Bad Gateway"), (HTML,))
_CHUNK = 64 * 1024


class Exchange:
    """One request and the connection that it came on."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.transport: asyncio.Transport = scope["state"][TRANSPORT]

    async def body(self, limit: int) -> bytes | None:
        """The body; None if the client leaves in the middle of it. Raises ApiError with 413."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return None
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise ApiError(413, "too_large", "Content Too Large", f"at most {limit} bytes")
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    async def start(self, answer: Answer, length: int | None) -> None:
        headers = list(answer.headers)
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        await self._send(
            {"type": "http.response.start", "status": answer.status, "headers": headers}
        )

    async def write(self, body: bytes, *, more: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def gone(self) -> None:
        """Waits until the client or we have closed the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def reset(self) -> None:
        """Closes so that the client sees a connection reset (RST), not an end (FIN)."""
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self.transport.abort()
        await self.gone()


async def deliver(exchange: Exchange, answer: Answer, fault: Fault | None) -> str:
    """Sends an answer, or what the fault leaves of it. Returns the status that the client sees."""
    match fault.kind if fault else None:
        case FaultKind.RESET | FaultKind.RESET_AFTER:
            await exchange.reset()
            return "reset"
        case FaultKind.HANG | FaultKind.HANG_AFTER:
            await exchange.gone()
            return "hang"
        case FaultKind.TRUNCATED:
            await exchange.start(answer, len(answer.body) or 100)
            await exchange.write(answer.body[: len(answer.body) // 2], more=True)
            exchange.transport.close()
            await exchange.gone()
        case FaultKind.DRIP if fault:
            await _drip(exchange, answer, fault.seconds)
        case FaultKind.OVERSIZED if fault:
            await _flood(exchange, answer, fault.size)
        case _:
            await exchange.start(answer, len(answer.body))
            await exchange.write(answer.body)
    return str(answer.status)


def instead_of(fault: Fault, request_id: str, extra: Headers) -> Answer:
    """The answer of a proxy that never acted on the request."""
    answer = _instead(fault, request_id)
    return Answer(answer.status, answer.body, answer.headers + extra)


def _instead(fault: Fault, request_id: str) -> Answer:
    match fault.kind:
        case FaultKind.ERROR_502:
            return _BAD_GATEWAY
        case FaultKind.ERROR_503:
            return _error(503, "unavailable", "Service Unavailable", request_id)
        case FaultKind.ODD_ERROR:
            body = {"error": {"code": 500, "message": "an error of another shape"}}
            return Answer(500, json.dumps(body).encode(), (JSON,))
        case FaultKind.UNAUTHORIZED:
            return unauthenticated().answer(request_id)
        case FaultKind.METHOD_NOT_ALLOWED:
            return not_allowed("PUT", "GET, PATCH, DELETE").answer(request_id)
        case FaultKind.CONFLICT:
            return conflict("the connection changed meanwhile").answer(request_id)
        case FaultKind.THROTTLED:
            after = fault.retry_after
            wait: Headers = () if after is None else ((b"retry-after", f"{after:g}".encode()),)
            return Answer(429, b"", wait)
        case FaultKind.HTML:
            return Answer(200, _PAGE % (b"Welcome", b"Please log in"), (HTML,))
        case FaultKind.EMPTY:
            return Answer(200)
        case FaultKind.FOREIGN:
            return Answer(200, b'{"kind":"Greeting","data":"hello"}', (JSON,))
        case FaultKind.REDIRECT:
            return Answer(307, b"", ((b"location", fault.location.encode("latin-1")),))
        case _:
            return _error(500, "internal_error", "Internal Server Error", request_id)


def spoil(fault: Fault, answer: Answer, request_id: str) -> Answer:
    """What a fault makes of the answer to a request that was acted on."""
    match fault.kind:
        case FaultKind.ERROR_AFTER:
            error = _error(500, "internal_error", "Internal Server Error", request_id)
            return Answer(500, error.body, error.headers + _extra(answer))
        case FaultKind.FOREIGN_WRITE_INSTEAD:
            return Answer(502, _BAD_GATEWAY.body, _BAD_GATEWAY.headers + _extra(answer))
        case FaultKind.BROKEN_JSON:
            half = answer.body[: len(answer.body) // 2] or b'{"metadata":'
            return Answer(answer.status, half, answer.headers)
        case _:
            return answer


def _extra(answer: Answer) -> Headers:
    return tuple(header for header in answer.headers if header[0].startswith(b"x-"))


def _error(status: int, code: str, title: str, request_id: str) -> Answer:
    return ApiError(status, code, title, "Oops, something went wrong!").answer(request_id)


async def _drip(exchange: Exchange, answer: Answer, seconds: float) -> None:
    """Sends bytes slowly: each read succeeds in time, and only a limit on the whole request ends
    it."""
    body = answer.body or b" " * 100
    await exchange.start(answer, len(body))
    for index in range(len(body)):
        if exchange.transport.is_closing():
            return await exchange.gone()
        await asyncio.sleep(seconds)
        await exchange.write(body[index : index + 1], more=index + 1 < len(body))
    return None


async def _flood(exchange: Exchange, answer: Answer, size: int) -> None:
    await exchange.start(answer, None)
    await exchange.write(b'{"data":"', more=True)
    for _ in range(0, size, _CHUNK):
        if exchange.transport.is_closing():
            return await exchange.gone()
        await exchange.write(b"x" * _CHUNK, more=True)
    await exchange.write(b'"}')
    return None
