"""`rotator demo`: the whole job, as a stranger sees it first."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.support.waiting import until

DEADLINE = 100.0


async def play(folder: Path, *options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rotator", "demo", *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(folder), "COLUMNS": "120"},
        cwd=folder,
    )  # fmt: skip


def daemons(folder: Path) -> list[int]:
    """Processes that run with a configuration in the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{folder}/rotator-demo-".encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return found


async def test_it_tells_its_story_to_the_end(tmp_path: Path) -> None:
    process = await play(tmp_path)
    async with asyncio.timeout(DEADLINE):
        out, _ = await process.communicate()
    told = out.decode()
    assert process.returncode == 0, told
    assert "All of it: 12 connections READY." in told
    assert "INVALID_AUTH" in told, "the bad key is stopped, and said so"
    assert re.search(r"http://127\.0\.0\.1:\d+", told)
    assert daemons(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_leaves_nothing_behind_when_it_is_stopped(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = await play(tmp_path, "--keep")
    await until(lambda: daemons(tmp_path) != [])
    process.send_signal(number)
    async with asyncio.timeout(DEADLINE):
        out, _ = await process.communicate()
    assert process.returncode == 1
    last = out.decode().splitlines()[-1]
    assert last in {"Error: told to stop; everything that it made is removed", "interrupted"}
    assert "Traceback" not in out.decode()
    assert daemons(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
