"""What a webhook gets of the daemon's runs: a real process, a real receiver, real signatures."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from rotator.sandbox.settings import API_SECRET
from tests.e2e.test_rotate import BAD, GOOD, NEXT, holders
from tests.support.deployment import Daemon, Deployment, DeploymentFactory, deployment
from tests.support.faulty import Trouble
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.waiting import until
from tests.support.webhooks import PATH, Webhook, verified, webhook_running

__all__ = ["deployment", "sandbox"]

SECRET = "canary-hmac-0f8fad5b"
TOKEN = "canary-http-token"
VALUES = (GOOD, NEXT, BAD, SECRET, TOKEN, API_SECRET, PATH, "canary-T0")


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=5, types=("OPENAI",), settle=0.1)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with webhook_running() as running:
        yield running


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    made.document["http"]["token"] = {"env": "HTTP_TOKEN"}
    made.document["log"] = {"level": "debug"}
    made.document["notify"] = [{"url": {"env": "HOOK"}, "secret": {"env": "HOOK_SECRET"}}]
    return made


def daemon(installed: Deployment, webhook: Webhook) -> Any:
    return installed.daemon(HTTP_TOKEN=TOKEN, HOOK=webhook.url, HOOK_SECRET=SECRET)


async def rotate(running: Daemon, http: httpx.AsyncClient) -> dict[str, Any]:
    """A run to its end."""
    authorization = {"Authorization": f"Bearer {TOKEN}"}
    started = await http.post("/api/v1/rotations/openai/run", headers=authorization)
    assert started.status_code == 202, started.text
    return await running.event("run.finished", run=started.json()["run"])


def without_values(text: str) -> None:
    assert not [value for value in VALUES if value in text]


async def test_a_failure_is_announced_once_and_its_end_too(
    installed: Deployment, cloud: Sandbox, webhook: Webhook
) -> None:
    async with daemon(installed, webhook) as running, running.client() as http:
        assert (await rotate(running, http))["result"] == "succeeded"
        installed.secret("openai", {"api_key": BAD})
        failed = await rotate(running, http)
        await running.event("notification.sent", occasion="failed")
        for _ in range(2):
            assert (await rotate(running, http))["result"] == "failed"
        installed.secret("openai", {"api_key": NEXT})
        healed = await rotate(running, http)
        await running.event("notification.sent", occasion="recovered")
        assert (await rotate(running, http))["result"] == "succeeded"
        metrics = (await http.get("/metrics")).text
    assert webhook.told == [("failed", "openai"), ("recovered", "openai")]

    told, recovered = webhook.received
    assert told == {
        "version": 1,
        "id": f"{failed['run']}-failed",
        "event": "failed",
        "time": told["time"],
        "rotation": "openai",
        "run": failed["run"],
        "targets": ["sandbox"],
        "connections": [
            {
                "target": "sandbox",
                "connection": "openai-001",
                "phase": "INVALID_AUTH",
                "reason": told["connections"][0]["reason"],
            }
        ],
        "connections_total": 1,
        "connections_matched": 5,
        "reason": failed["reason"],
        "todo": failed["todo"],
        "text": told["text"],
    }
    assert told["text"].startswith(
        "rotation openai failed: 1 of 5 connections (sandbox/openai-001: INVALID_AUTH"
    )
    assert recovered["run"] == healed["run"]
    assert recovered["text"].startswith("rotation openai recovered: ")
    for request, content in zip(webhook.requests, webhook.received, strict=True):
        assert abs(verified(request, SECRET) - time.time()) < 60
        assert request.headers["x-rotator-id"] == content["id"]
        assert request.headers["content-type"] == "application/json"
        without_values(request.body.decode() + str(request.headers))
    without_values("\n".join(running.lines))
    without_values(metrics)
    assert 'rotator_notifications_total{event="failed",result="sent"} 1.0' in metrics
    assert 'rotator_notifications_total{event="rolled_back",result="sent"} 0.0' in metrics


async def test_a_restart_forgets_nothing(
    installed: Deployment, cloud: Sandbox, webhook: Webhook
) -> None:
    installed.secret("openai", {"api_key": BAD})
    async with daemon(installed, webhook) as running, running.client() as http:
        await rotate(running, http)
        await running.event("notification.sent", occasion="failed")
    async with daemon(installed, webhook) as running, running.client() as http:
        assert (await rotate(running, http))["result"] == "failed"
        installed.secret("openai", {"api_key": NEXT})
        await rotate(running, http)
        await running.event("notification.sent", occasion="recovered")
    async with daemon(installed, webhook) as running, running.client() as http:
        await rotate(running, http)
    assert webhook.told == [("failed", "openai"), ("recovered", "openai")]


async def test_a_receiver_that_hangs_delays_neither_a_run_nor_the_end(
    installed: Deployment, cloud: Sandbox, webhook: Webhook
) -> None:
    webhook.always(Trouble.HANG)
    installed.secret("openai", {"api_key": BAD})
    async with daemon(installed, webhook) as running, running.client() as http:
        assert (await rotate(running, http))["result"] == "failed"
        await until(lambda: len(webhook.requests) == 1)
        installed.secret("openai", {"api_key": NEXT})
        healed = await rotate(running, http)
        assert (healed["result"], healed["seconds"] < 5) == ("succeeded", True)
        assert len(holders(cloud, NEXT)) == 5
        asked = asyncio.get_running_loop().time()
        running.process.send_signal(signal.SIGTERM)
        assert await running.process.wait() == 0
        assert asyncio.get_running_loop().time() - asked < 5
    dropped = await running.event("notification.dropped")
    assert dropped["reason"] == "rotator ends, and 2 had not arrived"
    without_values("\n".join(running.lines))


async def test_everything_hangs_and_the_end_still_comes_in_time(
    installed: Deployment, cloud: Sandbox, webhook: Webhook
) -> None:
    webhook.always(Trouble.HANG)
    installed.target["timeout"] = "60s"
    installed.secret("openai", {"api_key": BAD})
    async with daemon(installed, webhook) as running, running.client() as http:
        await rotate(running, http)
        await until(lambda: len(webhook.requests) == 1)
        installed.secret("openai", {"api_key": NEXT})
        cloud.state.faults.order(Fault(FaultKind.HANG, "PUT", times=None))
        authorization = {"Authorization": f"Bearer {TOKEN}"}
        await http.post("/api/v1/rotations/openai/run", headers=authorization)
        await until(lambda: cloud.state.counters.in_flight == 1)
        asked = asyncio.get_running_loop().time()
        running.process.send_signal(signal.SIGTERM)
        assert await running.process.wait() == 0
        assert asyncio.get_running_loop().time() - asked < 10
    await running.event("notification.dropped", occasion="failed")


async def test_what_a_run_says_at_the_end_still_arrives(
    installed: Deployment, cloud: Sandbox, webhook: Webhook
) -> None:
    webhook.answer(500)
    installed.secret("openai", {"api_key": BAD})
    async with daemon(installed, webhook) as running, running.client() as http:
        await rotate(running, http)
        await running.event("notification.delayed", reason="HTTP 500")
    assert webhook.told == [("failed", "openai")] * 2
    await running.event("notification.sent", attempts=2)


async def test_an_interrupted_run_is_not_announced(
    installed: Deployment, cloud: Sandbox, webhook: Webhook
) -> None:
    cloud.state.change(settle=3600.0)
    installed.rotation["schedule"] = {"cron": "0 0 1 1 *", "on_start": True}
    async with daemon(installed, webhook) as running:
        await running.event("connection.updated")
    await running.event("run.finished", result="interrupted")
    assert webhook.told == []


async def test_a_command_notifies_nobody(
    installed: Deployment, cloud: Sandbox, webhook: Webhook
) -> None:
    installed.secret("openai", {"api_key": BAD})
    given = {"HTTP_TOKEN": TOKEN, "HOOK": webhook.url, "HOOK_SECRET": SECRET}
    assert (await installed.rotator("rotate", **given)).status == 1
    assert webhook.told == []
    # So the daemon's next one is news.
    async with daemon(installed, webhook) as running, running.client() as http:
        await rotate(running, http)
        await running.event("notification.sent", occasion="failed")


async def test_a_reload_takes_other_webhooks(
    installed: Deployment, cloud: Sandbox, webhook: Webhook
) -> None:
    notify = installed.document.pop("notify")
    file = installed.folder / "hook"
    installed.secret("openai", {"api_key": BAD})
    async with daemon(installed, webhook) as running, running.client() as http:
        await rotate(running, http)
        # One that is not there yet, and comes while it is looked for.
        installed.document["notify"] = [*notify, {"url": {"file": str(file)}, "events": ["failed"]}]
        installed.write()
        running.process.send_signal(signal.SIGHUP)
        await running.event("config.reloaded")
        await rotate(running, http)
        await running.event("notification.sent", receiver="127.0.0.1")
        missing = await running.event("notification.delayed", receiver="notify[1]")
        assert missing["reason"].startswith(f"notify[1].url: file {file} does not exist")
        with webhook_running() as other:
            file.write_text(f"{other.url}\n")
            await until(lambda: other.told == [("failed", "openai")])
            assert "x-rotator-signature" not in other.requests[0].headers
            installed.document["notify"] = installed.document["notify"][1:]
            installed.write()
            running.process.send_signal(signal.SIGHUP)
            await until(lambda: str(running.lines).count("config.reloaded") == 2)
            # What is as it was knows what it was told.
            await rotate(running, http)
            assert other.told == [("failed", "openai")]
    assert webhook.told == [("failed", "openai")]


async def test_url_and_secret_may_come_from_a_source(
    installed: Deployment, cloud: Sandbox, webhook: Webhook
) -> None:
    installed.secret("openai", {"api_key": BAD})
    installed.secret("hook", {"url": webhook.url, "hmac": SECRET})
    place = {"source": "mounted", "path": "hook"}
    installed.document["notify"] = [
        {
            "url": {"secret": {**place, "field": "url"}},
            "secret": {"secret": {**place, "field": "hmac"}},
        }
    ]
    async with daemon(installed, webhook) as running, running.client() as http:
        await rotate(running, http)
        await running.event("notification.sent", receiver="127.0.0.1")
    verified(webhook.requests[0], SECRET)
    without_values("\n".join(running.lines))


async def test_check_says_what_is_missing_and_notifies_nobody(
    installed: Deployment, cloud: Sandbox, webhook: Webhook
) -> None:
    installed.secret("hook", {"other": webhook.url})
    in_source = {"secret": {"source": "mounted", "path": "hook", "field": "url"}}
    installed.document["notify"].append({"url": in_source})
    given = {"HTTP_TOKEN": TOKEN, "HOOK": webhook.url, "HOOK_SECRET": SECRET}
    fine = await installed.rotator("check", "--online", "-o", "json", **given)
    rows = fine.json()
    assert fine.status == 0, fine.err
    said = {(row["place"], row["what"]): row["verdict"] for row in rows}
    assert said["notify[0]", "find its url"] == said["notify[0]", "find its secret"] == "works"
    assert any(row["place"] == "source mounted" and "hook" in row["what"] for row in rows)
    without_values(fine.out + fine.err)

    odd = await installed.rotator("check", "--online", **{**given, "HOOK": "canary-T0"})
    assert odd.status == 0, "rotator rotates without"
    assert "notify[0].url: what is there is no https://HOST/PATH" in odd.out + odd.err
    without_values(odd.out + odd.err)
    del given["HOOK_SECRET"]
    missing = await installed.rotator("check", "--online", **given)
    told = missing.out + missing.err
    assert "notify[0].secret: environment variable HOOK_SECRET is not set" in told
    assert webhook.requests == []
