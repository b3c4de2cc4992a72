"""How long nobody leads, with the lease_duration that users have unless they choose another."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.benchmarks.figure import Figure
from tests.support.cluster import Cluster, cluster_running
from tests.support.deployment import Daemon, Deployment
from tests.support.sandbox import sandbox_running_as_process

DURATION = 15
ROUNDS = 3


async def takeover() -> list[Figure]:
    """Two replicas, lease_duration 15 s; the leader is killed, or told to end. The worst of 3."""
    killed = [await _without_a_leader(signal.SIGKILL) for _ in range(ROUNDS)]
    ended = [await _without_a_leader(signal.SIGTERM) for _ in range(ROUNDS)]
    return [
        Figure("from a kill until another leads", max(killed), DURATION + 2, "s"),
        Figure("from SIGTERM until another leads", max(ended), 2, "s"),
    ]


async def _without_a_leader(end: signal.Signals) -> float:
    with (
        tempfile.TemporaryDirectory(prefix="rotator-bench-") as name,
        sandbox_running_as_process("--type", "OPENAI", "--connections", "2") as cloud,
    ):
        folder = Path(name)
        async with (
            cluster_running(folder) as cluster,
            _replica(folder / "a", cloud.url, cluster) as first,
        ):
            await first.event("leader.elected")
            async with _replica(folder / "b", cloud.url, cluster) as second:
                await second.event("leader.follows")
                await second.event("daemon.ready")
                first.process.send_signal(end)
                ended = time.monotonic()
                await second.event("leader.elected")
                return time.monotonic() - ended


@asynccontextmanager
async def _replica(folder: Path, url: str, cluster: Cluster) -> AsyncIterator[Daemon]:
    folder.mkdir()
    made = Deployment(folder, url)
    made.secret("openai", {"api_key": "sk"})
    made.document["coordination"] = cluster.coordination(folder.name, await cluster.way(), DURATION)
    async with made.daemon() as daemon:
        yield daemon
