"""The server: addresses that can't be had, clients that dawdle, and its end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest

from rotator.errors import ListenError
from rotator.web.app import create_app
from rotator.web.server import serving
from tests.support.http_state import HeldState, web

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DEADLINE = 10.0
"""Seconds that a test waits for what takes a moment."""


@asynccontextmanager
async def connected(client: httpx.AsyncClient) -> AsyncIterator[socket.socket]:
    """A bare connection with a small buffer, so that what isn't taken stays with the server."""
    with socket.socket() as raw:
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = client.base_url
        await asyncio.get_running_loop().sock_connect(raw, (url.host, url.port))
        yield raw


async def send(raw: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(raw, data)


async def everything(raw: socket.socket) -> bytes:
    """Until the server ends the connection, in whatever way."""
    received = b""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                part = await asyncio.get_running_loop().sock_recv(raw, 65_536)
            except ConnectionResetError:
                return received
            if not part:
                return received
            received += part


def nothing(_: str) -> tuple[bytes, str]:
    return b"", "text/plain"


def long_scrape(_: str) -> tuple[bytes, str]:
    """Longer than all the buffers between the server and a client that doesn't read."""
    return b"# x\n" * 5_000_000, "text/plain"


async def test_it_answers_as_soon_as_its_address_is_known() -> None:
    app = create_app(HeldState(NOW).view, nothing, None)
    async with serving(app, "localhost", 0) as address, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"http://{address}/livez")).status_code == 200


async def test_signals_stay_with_the_daemon() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    async with web(HeldState(NOW)) as client:
        assert (await client.get("/livez")).status_code == 200
        assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize(
    ("host", "port", "remedy"),
    [
        ("192.0.2.1", 0, "no such address"),
        ("no-such-host.invalid", 9464, "no address"),
        ("a..b", 9464, "no address"),
    ],
)
async def test_an_address_that_cant_be_used_is_one_line(host: str, port: int, remedy: str) -> None:
    app = create_app(HeldState(NOW).view, nothing, None)
    with pytest.raises(ListenError) as refused:
        async with serving(app, host, port):
            raise AssertionError("it serves")
    text = str(refused.value)
    assert text.startswith(f"http.listen {host}:{port}: ")
    assert remedy in text
    assert "\n" not in text


async def test_a_port_in_use_is_one_line() -> None:
    app = create_app(HeldState(NOW).view, nothing, None)
    async with serving(app, "127.0.0.1", 0) as address:
        with pytest.raises(ListenError, match=f"http.listen {address}: the port is in use"):
            async with serving(app, "127.0.0.1", int(address.rpartition(":")[2])):
                raise AssertionError("it serves")
    async with serving(app, "127.0.0.1", int(address.rpartition(":")[2])) as again:
        assert again == address


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nX-Slow: ",
        b"POST /api/v1/rotations/x/run HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1",
    ],
)
async def test_a_request_that_never_ends_is_cut(start: bytes) -> None:
    async with web(HeldState(NOW), deadline=0.2) as client, connected(client) as raw:
        await send(raw, start)
        await everything(raw)
        assert (await client.get("/livez")).status_code == 200


async def test_an_answer_that_is_taken_too_slowly_is_cut() -> None:
    async with (
        web(HeldState(NOW), long_scrape, deadline=0.5) as client,
        connected(client) as raw,
    ):
        await send(raw, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        received = 0
        async with asyncio.timeout(DEADLINE):
            while part := await asyncio.get_running_loop().sock_recv(raw, 8192):
                received += len(part)
                await client.get("/livez")
        assert 0 < received < 20_000_000


async def test_slow_clients_keep_no_probe_out_for_long() -> None:
    async with web(HeldState(NOW), deadline=0.5) as client:
        dawdlers = [
            await asyncio.open_connection(client.base_url.host, client.base_url.port)
            for _ in range(120)
        ]
        statuses = []
        async with asyncio.timeout(DEADLINE):
            while 200 not in statuses:
                answer = await client.get("/livez", headers={"Connection": "close"})
                statuses.append(answer.status_code)
        assert statuses[0] == 503, "this many were meant to fill it"
        for _, writer in dawdlers:
            writer.close()


async def test_headers_without_end_are_refused() -> None:
    async with web(HeldState(NOW)) as client, connected(client) as raw:
        await send(raw, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20_000)
        assert (await everything(raw)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "start", [b"", b"GET /livez HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]
)
async def test_it_ends_soon_whatever_clients_do(start: bytes) -> None:
    state = HeldState(NOW)
    state.answering.clear()
    loop = asyncio.get_running_loop()
    async with web(state) as client, connected(client) as raw:
        await send(raw, start)
        await client.get("/livez")
        asked = loop.time()
    assert loop.time() - asked < 3, "a drain has 10 s for everything"


async def test_an_answer_under_way_is_given_before_the_end() -> None:
    state = HeldState(NOW)
    state.answering.clear()
    app = create_app(state.view, nothing, None)
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as http:
        async with serving(app, "127.0.0.1", 0) as address:
            asked = asyncio.create_task(http.get(f"http://{address}/api/v1/runs"))
            await http.get(f"http://{address}/livez")
            asyncio.get_running_loop().call_later(0.3, state.answering.set)
        assert (await asked).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await http.get(f"http://{address}/livez")
