"""What rotator must reach, measured: `make bench`, or `make bench ARGS="wall memory"`.

Each figure comes from `python -m rotator` as a process of its own, against a sandbox in another.
Figures depend on the machine; what must hold is the ratio to the floor. Exit status 1 where a
limit is missed.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.deployment import Deployment
from tests.support.sandbox import SandboxProcess, sandbox_running_as_process


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: float
    limit: float
    unit: str

    @property
    def holds(self) -> bool:
        return self.value <= self.limit

    def __str__(self) -> str:
        mark = "ok  " if self.holds else "MISS"
        return f"{mark}  {self.name:<62} {self.value:>9.2f} {self.unit:<9} limit {self.limit:g}"


@contextmanager
def installed(*arguments: str) -> Iterator[tuple[Deployment, SandboxProcess]]:
    with (
        tempfile.TemporaryDirectory(prefix="rotator-bench-") as folder,
        sandbox_running_as_process("--type", "OPENAI", *arguments) as cloud,
    ):
        deployment = Deployment(Path(folder), cloud.url)
        deployment.secret("openai", {"api_key": "sk-first"})
        yield deployment, cloud


def counters(cloud: SandboxProcess, *, clear: bool = False) -> dict[str, Any]:
    with cloud.control() as control:
        document: dict[str, Any] = control.get("/counters").raise_for_status().json()
        if clear:
            control.delete("/counters").raise_for_status()
    return document


def connections(cloud: SandboxProcess) -> list[dict[str, Any]]:
    with cloud.control() as control:
        found: list[dict[str, Any]] = control.get("/environments/env-sandbox/connections").json()
    return found


def total(document: dict[str, Any], method: str) -> int:
    return sum(document["requests"].get(method, {}).values())


async def rotate(deployment: Deployment) -> dict[str, Any]:
    done = await deployment.rotator("rotate", "-o", "json")
    run: dict[str, Any] = done.json()[0]
    if run["result"] != "succeeded":
        raise SystemExit(f"the rotation did not succeed: {run['reason']}\n{done.err}")
    return run


async def requests() -> list[Figure]:
    """100 changed connections, then the same unchanged."""
    with installed("--connections", "100", "--settle", "1s", "--latency", "50ms") as (made, cloud):
        made.rotation["verify"]["interval"] = "2s"
        await rotate(made)
        changed = counters(cloud, clear=True)
        await rotate(made)
        unchanged = counters(cloud)
    return [
        Figure("updates for 100 changed connections", total(changed, "PUT"), 100, "requests"),
        Figure("other requests, the polls included", total(changed, "GET"), 10, "requests"),
        Figure("updates for 100 unchanged ones", total(unchanged, "PUT"), 0, "requests"),
        Figure("all requests for 100 unchanged ones", total(unchanged, "GET"), 3, "requests"),
    ]


async def wall() -> list[Figure]:
    """1,000 connections, 50 ms latency, 1 s settle time, 64 in flight, canary 0."""
    latency, settle, in_flight, connections = 0.05, 1.0, 64, 1000
    with installed("--connections", str(connections), "--settle", "1s", "--latency", "50ms") as (
        made,
        cloud,
    ):
        made.target["concurrency"] = in_flight
        made.rotation["rollout"] = {"canary": 0}
        made.rotation["verify"]["interval"] = "50ms"
        seconds = min([(await again(made, f"sk-{turn}"))["seconds"] for turn in range(3)])
        spent = counters(cloud)
    pages = connections / 100 * latency
    floor = connections * latency / in_flight + settle + pages
    return [
        Figure(f"ratio to the floor of {floor:.2f} s", seconds / floor, 1.3, "times"),
        Figure("wall time of 1,000", seconds, 1.3 * floor, "s"),
        Figure("peak in flight", spent["peak_in_flight"], in_flight, "requests"),
    ]


async def again(made: Deployment, value: str) -> dict[str, Any]:
    made.secret("openai", {"api_key": value})
    return await rotate(made)


async def throttled() -> list[Figure]:
    """200 connections at a limit of 40 requests a second that the client isn't told of."""
    with installed(
        "--connections", "200", "--settle", "0s", "--latency", "50ms", "--limit", "40"
    ) as (made, cloud):
        made.target["concurrency"] = 64
        made.rotation["rollout"] = {"canary": 0}
        seconds = (await rotate(made))["seconds"]
        spent = counters(cloud)
    refused = spent["throttled"]
    answered = total(spent, "PUT") + total(spent, "GET") - refused
    allowed = answered / 40
    return [
        Figure(
            f"ratio to the {allowed:.2f} s that the limit allows", seconds / allowed, 1.05, "times"
        ),
        Figure("answers of 429", refused, 10, "answers"),
    ]


async def memory() -> list[Figure]:
    """An idle daemon with a file source: resident memory, and time until readyz says yes."""
    readiness, resident = [], 0.0
    for _ in range(3):
        with installed("--connections", "5") as (made, _cloud):
            made.rotation["schedule"] = {"cron": "0 0 1 1 *"}
            started = time.monotonic()
            async with made.daemon() as daemon, daemon.client() as http:
                await daemon.event("daemon.ready")
                answer = await http.get("/readyz")
                readiness.append(time.monotonic() - started)
                answer.raise_for_status()
                await http.get("/metrics")
                resident = max(resident, _resident(daemon.process.pid))
    return [
        Figure("resident memory, idle, file source", resident, 75, "MiB"),
        Figure("start of the process until ready, best of 3", min(readiness), 1.5, "s"),
    ]


def _resident(pid: int) -> float:
    """MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line) / 1024


async def faults() -> list[Figure]:
    """200 connections, and a fifth of all requests fails, each in another way."""
    kinds = "error-500 error-502 error-503 odd-error conflict throttled reset html empty foreign"
    kinds += " error-after reset-after truncated broken-json"
    each = 0.2 / len(kinds.split())
    options = [word for kind in kinds.split() for word in ("--fault", f"{kind}={each}")]
    with installed("--connections", "200", "--settle", "1s", *options) as (made, cloud):
        made.rotation["verify"] = {"timeout": "60s", "interval": "500ms"}
        run = await rotate(made)
        spent = counters(cloud)
        held = connections(cloud)
    wrong = sum(row["phase"] != "READY" for row in held)
    return [
        Figure("connections that ended wrong, 20 % faults", 200 - run["rotated"] + wrong, 0, ""),
        Figure("updates sent for 200", total(spent, "PUT"), 320, "requests"),
        Figure("wall time", run["seconds"], 60, "s"),
    ]


BENCHMARKS: dict[str, Callable[[], Awaitable[list[Figure]]]] = {
    "requests": requests,
    "wall": wall,
    "throttled": throttled,
    "memory": memory,
    "faults": faults,
}


async def main(names: list[str]) -> int:
    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")  # noqa: T201
        return 1
    missed = 0
    for name in names or BENCHMARKS:
        print(f"{name}: {(BENCHMARKS[name].__doc__ or '').strip()}")  # noqa: T201 - its output
        for figure in await BENCHMARKS[name]():
            print(f"  {figure}")  # noqa: T201
            missed += not figure.holds
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
