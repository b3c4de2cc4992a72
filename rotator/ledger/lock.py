"""One run of a rotation at a time, among all processes that share a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rotator.errors import LedgerError


@contextmanager
def exclusive(ledger: Path, rotation: str) -> Iterator[bool]:
    """Whether this process got the lock. The kernel frees it when its holder dies, however.

    A file of its own beside the ledger, since SQLite's locks are only held for a transaction. The
    file stays: to remove it while another process waits for it would give both the lock.
    """
    path = ledger.with_name(f"{ledger.name}.{rotation}.lock")
    lock = FileLock(path, timeout=0, mode=0o600, is_singleton=False)
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
