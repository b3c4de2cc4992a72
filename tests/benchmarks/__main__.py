"""Measures rotator against its limits: `make bench`, or `make bench ARGS="wall memory"`.

Each figure comes from `python -m rotator` as a process of its own, against a sandbox in another.
Figures depend on the machine; what must hold is the ratio to the floor. Exit status 1 where a
limit is missed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.figure import Figure
from tests.benchmarks.scrape import scrape
from tests.benchmarks.takeover import takeover
from tests.support.aws import REGION, FakeAws
from tests.support.deployment import Deployment
from tests.support.faulty import FaultyServer, Request
from tests.support.sandbox import SandboxProcess, sandbox_running_as_process
from tests.support.vault import ROOT, FakeVault

PYTHON = os.environ.get("ROTATOR_BENCH_PYTHON", sys.executable)
"""The Python of an environment without the development tools. `make bench` makes one."""


@contextmanager
def installed(*arguments: str) -> Iterator[tuple[Deployment, SandboxProcess]]:
    with (
        tempfile.TemporaryDirectory(prefix="rotator-bench-") as folder,
        sandbox_running_as_process("--type", "OPENAI", *arguments) as cloud,
    ):
        deployment = Deployment(Path(folder), cloud.url, python=PYTHON)
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


SECRETS = 200
LATENCY = 0.05
AT_ONCE = 8
"""Threads of a source."""


async def sources() -> list[Figure]:
    """200 connections with a secret each, 50 ms an answer: what a plan asks of the sources."""
    figures = []
    with installed("--connections", str(SECRETS)) as (made, cloud):
        names = [row["name"] for row in connections(cloud)]
        for kind, server, wanted, rounds in _vendors(names):
            with server.serving():
                _read_from(made, kind, server)
                await made.rotator("plan", "-o", "json", **KEYS)
                asked = [seen for seen in server.requests if _is_read(seen)]
                floor = rounds * LATENCY
                wall = asked[-1].received - asked[0].received + LATENCY
            figures += [
                Figure(f"{kind}: requests for {SECRETS} secrets", len(asked), wanted, "requests"),
                Figure(f"{kind}: ratio to the floor of {floor:.2f} s", wall / floor, 1.5, "times"),
                Figure(f"{kind}: wall time", wall, 1.5 * floor, "s"),
            ]
    return figures


def _vendors(names: list[str]) -> Iterator[tuple[str, FaultyServer, int, int]]:
    """Kind, server, requests that it should take, and how many must follow each other."""
    vault, aws = FakeVault(), FakeAws()
    for name in names:
        vault.put(f"flink/{name}", {"api_key": "sk"})
        aws.secrets.put(f"flink/{name}", '{"api_key": "sk"}')
    vault.latency = aws.latency = LATENCY
    yield "vault", vault, SECRETS, SECRETS // AT_ONCE
    yield "aws-secrets-manager", aws, SECRETS // 20, 2


def _is_read(seen: Request) -> bool:
    return "/data/" in seen.path or "GetSecretValue" in seen.headers.get("x-amz-target", "")


KEYS = {
    "VAULT_TOKEN": ROOT,
    "AWS_ACCESS_KEY_ID": "person",
    "AWS_SECRET_ACCESS_KEY": "key",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def _read_from(made: Deployment, kind: str, server: FaultyServer) -> None:
    token = {"method": "token", "token": {"env": "VAULT_TOKEN"}}
    place = {"url": server.url, "auth": token}
    if isinstance(server, FakeAws):
        key = server.sts.hand_out("arn:aws:iam::123456789012:user/rotator")
        KEYS.update(AWS_ACCESS_KEY_ID=key.id, AWS_SECRET_ACCESS_KEY=key.secret)
        place = {"region": REGION, "endpoint_url": server.url}
    made.document["sources"][kind] = {"kind": kind, "timeout": "30s", **place}
    made.rotation["secret"] = {"source": kind, "path": "flink/{connection}"}


async def vendors() -> list[Figure]:
    """An idle daemon that has read from Vault and from AWS Secrets Manager."""
    with installed("--connections", "5") as (made, cloud):
        names = [row["name"] for row in connections(cloud)]
        resident = 0.0
        with ExitStack() as stack:
            for kind, server, *_ in _vendors(names):
                stack.enter_context(server.serving())
                _read_from(made, kind, server)
                made.rotation["schedule"] = {"cron": "0 0 1 1 *"}
            document = made.document["rotations"]
            document["azure"] = {
                **deepcopy(document["openai"]),
                "match": {"type": ["OPENAI"], "name": ["*-00[12345]"]},
                "secret": {"source": "vault", "path": "flink/{connection}"},
            }
            document["openai"]["match"] = {"type": ["OPENAI"], "exclude": ["*-00[1234]"]}
            async with made.daemon(**KEYS) as daemon, daemon.client() as http:
                await daemon.event("daemon.ready")
                await http.get("/metrics")
                resident = _resident(daemon.process.pid)
    return [Figure("resident memory, idle, both vendors in use", resident, 85, "MiB")]


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
    "vendors": vendors,
    "sources": sources,
    "faults": faults,
    "scrape": partial(scrape, installed),
    "takeover": takeover,
}


def _told(benchmark: Callable[..., object]) -> str:
    told = benchmark.func if isinstance(benchmark, partial) else benchmark
    return (told.__doc__ or "").strip()


async def main(names: list[str]) -> int:
    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")  # noqa: T201
        return 1
    missed = 0
    for name in names or BENCHMARKS:
        print(f"{name}: {_told(BENCHMARKS[name])}")  # noqa: T201 - its output
        for figure in await BENCHMARKS[name]():
            print(f"  {figure}")  # noqa: T201
            missed += not figure.holds
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
