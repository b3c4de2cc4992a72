"""A process that uses a ledger, for tests to kill: `python ledger_process.py ROLE PATH`.

It prints a line for each write that the ledger says is durable. It waits for a line on standard
input before each step, so whoever kills it knows what it was doing.
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
from rotator.model.run import ActedOn, Outcome, Result, Run, Settlement
from rotator.model.secret import SecretRef

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RUN = Run("run-dead", "openai", "schedule", NOW)
INTENDED = Record("prod", "a", "openai", Stage.INTENDED, "f", "2", None, "7", RUN.id, NOW)
PUT = replace(INTENDED, stage=Stage.PUT, resource_version="8", put_at=NOW)
VERIFIED = replace(PUT, stage=Stage.VERIFIED, verified_fingerprint="f", verified_at=NOW)
OUTCOME = Outcome(RUN.id, "openai", "prod", "a", Result.ROTATED, "READY", NOW)
ACTED_ON = {("prod", "a"): ActedOn(SecretRef("vault", "flink/openai"), "2")}

STEPS = ("begin", "remember", "intend", "put", "settle", "finish")
"""What a run of one connection writes, in this order."""


def say(text: str) -> None:
    """Print a line with one write, so that lines never mix."""
    os.write(1, text.encode() + b"\n")


def told() -> bool:
    return bool(sys.stdin.readline())


async def story(path: Path) -> None:
    """Take the steps of one run, each when told."""
    ledger = await SqlLedger.open(path, lambda: NOW)
    acts: dict[str, Callable[[], Awaitable[None]]] = {
        "begin": lambda: ledger.begin(RUN),
        "remember": lambda: ledger.remember("openai", ACTED_ON),
        "intend": lambda: ledger.write(INTENDED),
        "put": lambda: ledger.write(PUT),
        "settle": lambda: ledger.settle([Settlement(VERIFIED, OUTCOME)]),
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
    """Write 64 records at once, without end."""
    ledger = await SqlLedger.open(path, lambda: NOW)

    async def endless(task: int) -> None:
        for number in range(1_000_000):
            name = f"{task}-{number}"
            await ledger.write(replace(INTENDED, connection=name))
            settled = replace(VERIFIED, connection=name), replace(OUTCOME, connection=name)
            await ledger.settle([Settlement(*settled)])
            say(name)

    await asyncio.gather(*(endless(task) for task in range(64)))


def inside(path: Path) -> None:
    """Stop in the middle of a transaction."""
    with Database(path).transaction() as connection:
        connection.execute(
            runs.insert().values(
                id="half", rotation="openai", trigger="http", started_at="", reason="", counts="{}"
            )
        )
        say("inside")
        told()


def migrate(path: Path) -> None:
    """Stop in the middle of a step that leads to a later schema."""

    def step() -> Iterator[str]:
        yield "ALTER TABLE runs ADD COLUMN extra TEXT"
        say("altered")
        told()
        yield "CREATE TABLE extras (x TEXT)"

    Database(path, steps=(*MIGRATIONS, step())).close()


async def start(path: Path) -> None:
    """Start as any process does that finds neither a ledger nor a key."""
    say("ready")
    told()
    ledger = await SqlLedger.open(path, lambda: NOW)
    key = fingerprint_key(path.with_suffix(".key"))
    await ledger.begin(replace(RUN, id=str(os.getpid())))
    await ledger.aclose()
    say(key.fingerprint({}))


async def full(path: Path) -> None:
    """Write on a disk that is full for a while; a limit of file size stands for the disk."""
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
