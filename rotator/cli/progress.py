"""A progress bar on standard error for `rotator rotate`, where that is a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rotator.model.events import Event, Planned, RunFinished, RunStarted, Settled
from rotator.ports import Observer


@contextmanager
def progress(*, wanted: bool) -> Iterator[Observer]:
    """An observer that draws; silent where nobody watches."""
    if not wanted:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    ) as bars:
        tasks = {}

        def observe(event: Event) -> None:
            match event:
                case RunStarted(run):
                    tasks[run.id] = bars.add_task(run.rotation, total=None, note="looking")
                case Planned(run_id, _, changes):
                    bars.update(tasks[run_id], total=len(changes), note="")
                case Settled(outcome):
                    bars.advance(tasks[outcome.run_id])
                    if outcome.result == "failed":
                        failed = Text(f"{outcome.connection}: {outcome.reason}", style="red")
                        bars.console.print(failed)
                case RunFinished(run):
                    bars.update(tasks[run.id], note=str(run.result))
                case _:
                    pass

        yield observe
