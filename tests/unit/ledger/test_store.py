"""What only a ledger in SQLite has: damage, the lock's file, and bytes on the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from rotator.errors import LedgerError
from rotator.ledger import SqlLedger, fingerprint_key
from rotator.model.run import ActedOn, Result
from rotator.model.secret import SecretRef
from tests.support.ledger_values import RECORD, RUN, now, settled


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SqlLedger]:
    opened = await SqlLedger.open(path, now)
    yield opened
    await opened.aclose()


async def _read_all(ledger: SqlLedger) -> None:
    await ledger.all_records()
    await ledger.outcomes()
    await ledger.runs()
    await ledger.acted_on("openai")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE connections SET stage = 'halfway'", "record whose stage"),
        ("UPDATE connections SET at = 'yesterday'", "record whose at"),
        ("UPDATE connections SET verified_at = x'00ff'", "record whose verified_at"),
        ("UPDATE connections SET older_versions = '7'", "record whose older_versions"),
        ("UPDATE outcomes SET result = 'perhaps'", "outcome whose result"),
        ("UPDATE runs SET counts = '{'", "run whose counts"),
        ("UPDATE acted_on SET ref = '[]'", "secret version whose reference"),
        ("UPDATE connections SET error = CAST(x'ff' AS TEXT)", "ledger.db: SQLite says"),
        ("DROP TABLE connections", "ledger.db: SQLite says"),
    ],
)
async def test_a_value_that_cant_be_read_is_named(
    ledger: SqlLedger, path: Path, damage: str, words: str
) -> None:
    await ledger.begin(RUN)
    await ledger.settle([settled(record=RECORD)])
    await ledger.remember("openai", {("prod", "a"): ActedOn(SecretRef("vault", "x"), "1")})
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(damage)
    with pytest.raises(LedgerError, match=words):
        await _read_all(ledger)


async def test_a_lock_that_cant_be_taken_is_named(ledger: SqlLedger, path: Path) -> None:
    path.with_name("ledger.db.openai.lock").mkdir()
    with pytest.raises(LedgerError, match=r"lock .*ledger\.db\.openai\.lock can't be taken"):
        await ledger.lock("openai").__aenter__()


async def test_what_is_remembered_unchanged_costs_no_write(ledger: SqlLedger, path: Path) -> None:
    known = {
        ("prod", f"c-{number}"): ActedOn(SecretRef("vault", f"flink/c-{number}"), "1")
        for number in range(1000)
    }
    await ledger.remember("openai", known)
    log = path.with_name("ledger.db-wal")
    before = log.stat().st_size
    await ledger.remember("openai", known)
    assert log.stat().st_size == before
    await ledger.remember("openai", {**known, ("prod", "c-7"): ActedOn(SecretRef("x", "y"), "1")})
    assert log.stat().st_size > before


async def test_no_value_reaches_the_disk(ledger: SqlLedger, path: Path) -> None:
    canary = "canary-3b1f8f6e"
    key = fingerprint_key(path.with_suffix(".key"))
    fingerprint = key.fingerprint({"api-key": canary})
    record = replace(RECORD, fingerprint=fingerprint, verified_fingerprint=fingerprint)
    await ledger.begin(RUN)
    await ledger.write(record)
    await ledger.settle([settled(record=record, fingerprint=fingerprint, result=Result.FAILED)])

    written = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert fingerprint.encode() in written["ledger.db-wal"]
    await ledger.aclose()
    written["closed"] = path.read_bytes()
    assert fingerprint.encode() in written["closed"]
    for name, content in written.items():
        assert canary.encode() not in content, name
        if name != "ledger.key":
            assert key.key not in content, name
            assert key.key.hex().encode() not in content, name
