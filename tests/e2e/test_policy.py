"""The policy that rotator prints is what it needs, line by line, of a Vault that looks at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rotator.sandbox.server import Sandbox
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.policies import capabilities
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.vault import DatabaseRole, FakeVault, vault_running

__all__ = ["deployment", "sandbox"]


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with vault_running() as (vault, _):
        vault.put("confluent/rotator", {"secret": "canary-api-secret"})
        vault.databases["database", "flink"] = DatabaseRole()
        yield vault


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=4, types=("OPENAI", "MONGODB"), settle=0.1)


@pytest.fixture
def made(deployment: DeploymentFactory, cloud: Sandbox, vault: FakeVault) -> Deployment:
    for name in cloud.state.connections().names():
        vault.put(f"flink/{name}", {"api_key": f"canary-{name}"})
    made = deployment(cloud.url)
    made.document["sources"]["vault"] = {
        "kind": "vault",
        "url": vault.url,
        "auth": {"method": "token", "token": {"env": "VAULT_TOKEN"}},
    }
    made.rotation["secret"] = {"source": "vault", "engine": "kv-v2", "path": "flink/{connection}"}
    made.rotation["watch"] = "1m"
    made.document["rotations"]["mongodb"] = {
        "targets": ["sandbox"],
        "match": {"type": ["MONGODB"]},
        "secret": {"source": "vault", "engine": "database", "path": "creds/flink"},
        "credential": {"username": "username", "password": "password"},
        "verify": {"timeout": "10s", "interval": "200ms"},
    }
    return made


async def least(made: Deployment) -> dict[str, tuple[str, ...]]:
    done = await made.rotator("policy")
    assert (done.status, done.err) == (0, "")
    return capabilities(done.out)


async def test_with_exactly_this_policy_everything_works(
    made: Deployment, vault: FakeVault
) -> None:
    vault.policies["least"] = await least(made)
    token = vault.token("least")
    done = await made.rotator("check", "--online", VAULT_TOKEN=token)
    assert (done.status, done.err) == (0, ""), done.err
    assert vault.users == {}, "checking makes no credential"
    assert "source vault: read kv/data/flink/openai-001: works" in done.out
    done = await made.rotator("rotate", VAULT_TOKEN=token)
    assert done.status == 0, done.out + done.err


async def test_without_any_line_of_it_something_is_missing(
    made: Deployment, vault: FakeVault
) -> None:
    whole = await least(made)
    for line in whole:
        vault.policies["less"] = {path: words for path, words in whole.items() if path != line}
        token = vault.token("less")
        done = await made.rotator("check", "--online", VAULT_TOKEN=token)
        needless = line.startswith(("kv/metadata/", "sys/leases/"))
        assert done.status == (0 if needless else 1), line
        assert "the policy lacks" in done.err
        assert "`rotator policy` prints the policies" in done.err
        told = done.err.replace("openai-001", "+").replace("openai-003", "+")
        assert f'path "{line}"' in told
        assert "canary" not in done.out + done.err


async def test_json_for_scripts(made: Deployment, vault: FakeVault) -> None:
    (policy,) = (await made.rotator("policy", "-o", "json")).json()
    assert policy["source"] == "vault"
    assert "kv/data/flink/+" in capabilities(policy["policy"])
    checks = (await made.rotator("check", "--online", "-o", "json", VAULT_TOKEN="wrong")).json()
    failed = [check["place"] for check in checks if check["verdict"] == "fails"]
    assert "source vault" in failed
    assert "target sandbox" not in failed
