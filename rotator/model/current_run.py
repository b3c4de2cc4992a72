"""The run that the present task works for. Tasks and the threads of sources inherit it.

Targets and sources know nothing of runs, and many runs use them at once. So the events that they
tell find the id of their run here, instead of in an argument of every call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_run: ContextVar[str | None] = ContextVar("rotator_run", default=None)


def present_run() -> str | None:
    """The id of the run; None outside of runs."""
    return _run.get()


@contextmanager
def working_for(run_id: str) -> Iterator[None]:
    """Everything inside of it works for this run."""
    before = _run.set(run_id)
    try:
        yield
    finally:
        _run.reset(before)
