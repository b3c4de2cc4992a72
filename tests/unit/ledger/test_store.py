"""The ledger over real SQLite files."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotator.errors import LedgerError, RunInProgress
from rotator.ledger import SqlLedger, fingerprint_key
from rotator.ledger.engine import open_engine
from rotator.ledger.schema import MIGRATIONS
from rotator.ledger.store import KEPT
from rotator.model import Outcome, Record, Result, Run, RunResult, SecretRef, Stage

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RECORD = Record("prod", "a", "openai", Stage.INTENDED, "f" * 64, "v2", None, "7", "run-1", NOW, "u")
RUN = Run("run-1", "openai", "command", NOW)
OUTCOME = Outcome("run-1", "openai", "prod", "a", Result.ROTATED, "READY", NOW, verify_seconds=1.5)


def now() -> datetime:
    return NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SqlLedger]:
    opened = await SqlLedger.open(path, now)
    yield opened
    await opened.aclose()


async def test_what_is_written_is_read_again(ledger: SqlLedger, path: Path) -> None:
    await ledger.begin(RUN)
    await ledger.intend(RECORD)
    put = replace(RECORD, stage=Stage.PUT, resource_version="8")
    await ledger.put(put)
    verified = replace(
        put,
        stage=Stage.VERIFIED,
        phase="READY",
        verified_fingerprint="f" * 64,
        rotated_at=NOW,
        verified_at=NOW + timedelta(microseconds=1),
    )
    await ledger.settle(verified, OUTCOME)
    await ledger.finish(replace(RUN, finished_at=NOW, result=RunResult.SUCCEEDED, counts={"x": 1}))

    again = await SqlLedger.open(path, now)
    assert await again.records("prod") == {"a": verified}
    assert await again.outcomes() == (OUTCOME,)
    run, outcomes = await again.run("run-1") or (None, ())
    assert run == replace(RUN, finished_at=NOW, result=RunResult.SUCCEEDED, counts={"x": 1})
    assert outcomes == (OUTCOME,)
    assert await again.last_success("openai") == run
    await again.aclose()


async def test_globs_and_since(ledger: SqlLedger) -> None:
    for number in range(5):
        moment = NOW - timedelta(days=number)
        await ledger.settle(None, replace(OUTCOME, connection=f"c-{number}", at=moment))
    recent = await ledger.outcomes(since=NOW - timedelta(days=2))
    assert [outcome.connection for outcome in recent] == ["c-2", "c-1", "c-0"]
    assert [o.connection for o in await ledger.outcomes("c-[34]")] == ["c-4", "c-3"]


async def test_what_is_too_old_goes(ledger: SqlLedger) -> None:
    old = NOW - KEPT - timedelta(days=1)
    await ledger.begin(replace(RUN, id="old", started_at=old))
    await ledger.settle(None, replace(OUTCOME, at=old))
    await ledger.begin(RUN)
    assert await ledger.outcomes() == ()
    assert await ledger.run("old") is None


async def test_versions_that_were_seen(ledger: SqlLedger) -> None:
    ref = SecretRef("vault", "flink/openai", mount="kv")
    await ledger.seen("openai", {ref: "1"})
    await ledger.seen("openai", {ref: "2", SecretRef("aws", "x"): "7"})
    assert await ledger.seen_versions("openai") == {ref: "2", SecretRef("aws", "x"): "7"}
    assert await ledger.seen_versions("other") == {}


async def test_many_at_once_share_a_transaction_and_none_is_lost(ledger: SqlLedger) -> None:
    names = [f"c-{number}" for number in range(300)]
    await asyncio.gather(*(ledger.intend(replace(RECORD, connection=name)) for name in names))
    assert set(await ledger.records("prod")) == set(names)


async def test_one_that_cant_be_written_doesnt_take_the_others_with_it(ledger: SqlLedger) -> None:
    bad = replace(RECORD, connection="bad", fingerprint=None)  # type: ignore[arg-type] # on purpose
    answers = await asyncio.gather(
        ledger.intend(RECORD), ledger.intend(bad), ledger.check(), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [type(None), LedgerError, type(None)]
    assert set(await ledger.records("prod")) == {"a"}


async def test_one_run_of_a_rotation_at_a_time(ledger: SqlLedger, path: Path) -> None:
    other = await SqlLedger.open(path, now)
    async with ledger.lock("openai"):
        await ledger.begin(RUN)
        with pytest.raises(RunInProgress, match="run-1"):
            async with other.lock("openai"):
                pass
        async with other.lock("another"):
            pass
    async with other.lock("openai"):
        run, _ = await other.run("run-1") or (None, ())
        assert run is not None
        assert run.result is RunResult.INTERRUPTED, "nobody works on it any more"
    await other.aclose()


HOLDER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from rotator.ledger import SqlLedger
from rotator.model import Run

async def main():
    now = lambda: datetime.now(UTC)
    ledger = await SqlLedger.open(Path(sys.argv[1]), now)
    async with ledger.lock("openai"):
        await ledger.begin(Run("run-dead", "openai", "schedule", now()))
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_process_frees_the_lock_and_loses_nothing(
    ledger: SqlLedger, path: Path
) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    with pytest.raises(RunInProgress, match="run-dead"):
        async with ledger.lock("openai"):
            pass
    holder.kill()
    await holder.communicate()
    async with ledger.lock("openai"):
        run, _ = await ledger.run("run-dead") or (None, ())
        assert run is not None
        assert run.result is RunResult.INTERRUPTED


async def test_the_files_are_private(ledger: SqlLedger, path: Path) -> None:
    await ledger.begin(RUN)
    fingerprint_key(path.with_suffix(".key"))
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file.name


def test_many_processes_make_one_ledger_and_one_key(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rotator.ledger import fingerprint_key;"
        "from rotator.ledger.engine import open_engine; p = Path(sys.argv[1]);"
        "open_engine(p).dispose(); print(fingerprint_key(p.with_suffix('.key')).fingerprint({}))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    said = {process.communicate()[0] for process in started}
    assert len(said) == 1
    assert all(process.returncode == 0 for process in started)


def test_a_migration_that_was_killed_is_done_again(path: Path) -> None:
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN")
        db.execute(MIGRATIONS[0][0])
        db.execute("ROLLBACK")
    db.close()
    open_engine(path).dispose()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    db.close()


def test_a_newer_ledger_is_refused(path: Path) -> None:
    open_engine(path).dispose()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LedgerError, match="newer rotator"):
        open_engine(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"these are not the bytes of a database, and there are many of them" * 20, "no ledger"),
        (b"SQLite format 3\0" + os.urandom(4000), "ledger"),
    ],
    ids=["text", "half written"],
)
def test_what_is_no_ledger_is_refused_and_left_alone(
    path: Path, content: bytes, words: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=words):
        open_engine(path)
    assert path.read_bytes() == content


def test_somebody_elses_database_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(LedgerError, match="no ledger"):
        open_engine(path)
    with sqlite3.connect(path) as db:
        tables = db.execute("SELECT name FROM sqlite_schema").fetchall()
    db.close()
    assert tables == [("theirs",)]


def test_places_that_cant_be(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="does not exist"):
        open_engine(tmp_path / "nowhere" / "ledger.db")
    with pytest.raises(LedgerError, match="folder"):
        open_engine(tmp_path)
    with pytest.raises(LedgerError, match="can't be written"):
        open_engine(Path("/proc/ledger.db"))


FULL = """
import asyncio, resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from rotator.errors import LedgerError
from rotator.ledger import SqlLedger
from rotator.model import Run

async def main():
    now = lambda: datetime.now(UTC)
    ledger = await SqlLedger.open(Path(sys.argv[1]), now)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))
    try:
        for number in range(1000):
            await ledger.begin(Run(f"run-{number}", "openai", "x" * 2000, now()))
    except LedgerError as error:
        print(number, error)

asyncio.run(main())
"""


async def test_a_full_disk_is_said_and_what_was_written_stays(path: Path) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", FULL, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    number, _, said = done.stdout.partition(" ")
    assert "ledger" in said, done.stderr
    ledger = await SqlLedger.open(path, now)
    assert len(await ledger.runs(limit=1000)) == int(number)
    await ledger.aclose()


@pytest.mark.parametrize("content", [b"", b"abc\n", b"\xff\xfe" * 40, b"00" * 8])
def test_a_key_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="fingerprint key"):
        fingerprint_key(path)
    assert path.read_bytes() == content


def test_fingerprints(tmp_path: Path) -> None:
    key = fingerprint_key(tmp_path / "key")
    assert key == fingerprint_key(tmp_path / "key")
    assert key.fingerprint({"a": "1", "b": "2"}) == key.fingerprint({"b": "2", "a": "1"})
    assert key.fingerprint({"a": "1"}) != key.fingerprint({"a": "2"})
    assert key.fingerprint({"a": "1"}) != fingerprint_key(tmp_path / "2").fingerprint({"a": "1"})
    assert key.key.hex() not in repr(key)
