"""The progress of the runs in progress."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from rotator.model.events import Event, Planned, RunFinished, RunStarted, Settled, Updated
from rotator.model.run import Result


@dataclass(frozen=True, slots=True)
class Progress:
    total: int
    """Connections of the plan; 0 before there is one."""
    put: int
    """Updates that were answered."""
    settled: int
    failed: int


@dataclass(slots=True)
class _Count:
    total: int = 0
    put: set[tuple[str, str]] = field(default_factory=set)
    results: Counter[Result] = field(default_factory=Counter)


class Live:
    """An observer that counts what the runs in progress have done."""

    def __init__(self) -> None:
        self._runs: dict[str, _Count] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted(run):
                self._runs[run.id] = _Count()
            case Planned(run_id, _, changes) if run_id in self._runs:
                self._runs[run_id].total = len(changes)
            case Updated(run_id, _, target, connection) if run_id in self._runs:
                self._runs[run_id].put.add((target, connection))
            case Settled(outcome) if outcome.run_id in self._runs:
                self._runs[outcome.run_id].results[outcome.result] += 1
            case RunFinished(run):
                self._runs.pop(run.id, None)
            case _:
                pass

    def progress(self, run_id: str) -> Progress | None:
        """The progress; None if the run is not in progress here."""
        count = self._runs.get(run_id)
        if count is None:
            return None
        settled = sum(count.results.values())
        return Progress(count.total, len(count.put), settled, count.results[Result.FAILED])
