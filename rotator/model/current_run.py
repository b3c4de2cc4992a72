"""Which run the present task works for: tasks and the threads of sources inherit it.

Targets and sources know nothing of runs, and many runs use them at once; so what they tell of
themselves learns here whose it is, rather than by an argument through every call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_run: ContextVar[str | None] = ContextVar("rotator_run", default=None)


def present_run() -> str | None:
    """Its id; None outside of runs."""
    return _run.get()


@contextmanager
def working_for(run_id: str) -> Iterator[None]:
    before = _run.set(run_id)
    try:
        yield
    finally:
        _run.reset(before)
