"""The ledger among real processes: killed at every step, crowded, and on a full disk."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from rotator.errors import RunInProgress
from rotator.ledger import SqlLedger
from rotator.ledger.engine import Database
from rotator.ledger.schema import MIGRATIONS
from rotator.model.record import Stage
from rotator.model.run import RunResult
from tests.support import ledger_process
from tests.support.ledger_process import INTENDED, NOW, OUTCOME, PUT, RUN, SEEN, STEPS, VERIFIED

DEADLINE = 60.0


class Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def hears(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            return (await self._process.stdout.readline()).decode().rstrip("\n")

    def tell(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def kill(self) -> list[str]:
        """What it had said whole and was not yet heard."""
        if self._process.returncode is None:
            self._process.kill()
        return (await self.end())[:-1]

    async def end(self) -> list[str]:
        async with asyncio.timeout(DEADLINE):
            out, err = await self._process.communicate()
        assert self._process.returncode in {0, -9}, err.decode()
        return out.decode().split("\n")


Start = Callable[[str], Awaitable[Child]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def start(path: Path) -> AsyncIterator[Start]:
    processes: list[asyncio.subprocess.Process] = []

    async def begin(role: str) -> Child:
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
        processes.append(process)
        return Child(process)

    yield begin
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def reopened(path: Path) -> SqlLedger:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return await SqlLedger.open(path, lambda: NOW)


@pytest.mark.parametrize("during", [False, True], ids=["after", "during the next"])
@pytest.mark.parametrize("steps", range(len(STEPS) + 1), ids=["lock", *STEPS])
async def test_killed_at_any_step(path: Path, start: Start, steps: int, during: bool) -> None:
    child = await start("story")
    assert await child.hears() == "locked"
    said = []
    for _ in range(steps):
        child.tell()
        said.append(await child.hears())
    if during:
        child.tell()
    said += await child.kill()
    assert said == list(STEPS[: len(said)])

    # The step that it was killed in is there wholly or not at all.
    ledger = await reopened(path)
    states = [None, None, None, INTENDED, PUT, VERIFIED, VERIFIED]
    possible = states[len(said) : len(said) + 1 + during]
    record = (await ledger.records("prod")).get("a")
    assert record in possible
    outcomes = await ledger.outcomes()
    assert outcomes == ((OUTCOME,) if record == VERIFIED else ())
    if "seen" in said:
        assert await ledger.seen_versions("openai") == SEEN

    async with ledger.lock("openai"):
        run = await ledger.last_run("openai")
    if "begin" in said:
        assert run is not None
        assert run.finished_at == NOW
    if run is not None and run.result is RunResult.INTERRUPTED:
        assert run.reason == "the process ended before the run did"
        assert "finish" not in said
    await ledger.aclose()


async def test_killed_while_64_write_at_once(path: Path, start: Start) -> None:
    child = await start("many")
    acknowledged = {await child.hears() for _ in range(500)}
    acknowledged.update(await child.kill())

    ledger = await reopened(path)
    records = await ledger.records("prod")
    verified = {name for name, record in records.items() if record.stage is Stage.VERIFIED}
    assert acknowledged <= verified
    settled = [outcome.connection for outcome in await ledger.outcomes(limit=1_000_000)]
    assert set(settled) == verified, "a state without its outcome, or the other way round"
    assert len(settled) == len(verified)
    assert len(records) - len(acknowledged) <= 2 * 64, "more than was under way"
    await ledger.aclose()


async def test_killed_inside_a_transaction(path: Path, start: Start) -> None:
    child = await start("inside")
    assert await child.hears() == "inside"
    await child.kill()
    ledger = await reopened(path)
    assert await ledger.runs() == ()
    await ledger.aclose()


async def test_killed_inside_a_migration(path: Path, start: Start) -> None:
    before = await SqlLedger.open(path, lambda: NOW)
    await before.begin(RUN)
    await before.aclose()
    child = await start("migrate")
    assert await child.hears() == "altered"
    await child.kill()

    ledger = await reopened(path)
    assert await ledger.runs() == (RUN,)
    await ledger.aclose()
    Database(path, steps=(*MIGRATIONS, ("ALTER TABLE runs ADD COLUMN extra TEXT",))).close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT id, extra FROM runs").fetchall() == [(RUN.id, None)]
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


async def test_a_second_process_is_refused_until_the_first_is_dead(
    path: Path, start: Start
) -> None:
    child = await start("story")
    await child.hears()
    child.tell()
    assert await child.hears() == "begin"
    ledger = await SqlLedger.open(path, lambda: NOW)
    with pytest.raises(RunInProgress, match="run-dead") as refused:
        await ledger.lock("openai").__aenter__()
    assert refused.value.run_id == RUN.id
    async with ledger.lock("another"):
        run = await ledger.last_run("openai")
    assert run == RUN, "it is under way, so nobody may close it"
    await child.kill()
    async with ledger.lock("openai"):
        run = await ledger.last_run("openai")
    assert run is not None
    assert run.result is RunResult.INTERRUPTED
    await ledger.aclose()


async def test_a_crowd_that_starts_at_once_makes_one_ledger_and_one_key(
    path: Path, start: Start
) -> None:
    children = [await start("start") for _ in range(8)]
    for child in children:
        assert await child.hears() == "ready"
    for child in children:
        child.tell()
    fingerprints = {(await child.end())[0] for child in children}
    assert len(fingerprints) == 1
    assert "" not in fingerprints
    ledger = await reopened(path)
    assert len(await ledger.runs()) == len(children)
    await ledger.aclose()
    assert {file.name for file in path.parent.iterdir()} == {
        "ledger.db",
        "ledger.db.lock",
        "ledger.key",
    }


async def test_a_full_disk_is_said_loses_nothing_and_passes(path: Path, start: Start) -> None:
    child = await start("full")
    told = json.loads((await child.end())[0])
    assert len(told["said"]) == 2, "the write that fails, and the probe after it"
    for words in told["said"]:
        assert words.startswith(f"ledger {path}: the disk ")
    assert 0 < told["written"] < 1000
    ledger = await reopened(path)
    names = {run.id for run in await ledger.runs(limit=10_000)}
    assert names == {f"run-{number}" for number in range(told["written"])} | {"after"}
    await ledger.aclose()
