"""rotator's own processes with secrets in Vault and in AWS Secrets Manager."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.sandbox.server import Sandbox
from tests.support.aws import REGION, moto_running
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.faulty import Trouble
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.vault import FakeVault, Login, vault_running

__all__ = ["deployment", "sandbox"]

FIRST = "canary-first"
SECOND = "canary-second"
JWT = "canary.projected.jwt"
KEYS = {
    "AWS_ACCESS_KEY_ID": "canary-key-id",
    "AWS_SECRET_ACCESS_KEY": "canary-secret-key",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=5, types=("OPENAI",), settle=0.1)


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with vault_running() as (vault, _):
        vault.logins["kubernetes", "rotator"] = Login({"jwt": JWT}, ("flink",), 3600)
        vault.policies["flink"] = ("kv/data/flink/*", "kv/metadata/flink/*")
        yield vault


@pytest.fixture
def from_vault(
    deployment: DeploymentFactory, cloud: Sandbox, vault: FakeVault, tmp_path: Path
) -> Deployment:
    made = deployment(cloud.url)
    (tmp_path / "jwt").write_text(JWT + "\n")
    token_file = str(tmp_path / "jwt")
    made.document["sources"]["vault"] = {
        "kind": "vault",
        "url": vault.url,
        "auth": {"method": "kubernetes", "role": "rotator", "token_file": token_file},
        "timeout": "5s",
    }
    made.rotation["secret"] = {"source": "vault", "path": "flink/{connection}"}
    return made


def held(cloud: Sandbox) -> dict[str, Any]:
    connections = cloud.state.connections()
    return {name: connections.current(name).data for name in connections.names()}


def without_values(text: str) -> None:
    for value in (FIRST, SECOND, JWT, *KEYS.values()):
        assert value not in text or value == "true"


async def test_each_connection_gets_its_own_secret_of_vault(
    from_vault: Deployment, cloud: Sandbox, vault: FakeVault
) -> None:
    for name in held(cloud):
        vault.put(f"flink/{name}", {"api_key": f"{FIRST}-{name}"})
    done = await from_vault.rotator("rotate", "-o", "json")
    assert done.status == 0, done.err
    assert held(cloud) == {name: {"API_KEY": f"{FIRST}-{name}"} for name in held(cloud)}
    assert vault.count("POST */login") == 1
    assert vault.reads == 5

    vault.put("flink/openai-003", {"api_key": SECOND})
    changed = await from_vault.rotator("rotate", "-o", "json")
    assert (changed.json()[0]["rotated"], changed.json()[0]["unchanged"]) == (1, 4)
    assert held(cloud)["openai-003"] == {"API_KEY": SECOND}
    without_values(done.out + done.err + changed.out + changed.err)


async def test_a_secret_that_is_deleted_leaves_its_connection_as_it_is(
    from_vault: Deployment, cloud: Sandbox, vault: FakeVault
) -> None:
    for name in held(cloud):
        vault.put(f"flink/{name}", {"api_key": FIRST})
    await from_vault.rotator("rotate")
    vault.kv["kv", "flink/openai-002"][-1].deleted = vault.now
    vault.put("flink/openai-003", {"api_key": SECOND})
    planned = await from_vault.rotator("plan", "-o", "json")
    rows = {row["connection"]: row for row in planned.json()}
    assert rows["openai-002"]["verdict"] == "invalid"
    assert "current version was deleted" in rows["openai-002"]["reason"]
    await from_vault.rotator("rotate")
    assert held(cloud)["openai-002"] == {"API_KEY": FIRST}


@pytest.mark.parametrize("trouble", [Trouble.HANG, Trouble.DRIP])
async def test_a_vault_that_hangs_ends_in_a_line_and_holds_nobody_up(
    from_vault: Deployment, cloud: Sandbox, vault: FakeVault, trouble: Trouble
) -> None:
    from_vault.document["sources"]["vault"]["timeout"] = "500ms"
    vault.fail("*", trouble, times=None)
    started = asyncio.get_running_loop().time()
    done = await from_vault.rotator("rotate")
    assert asyncio.get_running_loop().time() - started < 20
    assert done.status == 1
    assert "source vault" in done.out + done.err
    assert "no answer" in done.out + done.err
    assert not cloud.state.counters.updates


async def test_a_denied_login_is_one_line_with_the_place(
    from_vault: Deployment, vault: FakeVault
) -> None:
    vault.logins.clear()
    done = await from_vault.rotator("check", "--online")
    assert done.status == 1
    lines = [line for line in (done.out + done.err).splitlines() if "login was refused" in line]
    assert len(lines) == 1
    assert "source vault: log in: the kubernetes login was refused (HTTP 403)" in lines[0]
    without_values(done.out + done.err)


async def test_the_daemon_sees_a_new_version_in_aws_without_reading_it(
    deployment: DeploymentFactory, cloud: Sandbox
) -> None:
    with moto_running() as (client, url):
        client.create_secret(Name="flink/openai", SecretString=json.dumps({"api_key": FIRST}))
        installed = deployment(cloud.url)
        installed.document["sources"]["aws"] = {
            "kind": "aws-secrets-manager",
            "region": REGION,
            "endpoint_url": url,
        }
        installed.rotation["secret"] = {"source": "aws", "path": "flink/openai"}
        installed.rotation["watch"] = "1s"
        installed.rotation["schedule"] = {"cron": "0 3 1 1 *", "on_start": True}
        installed.document["log"] = {"level": "debug"}
        async with installed.daemon(**KEYS) as daemon, daemon.client() as http:
            await daemon.event("run.finished", result="succeeded")
            assert set(map(str, held(cloud).values())) == {str({"API_KEY": FIRST})}
            client.put_secret_value(
                SecretId="flink/openai", SecretString=json.dumps({"api_key": SECOND})
            )
            await daemon.event("run.finished", result="succeeded", trigger="watch")
            assert set(map(str, held(cloud).values())) == {str({"API_KEY": SECOND})}
            metrics = (await http.get("/metrics")).text
        assert 'rotator_source_reads_total{result="ok",source="aws"}' in metrics
        without_values(metrics + "\n".join(daemon.lines))


async def test_a_source_that_fails_is_seen_everywhere_and_changes_nothing(
    from_vault: Deployment, cloud: Sandbox, vault: FakeVault
) -> None:
    """In metrics, readyz, log and status; the connections keep what they have."""
    for name in held(cloud):
        vault.put(f"flink/{name}", {"api_key": FIRST})
    from_vault.rotation["watch"] = "1s"
    async with from_vault.daemon() as daemon, daemon.client() as http:
        await daemon.event("run.finished", result="succeeded")
        before = held(cloud)
        vault.sealed = True
        failed = await daemon.event("watch.failed")
        assert "it is sealed" in failed["reason"]
        ready = await http.get("/readyz")
        assert ready.status_code == 200, "what the connections have goes on working"
        assert "it is sealed" in ready.json()["checks"]["source vault"]
        unavailable = 'rotator_source_reads_total{result="unavailable",source="vault"}'
        assert unavailable in (await http.get("/metrics")).text

        async with asyncio.timeout(30):
            while "it is sealed" not in (told := await from_vault.rotator("status")).err:
                assert told.status == 0
        assert "The connections keep what they have" in told.err
        assert held(cloud) == before

        vault.sealed = False
        vault.put("flink/openai-003", {"api_key": SECOND})
        await daemon.event("connection.settled", connection="openai-003", result="rotated")
        async with asyncio.timeout(30):
            while (await from_vault.rotator("status")).err:
                pass
        assert (await http.get("/readyz")).json()["checks"].get("source vault") is None
