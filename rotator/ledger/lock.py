"""A lock among processes, and among the tasks of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rotator.errors import LedgerError


def rotation_lock(ledger: Path, rotation: str) -> Path:
    """A file of its own, since SQLite's locks are only held for a transaction."""
    return ledger.with_name(f"{ledger.name}.{rotation}.lock")


@contextmanager
def exclusive(path: Path, wait: float = 0) -> Iterator[bool]:
    """Whether the lock was had within `wait` seconds, for which it blocks the thread.

    The kernel frees it when its holder dies, however. The file stays: to remove it while another
    process waits for it would give both the lock. Raises LedgerError.
    """
    # No fallback to a lock that is a file: a killed process would leave it behind.
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
