"""Opening a ledger: it is private, it is migrated, and files of others are left alone."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from rotator.errors import LedgerError
from rotator.ledger import SqlLedger, fingerprint_key
from rotator.ledger.engine import Database
from rotator.ledger.schema import APPLICATION_ID, MIGRATIONS, metadata
from tests.support.ledger_values import RECORD, RUN, now

NEXT = ("ALTER TABLE connections ADD COLUMN owner TEXT", "CREATE TABLE owners (name TEXT)")
"""A step that a later version could add."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def ask(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db, db:
        return db.execute(query).fetchall()


def pragma(path: Path, name: str) -> object:
    ((value,),) = ask(path, f"PRAGMA {name}")
    return value


# Made


def test_a_new_ledger_is_marked_and_durable(path: Path) -> None:
    database = Database(path)
    with database.transaction() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2, "FULL"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
    database.close()
    assert pragma(path, "journal_mode") == "wal"
    assert pragma(path, "application_id") == APPLICATION_ID
    assert pragma(path, "user_version") == len(MIGRATIONS)
    assert pragma(path, "integrity_check") == "ok"


def test_the_migrations_create_the_tables_that_are_used(path: Path) -> None:
    Database(path).close()
    for table in metadata.sorted_tables:
        made = ask(path, f"PRAGMA table_info({table.name})")
        columns = {name: bool(required or key) for _, name, _, required, _, key in made}
        assert columns == {column.name: not column.nullable for column in table.columns}, table.name


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


async def test_the_files_are_private_whatever_the_umask(path: Path) -> None:
    with umask(0):
        ledger = await SqlLedger.open(path, now)
        await ledger.begin(RUN)
        async with ledger.lock("openai"):
            fingerprint_key(path.with_suffix(".key"))
    made = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    names = {"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock"}
    assert made == dict.fromkeys(names | {"ledger.db.openai.lock", "ledger.key"}, 0o600)
    await ledger.aclose()


@pytest.mark.parametrize("name", ["50%25.db", "a b#c.db", "x?mode=ro", "ü.db", ":memory:"])
async def test_any_name_is_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    ledger = await SqlLedger.open(tmp_path / name, now)
    await ledger.write(RECORD)
    await ledger.aclose()
    assert ask(tmp_path / name, "SELECT connection FROM connections") == [("a",)]
    assert {file.name for file in tmp_path.iterdir()} == {name, f"{name}.lock"}


# Migrated


async def test_a_migration_keeps_what_the_ledger_holds(path: Path) -> None:
    ledger = await SqlLedger.open(path, now)
    await ledger.begin(RUN)
    await ledger.write(RECORD)
    await ledger.aclose()

    Database(path, steps=(*MIGRATIONS, NEXT)).close()
    assert pragma(path, "user_version") == len(MIGRATIONS) + 1
    query = "SELECT connection, fingerprint, owner FROM connections"
    assert ask(path, query) == [("a", RECORD.fingerprint, None)]
    assert ask(path, "SELECT id FROM runs") == [(RUN.id,)]
    Database(path, steps=(*MIGRATIONS, NEXT)).close()


def test_a_step_that_fails_undoes_all_of_them(path: Path) -> None:
    Database(path).close()
    wrong = ("CREATE TABLE more (x TEXT)", "CREATE TABLE runs (twice TEXT)")
    with pytest.raises(LedgerError, match="SQLite says"):
        Database(path, steps=(*MIGRATIONS, NEXT, wrong))
    assert pragma(path, "user_version") == len(MIGRATIONS)
    tables = {name for (name,) in ask(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == set(metadata.tables)


def test_a_newer_ledger_is_refused_and_left_alone(path: Path) -> None:
    Database(path, steps=(*MIGRATIONS, NEXT)).close()
    before = path.read_bytes()
    known = len(MIGRATIONS)
    words = rf"newer rotator \(schema {known + 1}, this one knows {known}\)"
    with pytest.raises(LedgerError, match=words):
        Database(path)
    assert path.read_bytes() == before


# Files of others


def _text(path: Path) -> None:
    path.write_bytes(b"these are not the bytes of a database, and there are many of them" * 20)


def _half_a_ledger(path: Path) -> None:
    Database(path).close()
    os.truncate(path, 6000)


def _scrambled_ledger(path: Path) -> None:
    Database(path).close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xa5" * (len(content) - 100))


def _theirs(*statements: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            for statement in statements:
                db.execute(statement)

    return make


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(_text, "not a ledger of rotator", id="text"),
        pytest.param(_half_a_ledger, "damaged", id="half a ledger"),
        pytest.param(_scrambled_ledger, "damaged", id="scrambled"),
        pytest.param(_theirs("CREATE TABLE theirs (x)"), "not a ledger of rotator", id="tables"),
        pytest.param(
            _theirs("CREATE TABLE runs (x)", "PRAGMA user_version = 1"),
            "not a ledger of rotator",
            id="tables of the same name and version",
        ),
        pytest.param(_theirs("PRAGMA application_id = 7"), "not a ledger of rotator", id="marked"),
    ],
)
def test_a_file_that_is_not_a_ledger_is_refused_and_left_alone(
    path: Path, make: Callable[[Path], None], words: str
) -> None:
    make(path)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=words):
        Database(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.touch()
    Database(path).close()
    assert pragma(path, "user_version") == len(MIGRATIONS)


def test_places_that_cant_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for place, words in {
        "nowhere/ledger.db": "the folder .*nowhere does not exist; make it first",
        ".": "this is a folder",
        "file/ledger.db": "can't be written: Not a directory",
        "pipe": "not a regular file",
        "/dev/null": "not a regular file",
        "/proc/ledger.db": "can't be written",
        "x" * 300: "can't be written: File name too long",
        "a\0b": "is not a path",
    }.items():
        with pytest.raises(LedgerError, match=words):
            Database(tmp_path / place)


def test_locked_while_it_is_opened(path: Path) -> None:
    Database(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="another program keeps it locked"):
            Database(path, busy=0.05)
    Database(path, busy=0.05).close()


def test_another_process_that_never_finishes_opening_it(path: Path) -> None:
    from filelock import FileLock

    with (
        FileLock(path.with_name("ledger.db.lock")),
        pytest.raises(LedgerError, match="another program keeps it locked"),
    ):
        Database(path, busy=0.05)
    Database(path, busy=0.05).close()
