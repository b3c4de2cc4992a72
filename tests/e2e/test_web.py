"""What `rotator run` shows of itself while it works: HTTP and log, of a real process."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import PIPE, STDOUT

import httpx
import pytest

from rotator.sandbox.server import Sandbox
from rotator.sandbox.settings import API_SECRET
from tests.e2e.test_rotate import BAD, GOOD
from tests.support.deployment import Daemon, Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox

__all__ = ["deployment", "sandbox"]

TOKEN = "canary-http-token"
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
RUN = "/api/v1/rotations/openai/run"


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=3, types=("OPENAI",), settle=0.1)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    made.document["http"]["token"] = {"env": "HTTP_TOKEN"}
    made.document["log"] = {"level": "debug"}
    return made


async def rotated(running: Daemon, http: httpx.AsyncClient, result: str) -> None:
    started = await http.post(RUN, headers=AUTHORIZATION)
    assert started.status_code == 202
    await running.event("run.finished", run=started.json()["run"], result=result)


async def test_no_value_is_shown_anywhere(installed: Deployment, cloud: Sandbox) -> None:
    """A good run and a refused one, at the debug level."""
    async with installed.daemon(HTTP_TOKEN=TOKEN) as running, running.client() as http:
        await rotated(running, http, "succeeded")
        installed.secret("openai", {"api_key": BAD})
        await rotated(running, http, "failed")
        await http.post(RUN, headers={"Authorization": "Bearer guessed"})
        paths = [
            "/",
            "/metrics",
            "/livez",
            "/readyz",
            *(f"/api/v1/{name}" for name in ("rotations", "connections", "runs")),
        ]
        runs = (await http.get("/api/v1/runs")).json()["runs"]
        paths += [f"/api/v1/runs/{run['id']}" for run in runs]
        shown = {path: (await http.get(path)).text for path in paths}
    assert {"target.request", "source.read"} <= {event["event"] for event in running.events}
    shown["the log"] = "\n".join(running.lines)
    for value in (GOOD, BAD, TOKEN, API_SECRET):
        assert [path for path, text in shown.items() if value in text] == []


@pytest.mark.tool("promtool", get="apt-get install prometheus")
async def test_promtool_finds_nothing_wrong_with_the_metrics_of_a_daemon_at_work(
    installed: Deployment, cloud: Sandbox
) -> None:
    async with installed.daemon(HTTP_TOKEN=TOKEN) as running, running.client() as http:
        await rotated(running, http, "succeeded")
        metrics = (await http.get("/metrics")).content
    promtool = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await promtool.communicate(metrics)
    assert (promtool.returncode, said) == (0, b"")
    assert b'rotator_credentials_total{outcome="rotated",rotation="openai",target="sandbox"} 3' in (
        metrics
    )


async def test_a_restart_keeps_when_things_were_rotated(
    installed: Deployment, cloud: Sandbox
) -> None:
    async def remembered(http: httpx.AsyncClient) -> dict[str, float]:
        lines = (await http.get("/metrics")).text.splitlines()
        words = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {
            series: float(value)
            for series, _, value in words
            if "_last_rotated_" in series or "_last_verified_" in series
        }

    async with installed.daemon(HTTP_TOKEN=TOKEN) as running, running.client() as http:
        await rotated(running, http, "succeeded")
        before = await remembered(http)
    async with installed.daemon(HTTP_TOKEN=TOKEN) as running, running.client() as http:
        after = await remembered(http)
    assert len(before) == 6
    assert after.keys() == before.keys()
    assert after == pytest.approx(before, abs=1)


async def test_a_client_that_never_ends_its_request_doesnt_hold_up_the_end(
    installed: Deployment, cloud: Sandbox
) -> None:
    async with installed.daemon(HTTP_TOKEN=TOKEN) as running:
        url = httpx.URL(running.url)
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET /livez HTTP/1.1\r\nX-Slow: ")
        await writer.drain()
        asked = asyncio.get_running_loop().time()
        running.process.send_signal(signal.SIGTERM)
        assert await running.process.wait() == 0
        assert asyncio.get_running_loop().time() - asked < 10
        writer.close()


@pytest.mark.parametrize("listen", ["192.0.2.1:9464", "no-such-host.invalid:1"])
async def test_an_address_that_cant_be_used_is_one_line(installed: Deployment, listen: str) -> None:
    installed.document["http"]["listen"] = listen
    failed = await installed.rotator("run", HTTP_TOKEN=TOKEN)
    assert failed.status == 1
    assert failed.err.count("\n") == 1
    assert listen in failed.err
