"""A connection to a server that can be cut, so that one client of many loses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_CHUNK = 65536


@dataclass(slots=True)
class Way:
    """Forwards bytes on loopback. While cut, it accepts connections and bytes, and forwards
    nothing."""

    host: str
    port: int
    here: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        """What was in progress is lost, as after a real partition: clients connect again."""
        for writer in self._writers:
            writer.transport.abort()
        self._open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        await self._open.wait()
        if writer.transport.is_closing():
            return
        to_reader, to_writer = await asyncio.open_connection(self.host, self.port)
        self._writers.add(to_writer)
        for start, end in ((reader, to_writer), (to_reader, writer)):
            task = asyncio.create_task(self._pass(start, end))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, start: asyncio.StreamReader, end: asyncio.StreamWriter) -> None:
        try:
            while chunk := await start.read(_CHUNK):
                await self._open.wait()
                end.write(chunk)
                await end.drain()
        except ConnectionError:
            pass  # one side has gone; so does the other
        finally:
            end.close()

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def way_to(host: str, port: int) -> AsyncIterator[Way]:
    way = Way(host, port)
    way.mend()
    server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    way.here = server.sockets[0].getsockname()[1]
    try:
        yield way
    finally:
        server.close()
        await way.close()
