"""What a scrape of a large fleet costs, and what it costs a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress

import httpx

from tests.benchmarks.figure import Figure
from tests.support.deployment import Daemon, Deployment
from tests.support.sandbox import SandboxProcess

CONNECTIONS = 5000
LIMIT = 0.2
MOST_FOR_A_PAGE = 0.5
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Installed = Callable[..., AbstractContextManager[tuple[Deployment, SandboxProcess]]]


async def scrape(installed: Installed) -> list[Figure]:
    """5,000 connections: the longest of many scrapes, while a run goes and after it."""
    with installed("--connections", str(CONNECTIONS), "--settle", "0s") as (made, _):
        made.target["concurrency"] = 64
        made.rotation.update({"watch": "1s", "rollout": {"canary": 0}})
        async with made.daemon() as daemon, daemon.client() as client:
            async with scraping(client) as during:
                watched = await finished(daemon, 1)
            after = [await timed(client, accept) for accept in ("", OPENMETRICS) for _ in range(10)]
            page = [await timed(client, "text/html", "/?order=oldest&page=7") for _ in range(5)]
            made.secret("openai", {"api_key": "sk-second"})
            alone = await finished(daemon, 2)
    return [
        Figure("longest scrape while a run goes", max(during), LIMIT, "s"),
        Figure("longest scrape of an idle daemon", max(after), LIMIT, "s"),
        Figure("longest wait for the page, idle", max(page), MOST_FOR_A_PAGE, "s"),
        Figure(
            "a run that is scraped each second, to one that isn't", watched / alone, 1.15, "times"
        ),
    ]


async def finished(daemon: Daemon, count: int) -> float:
    """Seconds that the daemon's run of this number took."""
    while True:
        ended = [e for e in daemon.events if e["event"] == "run.finished"]
        if len(ended) >= count:
            if ended[-1]["result"] != "succeeded":
                raise SystemExit(f"the run did not succeed: {ended[-1]}")
            return float(ended[count - 1]["seconds"])
        await asyncio.sleep(0.05)


async def timed(client: httpx.AsyncClient, accept: str, path: str = "/metrics") -> float:
    began = time.monotonic()
    (await client.get(path, headers={"Accept": accept})).raise_for_status()
    return time.monotonic() - began


@asynccontextmanager
async def scraping(client: httpx.AsyncClient) -> AsyncIterator[list[float]]:
    """Once a second, which is 15 times as often as most do."""
    took: list[float] = []

    async def go_on() -> None:
        while True:
            took.append(await timed(client, OPENMETRICS))
            await asyncio.sleep(1.0)

    task = asyncio.create_task(go_on())
    try:
        yield took
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
