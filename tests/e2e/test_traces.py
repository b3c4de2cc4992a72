"""Traces of real processes: the tree of a run, no value in it, and a collector that fails."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from rotator.observe.otlp import GRACE
from rotator.sandbox.server import Sandbox
from rotator.sandbox.settings import API_KEY, API_SECRET
from tests.support.collector import CLIENT, INTERNAL, Collector, Received, collecting
from tests.support.deployment import Daemon, Deployment, DeploymentFactory, deployment
from tests.support.environment import without
from tests.support.faulty import Trouble
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.vault import ROOT, vault_running
from tests.support.waiting import until

__all__ = ["deployment", "sandbox"]

GOOD = "canary-5b8e2d-good"
BAD = "canary-5b8e2d-invalid"
HEADER = "canary-5b8e2d-header"
VALUES = (GOOD, BAD, HEADER, ROOT, API_KEY, API_SECRET, "canary-5b8e2d", "Basic ")


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=4, types=("OPENAI",), settle=0.1)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.document["log"] = {"level": "debug"}
    made.secret("openai", {"api_key": GOOD})
    return made


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


def to(collector: Collector, **more: str) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-tenant={HEADER}",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        **more,
    }


def is_one_tree(collector: Collector, root: Received) -> list[Received]:
    """All spans of the root's trace are under it, and within its time."""
    parts = collector.under(root)
    assert {span.id for span in collector.spans if span.trace == root.trace} == {
        root.id,
        *(span.id for span in parts),
    }
    assert [span for span in parts if not span.within(root)] == []
    return parts


def by_name(spans: list[Received]) -> dict[str, list[Received]]:
    names: dict[str, list[Received]] = {}
    for span in spans:
        names.setdefault(span.name, []).append(span)
    return names


async def test_a_run_of_the_daemon_is_one_trace(
    installed: Deployment, cloud: Sandbox, collector: Collector
) -> None:
    installed.rotation["schedule"] = {"cron": "0 0 1 1 *", "on_start": True}
    async with installed.daemon(**to(collector)) as daemon:
        on = await daemon.event("traces.on")
        finished = await daemon.event("run.finished", result="succeeded")
        await until(lambda: bool(collector.roots()))
    assert on["reason"] == f"{collector.url}/v1/traces"
    (root,) = collector.roots()
    assert (root.name, root.kind, root.failed) == ("run openai", INTERNAL, False)
    assert root.resource["service.name"] == "rotator"
    assert root.attributes == {
        "rotator.run.id": finished["run"],
        "rotator.rotation": "openai",
        "rotator.trigger": "start",
        "rotator.result": "succeeded",
    }
    parts = by_name(is_one_tree(collector, root))
    assert parts.keys() == {"read mounted", "GET sandbox", "PUT sandbox", "verify sandbox"}
    assert [len(parts[name]) for name in ("PUT sandbox", "verify sandbox")] == [4, 4]
    connections = cloud.state.connections()
    verified = {span.attributes["rotator.connection"] for span in parts["verify sandbox"]}
    assert verified == set(connections.names())
    for span in parts["verify sandbox"]:
        assert span.end - span.start >= 50_000_000, "it settled after 0.1 s"
    for span in parts["PUT sandbox"]:
        assert (span.kind, span.attributes["http.response.status_code"]) == (CLIENT, 200)
        assert span.attributes["rotator.request_id"]
    # Looks of the first contact and of the keeper are of no run.
    assert len(collector.spans) == 1 + sum(map(len, parts.values()))
    # The log says whose each request was, too.
    asked = [line for line in daemon.events if line["event"] == "target.request"]
    assert [
        line for line in asked if line["method"] == "PUT" and line["run"] != finished["run"]
    ] == []


async def test_runs_side_by_side_are_a_trace_each(
    installed: Deployment, collector: Collector
) -> None:
    """The command, with two rotations at once over the same target and source."""
    names = ["*-001", "*-002", "*-003"]
    rotations = installed.document["rotations"]
    rotations["azure"] = json.loads(json.dumps(rotations["openai"]))
    rotations["azure"]["match"] = {"type": ["OPENAI"], "name": names}
    rotations["openai"]["match"]["exclude"] = list(names)
    done = await installed.rotator("rotate", **to(collector))
    assert done.status == 0, done.err
    assert done.err == ""
    roots = {root.name: root for root in collector.roots()}
    assert roots.keys() == {"run openai", "run azure"}
    assert len({root.trace for root in roots.values()}) == 2
    for name, updates in (("run openai", 1), ("run azure", 3)):
        root = roots[name]
        parts = by_name(is_one_tree(collector, root))
        assert len(parts["PUT sandbox"]) == len(parts["verify sandbox"]) == updates
        of_run = {span.attributes["rotator.run.id"] for spans in parts.values() for span in spans}
        assert of_run == {root.attributes["rotator.run.id"]}


async def test_a_failure_is_an_error_from_the_connection_to_the_run(
    installed: Deployment, collector: Collector
) -> None:
    installed.secret("openai", {"api_key": BAD})
    done = await installed.rotator("rotate", **to(collector))
    assert done.status == 1
    (root,) = collector.roots()
    (verified,) = by_name(is_one_tree(collector, root))["verify sandbox"]
    assert root.failed
    assert verified.failed
    assert verified.description.startswith("INVALID_AUTH")
    assert verified.attributes["rotator.result"] == "failed"
    without_values(collector, done.out + done.err)


def without_values(collector: Collector, said: str) -> None:
    """Nothing of the wire but the very header that the collector's own token goes in."""
    wire = collector.raw.decode(errors="replace").replace(f"'x-tenant': '{HEADER}'", "")
    assert "rotator.run.id" in wire, "it is what was sent, in clear"
    for value in VALUES:
        assert value not in wire
        assert value not in said


async def test_no_trace_and_no_line_holds_a_value(
    installed: Deployment, cloud: Sandbox, collector: Collector
) -> None:
    """With a login, a value that an endpoint refuses, and a source that fails."""
    with vault_running() as (vault, url):
        vault.put("flink/openai", {"api_key": GOOD})
        auth = {"method": "token", "token": {"env": "VAULT_SECRET"}}
        installed.document["sources"]["vault"] = {"kind": "vault", "url": url, "auth": auth}
        installed.rotation["secret"] = {"source": "vault", "path": "flink/openai"}
        installed.rotation["watch"] = "1s"
        async with installed.daemon(**to(collector, VAULT_SECRET=ROOT)) as daemon:
            await daemon.event("run.finished", result="succeeded")
            vault.put("flink/openai", {"api_key": BAD})
            await daemon.event("run.finished", result="failed")
            vault.sealed = True
            await daemon.event("watch.failed")
            await until(lambda: len(collector.roots()) >= 2)
    assert len(collector.raw) > 1000
    without_values(collector, "\n".join(daemon.lines))


async def test_a_collector_that_hangs_delays_neither_a_run_nor_the_end(
    installed: Deployment, cloud: Sandbox, collector: Collector
) -> None:
    collector.fail("*", Trouble.HANG, times=None)
    installed.rotation["schedule"] = {"cron": "0 0 1 1 *", "on_start": True}
    async with installed.daemon(**to(collector)) as daemon:
        finished = await daemon.event("run.finished", result="succeeded")
        await until(lambda: bool(collector.requests))
        seconds = await ended(daemon)
    assert finished["seconds"] < 5.0
    assert seconds < GRACE + 2.0
    (failed,) = [line for line in daemon.events if line["event"] == "traces.failed"]
    assert failed["level"] == "warning"
    without_values(collector, "\n".join(daemon.lines))


async def test_a_collector_that_is_down_costs_one_line(
    installed: Deployment, cloud: Sandbox, collector: Collector
) -> None:
    collector.fail("*", Trouble.RESET, times=None)
    installed.rotation["schedule"] = {"cron": "* * * * * *"}
    async with installed.daemon(**to(collector, OTEL_EXPORTER_OTLP_TIMEOUT="1")) as daemon:
        await daemon.event("traces.failed")
        sent = len(collector.requests)
        await until(lambda: len(collector.requests) > sent + 4)
        seconds = await ended(daemon)
    assert seconds < GRACE + 2.0
    told = [line for line in daemon.events if str(line["event"]).startswith("traces.")]
    assert [line["event"] for line in told] == ["traces.on", "traces.failed"]
    assert [line for line in daemon.events if line["event"] == "library"] == []


async def ended(daemon: Daemon) -> float:
    """Seconds from SIGTERM to the end, which is in order."""
    told = monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    assert await daemon.process.wait() == 0
    return monotonic() - told


async def test_a_command_waits_no_longer_for_a_collector_that_hangs(
    installed: Deployment, collector: Collector
) -> None:
    collector.fail("*", Trouble.HANG, times=None)
    done = await installed.rotator("rotate", **to(collector))
    assert done.status == 0
    assert done.err == (
        f"Warning: traces: the collector did not take all of them within {GRACE:g} s\n"
    )


# Where the extra is not installed


@pytest.fixture
def bare(installed: Deployment, tmp_path: Path) -> Deployment:
    installed.python = str(without(tmp_path / "bare", "opentelemetry*"))
    return installed


REMEDY = (
    "no traces: an endpoint for them is set, but OpenTelemetry is not installed: "
    "pip install 'rotator[otel]'"
)


async def test_without_the_extra_the_daemon_says_so_once_and_goes_on(
    bare: Deployment, collector: Collector
) -> None:
    bare.rotation["schedule"] = {"cron": "0 0 1 1 *", "on_start": True}
    async with bare.daemon(**to(collector)) as daemon:
        await daemon.event("run.finished", result="succeeded")
    (told,) = [line for line in daemon.events if str(line["event"]).startswith("traces.")]
    assert (told["event"], told["level"], told["reason"]) == ("traces.off", "warning", REMEDY)
    assert collector.requests == []


async def test_without_the_extra_the_command_says_so_once_and_goes_on(
    bare: Deployment, collector: Collector
) -> None:
    done = await bare.rotator("rotate", **to(collector))
    assert (done.status, done.err) == (0, f"Warning: traces: {REMEDY}\n")
    silent = await bare.rotator("rotate")
    assert (silent.status, silent.err) == (0, "")


LOADED = """
import asyncio, json, sys
from pathlib import Path
from rotator import daemon
from rotator.cli.rotate import rotate_now
from rotator.config.load import load
asyncio.run(rotate_now(load(Path(sys.argv[1])), ("openai",), only=None, force=False))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, set()),
        ({"OTEL_TRACES_EXPORTER": "none"}, set()),
        ({"OTEL_SDK_DISABLED": "true"}, set()),
        (None, {"opentelemetry", "google", "requests"}),
    ],
    ids=["no endpoint", "exporter none", "disabled", "on"],
)
async def test_it_is_imported_only_where_it_is_switched_on(
    installed: Deployment,
    collector: Collector,
    variables: dict[str, str] | None,
    expected: set[str],
) -> None:
    extra = variables if variables == {} else to(collector, **(variables or {}))
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", LOADED, str(installed.write())],
        capture_output=True,
        text=True,
        check=True,
        env=installed.environment | extra,
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert loaded & {"opentelemetry", "google", "requests", "charset_normalizer"} == expected
