"""A process that uses a ledger, for tests to kill: `python ledger_process.py ROLE PATH`.

It prints a line after each durable write. Before each step it waits for a line on standard input,
so a test that kills it knows what it was doing.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rotator.errors import LedgerError
from rotator.ledger import SqlLedger, fingerprint_key
from rotator.ledger.engine import Database
from rotator.ledger.schema import MIGRATIONS, runs
from rotator.model.record import Record, Stage
from rotator.model.run import Outcome, Result, Run
from rotator.model.secret import SecretRef

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RUN = Run("run-dead", "openai", "schedule", NOW)
INTENDED = Record("prod", "a", "openai", Stage.INTENDED, "f", "2", None, "7", RUN.id, NOW)
PUT = replace(INTENDED, stage=Stage.PUT, resource_version="8")
VERIFIED = replace(PUT, stage=Stage.VERIFIED, verified_fingerprint="f", verified_at=NOW)
OUTCOME = Outcome(RUN.id, "openai", "prod", "a", Result.ROTATED, "READY", NOW)
SEEN = {SecretRef("vault", "flink/openai"): "2"}

STEPS = ("begin", "seen", "intend", "put", "settle", "finish")
"""What a run of one connection writes, in this order."""


def say(text: str) -> None:
    """Prints with one write, so that a line is never partial or out of order."""
    os.write(1, text.encode() + b"\n")


def told() -> bool:
    return bool(sys.stdin.readline())


async def story(path: Path) -> None:
    """One run, step by step, each on a line of input."""
    ledger = await SqlLedger.open(path, lambda: NOW)
    acts: dict[str, Callable[[], Awaitable[None]]] = {
        "begin": lambda: ledger.begin(RUN),
        "seen": lambda: ledger.seen("openai", SEEN),
        "intend": lambda: ledger.intend(INTENDED),
        "put": lambda: ledger.put(PUT),
        "settle": lambda: ledger.settle(VERIFIED, OUTCOME),
        "finish": lambda: ledger.finish(replace(RUN, finished_at=NOW)),
    }
    async with ledger.lock("openai"):
        say("locked")
        for step in STEPS:
            if not await asyncio.to_thread(told):
                return
            await acts[step]()
            say(step)
        await asyncio.to_thread(told)


async def many(path: Path) -> None:
    """64 writes at once, without end."""
    ledger = await SqlLedger.open(path, lambda: NOW)

    async def endless(task: int) -> None:
        for number in range(1_000_000):
            name = f"{task}-{number}"
            await ledger.intend(replace(INTENDED, connection=name))
            await ledger.settle(
                replace(VERIFIED, connection=name), replace(OUTCOME, connection=name)
            )
            say(name)

    await asyncio.gather(*(endless(task) for task in range(64)))


def inside(path: Path) -> None:
    """Stops in the middle of a transaction."""
    with Database(path).transaction() as connection:
        connection.execute(
            runs.insert().values(
                id="half", rotation="openai", trigger="http", started_at="", reason="", counts="{}"
            )
        )
        say("inside")
        told()


def migrate(path: Path) -> None:
    """Stops in the middle of a step to a later schema."""

    def step() -> Iterator[str]:
        yield "ALTER TABLE runs ADD COLUMN extra TEXT"
        say("altered")
        told()
        yield "CREATE TABLE extras (x TEXT)"

    Database(path, steps=(*MIGRATIONS, step())).close()


async def start(path: Path) -> None:
    """Starts as any process does that finds no ledger, or no key, or neither."""
    say("ready")
    told()
    ledger = await SqlLedger.open(path, lambda: NOW)
    key = fingerprint_key(path.with_suffix(".key"))
    await ledger.begin(replace(RUN, id=str(os.getpid())))
    await ledger.aclose()
    say(key.fingerprint({}))


async def full(path: Path) -> None:
    """Writes to a disk that is full for a while. A limit on the file size gives the same error."""
    ledger = await SqlLedger.open(path, lambda: NOW)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, most))
    written, said = 0, []
    try:
        while written < 1000:
            await ledger.begin(replace(RUN, id=f"run-{written}", reason="x" * 2000))
            written += 1
    except LedgerError as error:
        said.append(str(error))
    try:
        for _ in range(10):  # a page or two may have been left
            await ledger.check()
    except LedgerError as error:
        said.append(str(error))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    await ledger.check()
    await ledger.begin(replace(RUN, id="after"))
    await ledger.aclose()
    say(json.dumps({"written": written, "said": said}))


def main() -> None:
    role, path = sys.argv[1], Path(sys.argv[2])
    if role in {"inside", "migrate"}:
        {"inside": inside, "migrate": migrate}[role](path)
    else:
        asyncio.run({"story": story, "many": many, "start": start, "full": full}[role](path))


if __name__ == "__main__":
    main()
