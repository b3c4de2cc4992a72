"""Opens the SQLite file: its settings, its schema, and its errors in plain words."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from rotator.errors import LedgerError
from rotator.ledger.lock import exclusive
from rotator.ledger.schema import APPLICATION_ID, MIGRATIONS

BUSY = 10.0
"""Seconds to wait for another process that writes to the same ledger."""


class Unfit(LedgerError):
    """The ledger works, but can't hold this value."""


class Database:
    """The SQLite file, migrated to the present schema. All methods block, and raise LedgerError.

    `busy` is in seconds.
    """

    def __init__(
        self, path: Path, *, steps: Sequence[Iterable[str]] = MIGRATIONS, busy: float = BUSY
    ) -> None:
        self.path = path
        _create_private(path)
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path.absolute())),
            connect_args={"timeout": busy, "check_same_thread": False},
            poolclass=sa.StaticPool,
        )
        sa.event.listen(self._engine, "connect", _configure)
        sa.event.listen(self._engine, "begin", _begin)
        try:
            self._prepare(steps, busy)
        except BaseException:
            self._engine.dispose()
            raise
        self._file = _identity(path)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Commits at its end. Raises Unfit if a constraint or an encoding refuses a value."""
        if _identity(self.path) != self._file:
            # SQLite would go on writing to a file that no later process finds.
            raise LedgerError(
                f"ledger {self.path}: it was moved, removed or replaced while in use; "
                "put it back, or restart rotator"
            )
        with translated(self.path), self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Closes the file. The last process to close it merges the -wal file into the ledger."""
        self._engine.dispose()

    def _prepare(self, steps: Sequence[Iterable[str]], busy: float) -> None:
        # SQLite fails instead of waiting while another process switches a new file to WAL.
        with exclusive(self.path.with_name(f"{self.path.name}.lock"), wait=busy) as held:
            if not held:
                raise LedgerError(f"ledger {self.path}: {_WORDS['SQLITE_BUSY']}")
            with translated(self.path):
                self._migrate(steps)
                self._set_durable()

    def _migrate(self, steps: Sequence[Iterable[str]]) -> None:
        with self._engine.begin() as connection:
            version = self._version(connection)
            if version > len(steps):
                raise LedgerError(
                    f"ledger {self.path}: written by a newer rotator (schema {version}, this one "
                    f"knows {len(steps)}); use that version, or another file"
                )
            if version == len(steps):
                return
            for step in steps[version:]:
                for statement in step:
                    connection.exec_driver_sql(statement)
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.exec_driver_sql(f"PRAGMA user_version = {len(steps)}")

    def _version(self, connection: sa.Connection) -> int:
        """The schema's number; 0 for an empty file. Raises LedgerError for any other file."""
        owner, version, content = (
            connection.exec_driver_sql(query).scalar_one()
            for query in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_schema",
            )
        )
        if owner != APPLICATION_ID and (owner or version or content):
            raise LedgerError(f"ledger {self.path}: {_WORDS['SQLITE_NOTADB']}")
        return int(version)

    def _set_durable(self) -> None:
        """Writes the journal mode into the file, so the file must be known to be a ledger."""
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            (mode,) = cursor.execute("PRAGMA journal_mode = WAL").fetchone()
            cursor.close()
        except sqlite3.Error as error:
            raise LedgerError(f"ledger {self.path}: {_plain(error)}") from None
        finally:
            connection.close()
        if mode != "wal":
            raise LedgerError(
                f"ledger {self.path}: its file system can't keep a write-ahead log; "
                "put the ledger on a local disk"
            )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translates errors of SQLAlchemy, which show statements and their parameters."""
    try:
        yield
    except IntegrityError as error:
        raise Unfit(f"ledger {path}: {_plain(error.orig)}") from None
    except UnicodeEncodeError:
        raise Unfit(f"ledger {path}: this text is not Unicode") from None
    except DBAPIError as error:
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
    "SQLITE_NOTADB": "this file is not a ledger of rotator; name another one in ledger.url",
    "SQLITE_CORRUPT": "the file is damaged; restore it, or move it away: then every credential "
    "is put once more",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_READONLY": "it can't be written; check the folder's owner and whether it is read-only",
    "SQLITE_CANTOPEN": "it can't be opened; check that its folder exists and is writable",
    "SQLITE_PERM": "it can't be opened; check its owner",
    "SQLITE_BUSY": "another program keeps it locked",
    "SQLITE_LOCKED": "another program keeps it locked",
    "SQLITE_IOERR": "the disk does not read or write it; check its health, and limits of file size",
}


def _create_private(path: Path) -> None:
    """Creates the file with mode 0600. SQLite gives its -wal and -shm files the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except IsADirectoryError:
        raise LedgerError(f"ledger {path}: this is a folder; name a file in it") from None
    except OSError as error:
        if error.errno == errno.ENOENT and not path.parent.exists():
            why = f"the folder {path.parent} does not exist; make it first"
        else:
            why = f"it can't be written: {error.strerror}"
        raise LedgerError(f"ledger {path}: {why}") from None
    except ValueError:
        raise LedgerError(f"ledger {str(path)!r}: this is not a path") from None
    if not path.is_file():
        raise LedgerError(f"ledger {path}: this is not a regular file; name another one")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _configure(connection: sqlite3.Connection, _: Any) -> None:
    # We begin transactions ourselves: sqlite3 would begin them late, and not around DDL.
    connection.isolation_level = None
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
