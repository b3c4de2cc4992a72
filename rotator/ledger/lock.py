"""A lock between processes, and between the tasks of one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rotator.errors import LedgerError


def rotation_lock(ledger: Path, rotation: str) -> Path:
    """The lock's own file, since SQLite holds its locks for a transaction only."""
    return ledger.with_name(f"{ledger.name}.{rotation}.lock")


@contextmanager
def exclusive(path: Path, wait: float = 0) -> Iterator[bool]:
    """Yields whether the lock was taken. Blocks the thread for up to `wait` seconds.

    The kernel frees the lock when its holder dies. The file stays, since removing it while another
    process waits for it would give the lock to both. Raises LedgerError.
    """
    # No fallback to a lock that is a mere file: a killed process would leave it behind.
    lock = FileLock(path, timeout=wait, mode=0o600, is_singleton=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    except OSError as error:
        raise LedgerError(f"lock {path} can't be taken: {error.strerror}") from None
    try:
        yield True
    finally:
        lock.release()
