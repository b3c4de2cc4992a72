"""What ends the daemon, and what makes it read its configuration again."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from rotator.errors import RotatorError

log = logging.getLogger(__name__)

_LOOK_EVERY = 1.0
"""Seconds between looks for the file that ends a sidecar."""


class NoSuchFolder(RotatorError):
    """The file of --until-file can never exist, since its folder doesn't."""


def handle_signals(stop: asyncio.Event, reload: Callable[[], Awaitable[None]]) -> None:
    """Let SIGTERM and SIGINT set `stop`, and SIGHUP reload."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Future[None]] = set()

    def begin() -> None:
        task = asyncio.ensure_future(reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, begin)


def check_until_file(path: Path) -> None:
    """Raises NoSuchFolder if the file can never exist."""
    folder = path.absolute().parent
    try:
        path.exists()
        found = folder.is_dir()
    except OSError as error:
        raise NoSuchFolder(
            f"--until-file {path}: it can't be looked for: {error.strerror}; "
            "let the user of this container read the folder"
        ) from None
    if not found:
        raise NoSuchFolder(
            f"--until-file {path}: there is no folder {folder}; "
            "mount what the main container shares with this one"
        )


async def watch_for(path: Path, stop: asyncio.Event) -> None:
    """Set `stop` once the file exists: a Job's main container makes it as its last step."""
    trouble = ""
    while not stop.is_set():
        try:
            if path.exists():  # noqa: ASYNC240 - one stat a second
                log.info("daemon.until_file", extra={"path": str(path)})
                stop.set()
                return
        except OSError as error:
            if trouble != (trouble := str(error.strerror)):
                extra = {"path": str(path), "reason": trouble}
                log.warning("daemon.until_file_unreadable", extra=extra)
        await asyncio.sleep(_LOOK_EVERY)
