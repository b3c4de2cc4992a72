"""The ledgers that exist, each opened as several processes open it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from rotator.ledger import SqlLedger
from rotator.ports import LedgerReader, RunLedger
from tests.support import ledger_process
from tests.support.ledger_values import NOW
from tests.support.memory_ledger import MemoryStore

DEADLINE = 60.0


class WholeLedger(RunLedger, LedgerReader, Protocol):
    async def aclose(self) -> None: ...


class Store(Protocol):
    """The place of one ledger, which is empty at first. For its ledger, it is always NOW."""

    async def open(self) -> WholeLedger:
        """Another handle on the same ledger, as another process has it."""
        ...

    async def run_elsewhere(self) -> Callable[[], Awaitable[None]]:
        """Start another process that holds the lock of `openai` and has begun `run-dead`.

        Returns what kills that process.
        """
        ...

    async def aclose(self) -> None:
        """Close every handle and end every process."""
        ...


class LedgerProcess:
    """`ledger_process.py`, with a SQLite ledger."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, role: str, path: Path) -> LedgerProcess:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            ledger_process.__file__,
            role,
            str(path),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        return cls(process)

    async def hears(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            return (await self._process.stdout.readline()).decode().rstrip("\n")

    def tell(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def kill(self) -> list[str]:
        """Kill it; the whole lines that it printed and nobody has read."""
        if self._process.returncode is None:
            self._process.kill()
        return (await self.end())[:-1]

    async def end(self) -> list[str]:
        async with asyncio.timeout(DEADLINE):
            out, err = await self._process.communicate()
        assert self._process.returncode in {0, -9}, err.decode()
        return out.decode().split("\n")

    async def aclose(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()


class SqliteStore:
    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger.db"
        self._opened: list[SqlLedger] = []
        self._processes: list[LedgerProcess] = []

    async def open(self) -> WholeLedger:
        ledger = await SqlLedger.open(self._path, lambda: NOW)
        self._opened.append(ledger)
        return ledger

    async def run_elsewhere(self) -> Callable[[], Awaitable[None]]:
        process = await LedgerProcess.start("story", self._path)
        self._processes.append(process)
        assert await process.hears() == "locked"
        process.tell()
        assert await process.hears() == "begin"

        async def kill() -> None:
            await process.kill()

        return kill

    async def aclose(self) -> None:
        for process in self._processes:
            await process.aclose()
        for ledger in self._opened:
            await ledger.aclose()


STORES: dict[str, Callable[[Path], Store]] = {
    "sqlite": SqliteStore,
    "memory": lambda _: MemoryStore(lambda: NOW),
}
