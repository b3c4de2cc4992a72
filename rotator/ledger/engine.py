"""Opening the SQLite file: settings, schema, and errors in plain words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from rotator.errors import LedgerError
from rotator.ledger.schema import APPLICATION_ID, MIGRATIONS

_BUSY = 10.0
"""Seconds to wait for another process that writes to the same ledger."""


def open_engine(path: Path) -> sa.Engine:
    """The engine of a ledger with the present schema. Raises LedgerError."""
    _create_private(path)
    engine = sa.create_engine(
        f"sqlite:///{path.absolute()}",
        connect_args={"timeout": _BUSY, "check_same_thread": False},
        poolclass=sa.StaticPool,
    )
    sa.event.listen(engine, "connect", _configure)
    sa.event.listen(engine, "begin", _begin)
    with translated(path):
        _migrate(engine, path)
    return engine


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLAlchemy's errors → LedgerError; theirs carry statements with their parameters."""
    try:
        yield
    except DatabaseError as error:
        raise LedgerError(f"ledger {path}: {_plain(error.orig)}") from None
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {path}: {type(error).__name__}") from None


def _plain(error: BaseException | None) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    for prefix, words in _WORDS.items():
        if name.startswith(prefix):
            return words
    return f"SQLite says {name or type(error).__name__}"


_WORDS = {
    "SQLITE_NOTADB": "this file is no ledger of rotator; name another one in ledger.url",
    "SQLITE_CORRUPT": "the file is damaged; restore it, or move it away: then every credential "
    "is put once more",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "it can't be written; check the folder's owner and whether it is read-only",
    "SQLITE_CANTOPEN": "it can't be opened; check that its folder exists and is writable",
    "SQLITE_PERM": "it can't be opened; check its owner",
    "SQLITE_BUSY": "another program keeps it locked",
    "SQLITE_LOCKED": "another program keeps it locked",
    "SQLITE_IOERR": "the disk does not read or write it",
}


def _create_private(path: Path) -> None:
    """SQLite gives its -wal and -shm files the mode of the database, so this one is made first."""
    if not path.parent.is_dir():
        raise LedgerError(f"ledger {path}: the folder {path.parent} does not exist; make it first")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except IsADirectoryError:
        raise LedgerError(f"ledger {path}: this is a folder; name a file in it") from None
    except OSError as error:
        raise LedgerError(f"ledger {path}: it can't be written: {error.strerror}") from None


def _configure(connection: sqlite3.Connection, _: Any) -> None:
    # Transactions are begun by us: sqlite3 would begin them late, and not around DDL.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _migrate(engine: sa.Engine, path: Path) -> None:
    with engine.begin() as connection:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if version == len(MIGRATIONS):
            return
        if version > len(MIGRATIONS):
            raise LedgerError(
                f"ledger {path}: written by a newer rotator (schema {version}, this one knows "
                f"{len(MIGRATIONS)}); use that version, or another file"
            )
        foreign = connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
        if version == 0 and foreign:
            raise LedgerError(f"ledger {path}: {_WORDS['SQLITE_NOTADB']}")
        for step in MIGRATIONS[version:]:
            for statement in step:
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {len(MIGRATIONS)}")
