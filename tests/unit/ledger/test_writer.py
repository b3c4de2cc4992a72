"""Many callers write at once, and none loses or delays the work of another."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rotator.errors import LedgerError
from rotator.ledger import SqlLedger
from rotator.ledger.engine import Database
from rotator.ledger.writer import Writer
from tests.support.ledger_values import RECORD, RUN, now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[Writer]:
    made = Writer(Database(path, busy=0.05))
    yield made
    await made.aclose()


@pytest.fixture
def ledger(writer: Writer, path: Path) -> SqlLedger:
    return SqlLedger(writer, path, now)


class Held:
    """Work that occupies the writer's thread until it is released."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.release = threading.Event()

    def __call__(self, _: sa.Connection) -> None:
        self.begun.set()
        assert self.release.wait(30)


async def test_many_at_once_share_a_transaction_and_none_is_lost(
    writer: Writer, ledger: SqlLedger
) -> None:
    transactions: set[int] = set()

    def note(db: sa.Connection) -> None:
        transactions.add(id(db.get_transaction()))

    held = Held()
    first = asyncio.create_task(writer.do(held))
    await asyncio.to_thread(held.begun.wait)
    names = [f"c-{number}" for number in range(300)]
    asking: list[Any] = [ledger.write(replace(RECORD, connection=name)) for name in names]
    asking += [writer.do(note) for _ in range(300)]
    gathered = asyncio.gather(*asking)
    await asyncio.sleep(0)
    held.release.set()
    await first
    await gathered
    assert len(transactions) == 1
    assert set(await ledger.records("prod")) == set(names)


async def test_one_that_cant_be_written_doesnt_take_the_others_with_it(ledger: SqlLedger) -> None:
    bad = replace(RECORD, connection="bad", fingerprint=None)  # type: ignore[arg-type] # on purpose
    answers = await asyncio.gather(
        ledger.check(),
        ledger.write(RECORD),
        ledger.write(bad),
        ledger.begin(RUN),
        ledger.begin(RUN),
        return_exceptions=True,
    )
    failed = [isinstance(answer, LedgerError) for answer in answers]
    assert failed == [False, False, True, False, True]
    assert set(await ledger.records("prod")) == {"a"}
    assert await ledger.runs() == (RUN,)


async def test_a_cancelled_caller_loses_nothing_and_delays_no_other(
    writer: Writer, ledger: SqlLedger
) -> None:
    held = Held()
    first = asyncio.create_task(writer.do(held))
    await asyncio.to_thread(held.begun.wait)
    tasks = [
        asyncio.create_task(ledger.write(replace(RECORD, connection=f"c-{number}")))
        for number in range(10)
    ]
    await asyncio.sleep(0)
    for task in (first, *tasks[::2]):
        task.cancel()
    held.release.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError, type(None)] * 5
    assert len(await ledger.records("prod")) == 10


async def test_closing_writes_what_was_asked_for_and_nothing_more(
    writer: Writer, ledger: SqlLedger, path: Path
) -> None:
    held = Held()
    first = asyncio.create_task(writer.do(held))
    await asyncio.to_thread(held.begun.wait)
    last = asyncio.create_task(ledger.write(RECORD))
    await asyncio.sleep(0)
    closing_ = asyncio.create_task(ledger.aclose())
    await asyncio.sleep(0)
    with pytest.raises(LedgerError, match="is closed"):
        await ledger.check()
    held.release.set()
    await asyncio.gather(first, last, closing_)
    await ledger.aclose()
    assert {file.name for file in path.parent.iterdir()} == {"ledger.db", "ledger.db.lock"}
    again = await SqlLedger.open(path, now)
    assert await again.all_records() == (RECORD,)
    await again.aclose()


def test_writes_are_answered_while_the_loop_cancels_its_tasks(path: Path) -> None:
    """asyncio.run cancels tasks at its end, in any order."""
    ended: list[str] = []

    async def writes_at_its_end(ledger: SqlLedger, name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await ledger.write(replace(RECORD, connection=name))
            ended.append(name)

    async def main() -> SqlLedger:
        ledger = await SqlLedger.open(path, now)
        names = [f"c-{number}" for number in range(5)]
        tasks = [asyncio.create_task(writes_at_its_end(ledger, name)) for name in names]
        tasks += [asyncio.create_task(ledger.check()) for _ in range(5)]
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert set(await ledger.records("prod")) == set(names)
        await ledger.aclose()
        return ledger

    asyncio.run(main())
    assert len(ended) == 5


async def test_while_another_program_locks_it_all_callers_wait_once(
    ledger: SqlLedger, path: Path
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        loop = asyncio.get_running_loop()
        before = loop.time()
        answers = await asyncio.gather(
            *(ledger.write(RECORD) for _ in range(100)), return_exceptions=True
        )
        assert loop.time() - before < 100 * 0.05, "each waited for itself"
        assert {str(answer) for answer in answers} == {
            f"ledger {path}: another program keeps it locked"
        }
        with pytest.raises(LedgerError, match="locked"):
            await ledger.check()
    await ledger.write(RECORD)
    assert await ledger.all_records() == (RECORD,)


async def test_the_probe_writes_a_page_and_the_file_stays_as_it_is(
    ledger: SqlLedger, path: Path
) -> None:
    await ledger.begin(RUN)
    log = path.with_name("ledger.db-wal")
    size = log.stat().st_size
    await ledger.check()
    assert log.stat().st_size > size, "a full disk would not be found"
    await ledger.aclose()
    size = path.stat().st_size
    again = await SqlLedger.open(path, now)
    for _ in range(50):
        await again.check()
    await again.aclose()
    assert path.stat().st_size == size


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_is_moved_or_replaced_is_noticed(
    ledger: SqlLedger, path: Path, replaced: bool
) -> None:
    """SQLite would go on writing to a file that no other process can find."""
    await ledger.begin(RUN)
    aside = path.rename(path.with_name("aside.db"))
    if replaced:
        path.write_bytes(b"")
    for refused in (ledger.check(), ledger.write(RECORD), ledger.runs()):
        with pytest.raises(LedgerError, match="moved, removed or replaced"):
            await refused
    aside.replace(path)
    await ledger.check()
    assert await ledger.runs() == (RUN,)
    assert await ledger.all_records() == ()
