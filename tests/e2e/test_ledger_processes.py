"""The ledger with real processes: killed at every step, started at once, on a full disk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from rotator.ledger import SqlLedger
from rotator.ledger.engine import Database
from rotator.ledger.schema import MIGRATIONS
from rotator.model.record import Stage
from rotator.model.run import RunResult
from tests.support.ledger_process import ACTED_ON, INTENDED, NOW, OUTCOME, PUT, RUN, STEPS, VERIFIED
from tests.support.ledgers import LedgerProcess

Start = Callable[[str], Awaitable[LedgerProcess]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def start(path: Path) -> AsyncIterator[Start]:
    processes: list[LedgerProcess] = []

    async def begin(role: str) -> LedgerProcess:
        process = await LedgerProcess.start(role, path)
        processes.append(process)
        return process

    yield begin
    for process in processes:
        await process.aclose()


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

    # Of the step that it was killed in, everything is there or nothing.
    ledger = await reopened(path)
    states = [None, None, None, INTENDED, PUT, VERIFIED, VERIFIED]
    possible = states[len(said) : len(said) + 1 + during]
    record = (await ledger.records("prod")).get("a")
    assert record in possible
    outcomes = await ledger.outcomes()
    assert outcomes == ((OUTCOME,) if record == VERIFIED else ())
    if "remember" in said:
        assert await ledger.acted_on("openai") == ACTED_ON

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


async def test_a_full_disk_is_reported_and_loses_nothing(path: Path, start: Start) -> None:
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
