"""The daemon with leased credentials, as a process of its own and in real time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.sandbox.server import Sandbox
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.faulty import Trouble
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.vault import DatabaseRole, FakeVault, Login, vault_running
from tests.support.waiting import until, until_so
from tests.support.webhooks import webhook_running

__all__ = ["deployment", "sandbox"]

CREDS = "GET /v1/database/creds/*"
SECRET_ID = "canary-secret-id"


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with vault_running() as (vault, _):
        vault.databases["database", "flink"] = DatabaseRole(ttl=3600, max_ttl=86400)
        vault.policies["flink"] = ("database/creds/*", "sys/leases/revoke")
        vault.logins["approle", "role"] = Login({"secret_id": SECRET_ID}, ("flink",), 3600)
        yield vault


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=3, types=("MONGODB",), settle=0.1)


@pytest.fixture
def leased(deployment: DeploymentFactory, cloud: Sandbox, vault: FakeVault) -> Deployment:
    made = deployment(cloud.url)
    made.document["sources"] = {
        "vault": {
            "kind": "vault",
            "url": vault.url,
            "auth": {"method": "approle", "role_id": "role", "secret_id": {"env": "SECRET_ID"}},
        }
    }
    made.document["rotations"] = {
        "mongodb": {
            "targets": ["sandbox"],
            "match": {"type": ["MONGODB"]},
            "secret": {"source": "vault", "engine": "database", "path": "creds/flink"},
            "credential": {"username": "username", "password": "password"},
            "verify": {"timeout": "2s", "interval": "200ms"},
        }
    }
    return made


def passwords(cloud: Sandbox) -> set[str]:
    connections = cloud.state.connections()
    return {connections.current(name).data["PASSWORD"] for name in connections.names()}


async def test_ready_without_making_a_credential_and_replaced_before_its_end(
    leased: Deployment, cloud: Sandbox, vault: FakeVault
) -> None:
    vault.databases["database", "flink"] = DatabaseRole(ttl=12, max_ttl=12, renewable=False)
    async with leased.daemon(SECRET_ID=SECRET_ID) as daemon, daemon.client() as http:
        await daemon.event("daemon.ready")
        assert (await http.get("/readyz")).status_code == 200
        assert vault.count(CREDS) == 0, "to be ready takes no credential"

        done = await leased.rotator("rotate", SECRET_ID=SECRET_ID)
        assert done.status == 0, done.err
        (first,) = passwords(cloud)
        run = await daemon.event("run.finished", trigger="lease", result="succeeded")
        assert run["rotated"] == 3
        (second,) = passwords(cloud)
        assert second != first
        metrics = (await http.get("/metrics")).text
        assert (
            'rotator_lease_expiry_timestamp_seconds{rotation="mongodb",source="vault"}' in metrics
        )
        assert 'rotator_source_token_expiry_timestamp_seconds{source="vault"}' in metrics

        held = await leased.rotator("leases", "-o", "json")
        assert {lease["state"] for lease in held.json()} == {"live", "retired"}
    everything = "\n".join((*daemon.lines, done.out, done.err, held.out, held.err, metrics))
    for value in (first, second, SECRET_ID, *vault.tokens, *vault.users):
        assert value not in everything
    assert vault.count("PUT /v1/sys/leases/revoke") + vault.count("POST */revoke-self") == 0


async def test_a_source_that_cannot_be_asked_is_not_reached(
    leased: Deployment, vault: FakeVault
) -> None:
    vault.sealed = True
    async with leased.daemon(SECRET_ID=SECRET_ID) as daemon, daemon.client() as http:
        failed = await daemon.event("contact.failed")
        assert "it is sealed" in failed["reason"]
        ready = await http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["source vault"] == "not reached yet"
        vault.sealed = False
        await daemon.event("daemon.ready")
        assert (await http.get("/readyz")).status_code == 200
    assert vault.count(CREDS) == 0


async def test_a_reload_keeps_the_token_that_leases_live_on(
    leased: Deployment, cloud: Sandbox, vault: FakeVault
) -> None:
    leased.document["rotations"]["mongodb"]["schedule"] = {"cron": "0 0 1 1 *", "on_start": True}
    async with leased.daemon(SECRET_ID=SECRET_ID) as daemon:
        await daemon.event("run.finished", result="succeeded")
        logins = vault.count("POST */login")
        leased.document["log"] = {"level": "debug"}
        leased.write()
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.event("config.reloaded")
        done = await leased.rotator("plan", "--detailed-exitcode", SECRET_ID=SECRET_ID)
        assert done.status == 0, done.out
    assert vault.count("POST */login") == logins
    assert vault.count("POST */revoke-self") == 0, "its leases would end with it"
    assert len(passwords(cloud)) == 1


async def test_stopped_while_vault_hangs_it_leaves_a_line_and_no_credential(
    leased: Deployment, cloud: Sandbox, vault: FakeVault, tmp_path: Path
) -> None:
    """The answer is lost with the process; the ledger knows that it was asked for."""
    vault.fail(CREDS, Trouble.HANG)
    before = passwords_or_none(cloud)
    process = await leased.spawn("rotate", SECRET_ID=SECRET_ID)
    await until(lambda: vault.count(CREDS) == 1)
    process.kill()
    await process.communicate()
    held = await leased.rotator("leases", "-o", "json")
    assert [lease["state"] for lease in held.json()] == ["asked"]
    assert passwords_or_none(cloud) == before


async def test_a_value_that_an_endpoint_echoes_is_kept_nowhere(
    leased: Deployment, cloud: Sandbox, tmp_path: Path
) -> None:
    """A run that takes up a verification again has no value that it could take out of a detail."""
    leased.document["rotations"]["mongodb"]["verify"]["timeout"] = "30s"
    cloud.state.change(settle=3600.0)
    process = await leased.spawn("rotate", SECRET_ID=SECRET_ID)
    await put_on_record(leased)
    process.kill()
    await process.communicate()
    cloud.state.change(settle=0.1)
    name = next(iter(cloud.state.counters.updates)).split("/")[1]
    value = cloud.state.connections().current(name).data["PASSWORD"]
    cloud.state.connections().force_phase(name, "INVALID_AUTH", f"{value} was refused")

    with webhook_running() as webhook:
        leased.document["notify"] = [{"url": {"env": "HOOK"}}]
        leased.document["log"] = {"level": "debug"}
        async with leased.daemon(SECRET_ID=SECRET_ID, HOOK=webhook.url) as daemon:
            run = await daemon.event("run.finished", trigger="resume", result="failed")
            await daemon.event("notification.sent", occasion="failed")
            async with daemon.client() as http:
                paths = (
                    "/",
                    f"/run?id={run['run']}",
                    f"/connection?target=sandbox&name={name}",
                    f"/api/v1/runs/{run['run']}",
                    "/api/v1/connections",
                    "/metrics",
                )
                shown = [(await http.get(path)).text for path in paths]
        told = [request.body.decode() for request in webhook.requests]
    listed = [
        await leased.rotator(it, "-o", "json", HOOK="http://x") for it in ("status", "history")
    ]
    assert "INVALID_AUTH" in listed[0].out
    everything = "\n".join((*daemon.lines, *shown, *told, *(it.out + it.err for it in listed)))
    assert value not in everything
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in kept if value.encode() in path.read_bytes()]


async def put_on_record(leased: Deployment) -> None:
    """Wait until the ledger says that the canary was put."""

    async def put() -> bool:
        rows = (await leased.rotator("status", "-o", "json")).json()
        return [row["stage"] for row in rows].count("put") == 1

    await until_so(put)


def passwords_or_none(cloud: Sandbox) -> set[str | None]:
    connections = cloud.state.connections()
    return {connections.current(name).data.get("PASSWORD") for name in connections.names()}
