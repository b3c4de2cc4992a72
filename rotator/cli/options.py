"""Options that commands share, and how a command runs what is asynchronous."""

from __future__ import annotations

import asyncio
import difflib
import gc
from collections.abc import Collection, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

T = TypeVar("T")

config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar="ROTATOR_CONFIG",
    required=True,
    show_envvar=True,
    help="The configuration file.",
)
output_option = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or JSON for scripts.",
)
filter_option = click.option(
    "--connection",
    "only",
    metavar="GLOB",
    help="Only connections whose name matches this glob: 'openai-eu-*'.",
)


def finish(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, once it is done."""
    # What was imported never becomes garbage, and a run of thousands of small tasks makes little
    # of it: to look for it as often as by default costs 5 % of a large run (measured).
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    return asyncio.run(work)


def chosen(kind: str, names: Collection[str], known: Collection[str]) -> tuple[str, ...]:
    """The names, each once; all known ones if none is given. Raises UsageError."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise click.UsageError(f"the configuration has no {kind} {name}; {hint}")
    return tuple(dict.fromkeys(names)) or tuple(known)
