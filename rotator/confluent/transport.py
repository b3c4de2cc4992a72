"""HTTP to one target, with one total timeout and a limit on the size of answers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rotator.http.bodies import Body, TooLarge
from rotator.http.httpx_light import cause, httpx

LARGEST_ANSWER = 8 * 1024 * 1024
"""Bytes. A page of 100 connections has about 100 KiB."""
SHARD = 2
"""Connections in one pool. For each request, httpx 0.28 looks at all connections of its pool: one
pool of 64 makes 144 requests/s, and pools of 8 make 1,120 (measured, 50 ms an answer)."""


class TransportError(Exception):
    """No answer came. `sent` is whether the request may have reached the other side."""

    def __init__(self, kind: str, *, sent: bool, timeout: bool = False) -> None:
        super().__init__(kind)
        self.kind = kind
        self.sent = sent
        self.timeout = timeout


class RequestWithheld(Exception):
    """`may_leave` said no before the whole request had left, so the other side can't apply it."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def request_id(self) -> str | None:
        return self.headers.get("x-request-id")

    @property
    def is_html(self) -> bool:
        kind = self.headers.get("content-type", "")
        return "html" in kind.lower() or self.body.lstrip()[:1] == b"<"


@dataclass(slots=True)
class _Shard:
    """One pool of connections. It is no AsyncClient, whose cookies, redirects and auth flows are of
    no use here and cost a tenth of each request (measured)."""

    pool: httpx.AsyncHTTPTransport
    in_flight: int = 0


class Transport:
    """Sends requests to one origin. It takes nothing from the environment (proxies, netrc), and
    follows no redirect."""

    def __init__(
        self, base: str, *, concurrency: int, timeout: float, user_agent: str, ca_file: Path | None
    ) -> None:
        # One context for all shards: making one reads the whole CA bundle.
        verify = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        limits = httpx.Limits(max_connections=SHARD, max_keepalive_connections=SHARD)
        self._base = base
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        self._timeout = timeout
        self._shards = [
            _Shard(httpx.AsyncHTTPTransport(verify=verify, limits=limits, trust_env=False))
            for _ in range(-(-concurrency // SHARD))
        ]

    async def send(
        self,
        method: str,
        path: str,
        *,
        authorization: str,
        content: bytes | None = None,
        content_type: str = "application/json",
        may_leave: Callable[[], bool] | None = None,
    ) -> HttpAnswer:
        """Raises TransportError, which holds nothing of the request, and RequestWithheld.

        `may_leave` is called right before each part is written to the socket: connecting takes
        time, and this process may have been stopped for a while.
        """
        headers = {**self._headers, "Authorization": authorization}
        if content is not None:
            headers["Content-Type"] = content_type
        shard = min(self._shards, key=lambda candidate: candidate.in_flight)
        shard.in_flight += 1
        try:
            async with asyncio.timeout(self._timeout):
                request = httpx.Request(method, self._base + path, headers=headers, content=content)
                if may_leave is not None:
                    request.extensions["trace"] = _asking(may_leave)
                return await _exchange(shard.pool, request)
        except TimeoutError:
            raise TransportError(
                f"no answer within {self._timeout:g} s", sent=True, timeout=True
            ) from None
        except (httpx.ConnectError, httpx.UnsupportedProtocol) as error:
            raise TransportError(f"can't connect: {_words(error)}", sent=False) from None
        except httpx.HTTPError as error:
            raise TransportError(
                f"the connection broke off ({type(error).__name__})", sent=True
            ) from None
        finally:
            shard.in_flight -= 1

    async def aclose(self) -> None:
        for shard in self._shards:
            await shard.pool.aclose()


async def _exchange(pool: httpx.AsyncHTTPTransport, request: httpx.Request) -> HttpAnswer:
    response = await pool.handle_async_request(request)
    try:
        body = Body(LARGEST_ANSWER)
        async for piece in response.aiter_raw():
            body.add(piece)
    except TooLarge as error:
        raise TransportError(str(error), sent=True) from None
    finally:
        await response.aclose()
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpAnswer(response.status_code, headers, body.content)


_WRITES = frozenset({"http11.send_request_headers.started", "http11.send_request_body.started"})


def _asking(may_leave: Callable[[], bool]) -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
    """Ask `may_leave` when httpcore tells that it is about to write.

    https://www.encode.io/httpcore/extensions/#trace
    """

    async def trace(event: str, _: Mapping[str, Any]) -> None:
        if event in _WRITES and not may_leave():
            raise RequestWithheld

    return trace


def _words(error: Exception) -> str:
    said = str(error)
    return cause(error) or (said.splitlines()[0][:100] if said else "nobody answers there")
