"""The metrics of a real daemon: what stands in them after what really happened."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import BAD, GOOD, NEXT
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.waiting import until_so

__all__ = ["deployment", "sandbox"]

NAME = "openai-001"


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=3, types=("OPENAI",), settle=0.1)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    made.rotation["watch"] = "1s"
    return made


async def value(client: httpx.AsyncClient, name: str, **labels: str) -> float | None:
    answer = (await client.get("/metrics")).raise_for_status()
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


async def test_a_key_that_is_revoked_between_two_runs_shows(
    installed: Deployment, cloud: Sandbox
) -> None:
    async with installed.daemon() as running, running.client() as client:
        await running.event("run.finished", result="succeeded")
        phase = {"connection": NAME, "target": "sandbox"}
        name = "rotator_connection_phase"
        assert await value(client, name, phase="READY", **phase) == 1
        cloud.state.connections().force_phase(NAME, "INVALID_AUTH", "401")

        async def seen() -> bool:
            return await value(client, name, phase="INVALID_AUTH", **phase) == 1

        await until_so(seen)
        assert len([e for e in running.events if e["event"] == "run.started"]) == 1, "a look only"
        cloud.state.connections().delete(NAME)

        async def gone() -> bool:
            return f'connection="{NAME}"' not in (await client.get("/metrics")).text

        await until_so(gone)


async def test_a_change_that_arrives_counts_in_time(installed: Deployment, cloud: Sandbox) -> None:
    async with installed.daemon() as running, running.client() as client:
        await running.event("run.finished", result="succeeded")
        counted = {"rotation": "openai", "target": "sandbox"}
        total = "rotator_secret_changes_total"
        assert await value(client, total, result="in_time", **counted) == 3
        installed.secret("openai", {"api_key": BAD})
        await running.event("run.finished", result="failed")
        assert await value(client, total, result="in_time", **counted) == 3
        installed.secret("openai", {"api_key": NEXT})

        async def arrived() -> bool:
            return await value(client, total, result="in_time", **counted) == 6

        await until_so(arrived)
        assert await value(client, total, result="late", **counted) == 0
        longest = await value(client, "rotator_change_to_ready_seconds_bucket", le="60.0")
        assert longest == 6
        skew = await value(client, "rotator_target_clock_skew_seconds", target="sandbox")
        assert skew is not None
        assert abs(skew) < 1, "it is the same clock"


async def test_a_locked_ledger_holds_up_no_scrape(installed: Deployment) -> None:
    async with installed.daemon() as running, running.client() as client:
        await running.event("run.finished", result="succeeded")
        held = sqlite3.connect(installed.folder / "ledger.db", isolation_level=None)
        held.execute("BEGIN EXCLUSIVE")
        before = datetime.now(UTC)
        assert await value(client, "rotator_leader") == 1
        assert (datetime.now(UTC) - before).total_seconds() < 2
        held.execute("ROLLBACK")
        held.close()
