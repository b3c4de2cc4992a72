"""What a Vault does, asked of the fake always, and of a real server where there is one.

Set ROTATOR_TEST_VAULT_ADDR and ROTATOR_TEST_VAULT_TOKEN (of root) for the latter. These tests make
mounts, policies, tokens and namespaces with random names there, and remove them in the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.vault.answers import LAST_USE
from tests.support.vault.remote import HAVE_REAL, Answer, Remote, remote

SERVERS = ["fake", "real"] if HAVE_REAL else ["fake"]


@pytest.fixture(params=SERVERS)
async def vault(request: pytest.FixtureRequest) -> AsyncIterator[Remote]:
    async with remote(real=request.param == "real") as vault:
        yield vault


@pytest.mark.skipif(
    not HAVE_REAL, reason="ROTATOR_TEST_VAULT_ADDR and ROTATOR_TEST_VAULT_TOKEN are not set"
)
async def test_a_real_server_is_asked_too() -> None:
    """Here, so that a run without one says so, once."""
    async with remote(real=True) as server:
        assert (await server.do("GET", "auth/token/lookup-self")).status == 200


def denied(answer: Answer) -> bool:
    return answer.status == 403 and "permission denied" in str(answer.errors)


# KV


async def test_versions_of_a_secret(vault: Remote) -> None:
    kv = await vault.mount("kv", version="2")
    path, about = f"{kv}/data/a b/ü", f"{kv}/metadata/a b/ü"
    first = await vault.do("POST", path, {"data": {"key": "one", "n": 1, "deep": {"a": [None]}}})
    assert first.data["version"] == 1
    await vault.do("POST", path, {"data": {"key": "two"}})

    latest, pinned = await vault.do("GET", path), await vault.do("GET", f"{path}?version=1")
    assert latest.data["data"] == {"key": "two"}
    assert pinned.data["data"] == {"key": "one", "n": 1, "deep": {"a": [None]}}
    assert pinned.data["metadata"]["created_time"] == first.data["created_time"]
    metadata = (await vault.do("GET", about)).data
    assert metadata["current_version"] == 2
    assert metadata["versions"]["1"]["created_time"] == first.data["created_time"]
    for missing in (f"{path}?version=3", f"{kv}/data/none", f"{kv}/metadata/none"):
        answer = await vault.ask("GET", missing)
        assert (answer.status, answer.errors) == (404, [])


async def test_a_version_that_is_deleted_and_undeleted_and_destroyed(vault: Remote) -> None:
    kv = await vault.mount("kv", version="2")
    path = f"{kv}/data/app"
    await vault.do("POST", path, {"data": {"key": "one"}})
    before = (await vault.do("GET", path)).data["metadata"]

    await vault.do("DELETE", path)
    deleted = await vault.ask("GET", path)
    assert (deleted.status, deleted.data["data"]) == (404, None)
    assert deleted.data["metadata"]["deletion_time"]
    assert (await vault.do("GET", f"{kv}/metadata/app")).data["current_version"] == 1

    await vault.do("POST", f"{kv}/undelete/app", {"versions": [1]})
    assert (await vault.do("GET", path)).data["metadata"] == before

    await vault.do("POST", f"{kv}/destroy/app", {"versions": [1]})
    destroyed = await vault.ask("GET", path)
    assert (destroyed.status, destroyed.data["data"]) == (404, None)
    metadata = destroyed.data["metadata"]
    assert (metadata["destroyed"], metadata["deletion_time"]) == (True, "")


async def test_deleted_with_its_metadata_a_secret_starts_again(vault: Remote) -> None:
    kv = await vault.mount("kv", version="2")
    path = f"{kv}/data/app"
    before = (await vault.do("POST", path, {"data": {"key": "one"}})).data
    await vault.do("DELETE", f"{kv}/metadata/app")
    answer = await vault.ask("GET", path)
    assert (answer.status, answer.errors) == (404, [])
    after = (await vault.do("POST", path, {"data": {"key": "one"}})).data
    assert (before["version"], after["version"]) == (1, 1)
    assert before["created_time"] < after["created_time"]


async def test_versions_beyond_the_maximum_are_gone(vault: Remote) -> None:
    kv = await vault.mount("kv", version="2")
    await vault.do("POST", f"{kv}/metadata/app", {"max_versions": 2})
    for number in range(4):
        await vault.do("POST", f"{kv}/data/app", {"data": {"key": number}})
    answer = await vault.ask("GET", f"{kv}/data/app?version=2")
    assert (answer.status, answer.errors) == (404, [])
    assert (await vault.do("GET", f"{kv}/data/app?version=3")).data["data"] == {"key": 2}
    metadata = (await vault.do("GET", f"{kv}/metadata/app")).data
    assert (metadata["oldest_version"], metadata["max_versions"]) == (3, 2)
    assert set(metadata["versions"]) == {"3", "4"}


async def test_a_live_version_may_know_when_it_will_be_deleted(vault: Remote) -> None:
    kv = await vault.mount("kv", version="2")
    await vault.do("POST", f"{kv}/metadata/app", {"delete_version_after": "1h"})
    await vault.do("POST", f"{kv}/data/app", {"data": {"key": "one"}})
    metadata = (await vault.do("GET", f"{kv}/data/app")).data["metadata"]
    assert metadata["deletion_time"] > metadata["created_time"]


async def test_custom_metadata_is_no_new_version(vault: Remote) -> None:
    kv = await vault.mount("kv", version="2")
    await vault.do("POST", f"{kv}/data/app", {"data": {"key": "one"}})
    before = (await vault.do("GET", f"{kv}/metadata/app")).data
    await vault.do("POST", f"{kv}/metadata/app", {"custom_metadata": {"owner": "ann"}})
    after = (await vault.do("GET", f"{kv}/metadata/app")).data
    assert after["custom_metadata"] == {"owner": "ann"}
    assert after["versions"] == before["versions"]
    read = (await vault.do("GET", f"{kv}/data/app")).data
    assert read["metadata"]["custom_metadata"] == {"owner": "ann"}


async def test_check_and_set(vault: Remote) -> None:
    kv = await vault.mount("kv", version="2")
    body = {"data": {"key": "one"}, "options": {"cas": 0}}
    await vault.do("POST", f"{kv}/data/app", body)
    answer = await vault.ask("POST", f"{kv}/data/app", body)
    assert answer.status == 400
    assert "check-and-set" in str(answer.errors)


async def test_version_1_has_no_versions_and_no_lease(vault: Remote) -> None:
    kv = await vault.mount("kv", version="1")
    await vault.do("POST", f"{kv}/app", {"key": "one", "ttl": "30s"})
    await vault.do("POST", f"{kv}/plain", {"key": "one"})
    read, plain = await vault.do("GET", f"{kv}/app"), await vault.do("GET", f"{kv}/plain")
    assert read.data == {"key": "one", "ttl": "30s"}
    assert (read.body["lease_id"], read.body["renewable"]) == ("", False)
    assert read.body["lease_duration"] == 30
    assert plain.body["lease_duration"] == 2764800
    await vault.do("DELETE", f"{kv}/app")
    for missing in (f"{kv}/app", f"{kv}/data/plain"):
        answer = await vault.ask("GET", missing)
        assert (answer.status, answer.errors) == (404, [])


async def test_a_path_of_version_1_in_version_2(vault: Remote) -> None:
    kv = await vault.mount("kv", version="2")
    answer = await vault.ask("GET", f"{kv}/app")
    assert answer.status == 404
    assert "Invalid path for a versioned K/V secrets engine" in answer.body["warnings"][0]


async def test_what_is_below_a_path(vault: Remote) -> None:
    kv = await vault.mount("kv", version="2")
    for path in ("a", "folder/b", "folder/c/d"):
        await vault.do("POST", f"{kv}/data/{path}", {"data": {"key": "one"}})
    assert (await vault.do("LIST", f"{kv}/metadata/")).data == {"keys": ["a", "folder/"]}
    below = await vault.do("GET", f"{kv}/metadata/folder?list=true")
    assert below.data == {"keys": ["b", "c/"]}
    answer = await vault.ask("LIST", f"{kv}/metadata/none")
    assert (answer.status, answer.errors) == (404, [])


# Mounts and policies


@pytest.mark.parametrize("version", ["1", "2"])
async def test_which_version_a_mount_has(vault: Remote, version: str) -> None:
    kv = await vault.mount("kv", version=version)
    probe = f"sys/internal/ui/mounts/{kv}"
    found = (await vault.do("GET", probe)).data
    assert (found["type"], found["path"]) == ("kv", f"{kv}/")
    assert found["options"] == {"version": version}

    reader = await vault.token(await vault.policy({f"{kv}/data/deep/app": ["read"]}))
    assert (await vault.do("GET", probe, token=reader)).data["options"] == {"version": version}
    stranger = await vault.token(await vault.policy({"elsewhere/*": ["read"]}))
    for path, token in ((probe, stranger), ("sys/internal/ui/mounts/no-such", vault.root)):
        answer = await vault.ask("GET", path, token=token)
        assert answer.status == 403
        assert "preflight capability check returned 403" in answer.errors[0]


async def test_no_mount(vault: Remote) -> None:
    answer = await vault.ask("GET", "rotator-test-none/data/app")
    said = 'no handler for route "rotator-test-none/data/app". route entry not found.'
    assert (answer.status, answer.errors) == (404, [said])


async def test_the_most_specific_rule_decides(vault: Remote) -> None:
    kv = await vault.mount("kv", version="2")
    for path in ("open", "closed", "team/app"):
        await vault.do("POST", f"{kv}/data/{path}", {"data": {"key": "one"}})
    rules = {
        f"{kv}/data/*": ["read"],
        f"{kv}/data/closed": ["deny"],
        f"{kv}/metadata/+/app": ["read"],
    }
    token = await vault.token(await vault.policy(rules))
    await vault.do("GET", f"{kv}/data/open", token=token)
    await vault.do("GET", f"{kv}/metadata/team/app", token=token)
    for path in (f"{kv}/data/closed", f"{kv}/metadata/open", "no-such-mount/x"):
        assert denied(await vault.ask("GET", path, token=token)), path
    assert denied(await vault.ask("POST", f"{kv}/data/open", {"data": {}}, token=token))

    paths = [f"{kv}/data/open", f"{kv}/data/closed", f"{kv}/metadata/open"]
    answer = await vault.do("POST", "sys/capabilities-self", {"paths": paths}, token=token)
    told = {paths[0]: ["read"], paths[1]: ["deny"], paths[2]: ["deny"]}
    assert answer.data == told
    assert {path: answer.body[path] for path in paths} == told


async def test_the_default_policy(vault: Remote) -> None:
    """Leases may be looked up and renewed by everybody, and not revoked."""
    token = await vault.token("default")
    wanted = {
        "auth/token/lookup-self": "read",
        "auth/token/renew-self": "update",
        "auth/token/revoke-self": "update",
        "sys/leases/renew": "update",
        "sys/leases/lookup": "update",
        "sys/leases/revoke": "deny",
        "sys/wrapping/unwrap": "update",
        "sys/capabilities-self": "update",
    }
    sent = {"paths": list(wanted)}
    told = (await vault.do("POST", "sys/capabilities-self", sent, token=token)).data
    assert {path: wanted[path] in told[path] for path in wanted} == dict.fromkeys(wanted, True)


# Tokens


async def test_a_service_token(vault: Remote) -> None:
    token = await vault.token("default", ttl="10m")
    about = (await vault.do("GET", "auth/token/lookup-self", token=token)).data
    assert (about["type"], about["renewable"], about["creation_ttl"]) == ("service", True, 600)
    assert 590 <= about["ttl"] <= 600
    assert about["expire_time"]
    renewed = await vault.do("POST", "auth/token/renew-self", {"increment": "20m"}, token=token)
    assert renewed.auth["lease_duration"] == 1200
    assert renewed.auth["client_token"] == token
    shorter = await vault.do("POST", "auth/token/renew-self", {"increment": "60s"}, token=token)
    assert shorter.auth["lease_duration"] == 60, "a small increment shortens"

    await vault.do("POST", "auth/token/revoke-self", token=token)
    assert denied(await vault.ask("GET", "auth/token/lookup-self", token=token))


async def test_root_has_no_end(vault: Remote) -> None:
    about = (await vault.do("GET", "auth/token/lookup-self")).data
    assert (about["expire_time"], about["ttl"], about["policies"]) == (None, 0, ["root"])
    answer = await vault.ask("POST", "auth/token/renew-self", {})
    assert (answer.status, answer.errors) == (400, ["lease is not renewable"])


@pytest.mark.parametrize(
    ("options", "granted"),
    [
        ({"period": "5m"}, (300, False)),
        ({"explicit_max_ttl": "15m"}, (900, True)),
        ({}, (3600, False)),
    ],
)
async def test_how_far_a_renewal_goes(
    vault: Remote, options: dict[str, str], granted: tuple[int, bool]
) -> None:
    token = await vault.token("default", **options)
    answer = await vault.do("POST", "auth/token/renew-self", {"increment": "1h"}, token=token)
    most, capped = granted
    assert most - 10 <= answer.auth["lease_duration"] <= most
    warnings = answer.body.get("warnings") or []
    assert any("exceeded the effective max_ttl" in said for said in warnings) == capped
    about = (await vault.do("GET", "auth/token/lookup-self", token=token)).data
    assert about.get("period", 0) == (300 if "period" in options else 0)
    assert about["explicit_max_ttl"] == (900 if capped else 0)


async def test_a_token_that_is_not_renewable(vault: Remote) -> None:
    token = await vault.token("default", renewable=False)
    about = (await vault.do("GET", "auth/token/lookup-self", token=token)).data
    assert about["renewable"] is False
    answer = await vault.ask("POST", "auth/token/renew-self", {}, token=token)
    assert (answer.status, answer.errors) == (400, ["lease is not renewable"])


async def test_a_batch_token(vault: Remote) -> None:
    token = await vault.token("default", type="batch", ttl="1m")
    about = (await vault.do("GET", "auth/token/lookup-self", token=token)).data
    assert (about["type"], about["renewable"], about["accessor"]) == ("batch", False, "")
    for path, what in (("renew-self", "renewed"), ("revoke-self", "revoked")):
        answer = await vault.ask("POST", f"auth/token/{path}", {}, token=token)
        assert (answer.status, answer.errors) == (400, [f"batch tokens cannot be {what}"])


async def test_every_request_is_a_use_and_a_refused_one_too(vault: Remote) -> None:
    kv = await vault.mount("kv", version="1")
    await vault.do("POST", f"{kv}/app", {"key": "one"})
    policy = await vault.policy({f"{kv}/app": ["read"]})
    token = await vault.token(policy, num_uses=3)
    await vault.do("GET", f"{kv}/app", token=token)
    assert denied(await vault.ask("GET", f"{kv}/other", token=token))
    await vault.do("GET", f"{kv}/app", token=token)
    assert denied(await vault.ask("GET", f"{kv}/app", token=token))


async def test_a_token_without_the_default_policy(vault: Remote) -> None:
    kv = await vault.mount("kv", version="1")
    await vault.do("POST", f"{kv}/app", {"key": "one"})
    policy = await vault.policy({f"{kv}/app": ["read"]})
    token = await vault.token(policy, no_default_policy=True)
    await vault.do("GET", f"{kv}/app", token=token)
    assert denied(await vault.ask("GET", "auth/token/lookup-self", token=token))


@pytest.mark.parametrize("token", [None, "s.no-such-token"])
async def test_no_valid_token(vault: Remote, token: str | None) -> None:
    assert denied(await vault.ask("GET", "rotator-test-none/x", token=token))
    assert denied(await vault.ask("GET", "auth/token/lookup-self", token=token))


# Logins


async def approle(vault: Remote) -> tuple[str, str]:
    """Its mount, and a role_id."""
    mount = await vault.login_method("approle")
    kv = await vault.policy({"elsewhere/*": ["read"]})
    role = {"token_policies": [kv], "token_ttl": "10m", "secret_id_num_uses": 1}
    await vault.do("POST", f"auth/{mount}/role/app", role)
    role_id = (await vault.do("GET", f"auth/{mount}/role/app/role-id")).data["role_id"]
    return mount, role_id


async def test_approle_with_a_secret_id_that_was_wrapped(vault: Remote) -> None:
    mount, role_id = await approle(vault)
    place = f"auth/{mount}/role/app/secret-id"
    made = await vault.do("POST", place, {}, X_Vault_Wrap_TTL="60s")
    assert made.body["data"] is None
    wrapping = made.body["wrap_info"]["token"]
    assert (made.body["wrap_info"]["ttl"], made.body["wrap_info"]["creation_path"]) == (60, place)

    seen = await vault.do("POST", "sys/wrapping/lookup", {"token": wrapping}, token=None)
    assert (seen.data["creation_path"], seen.data["creation_ttl"]) == (place, 60)
    held = await vault.do("POST", "sys/wrapping/unwrap", token=wrapping)
    assert held.data["secret_id_num_uses"] == 1
    for path, token, body in (
        ("unwrap", wrapping, None),
        ("lookup", None, {"token": wrapping}),
    ):
        again = await vault.ask("POST", f"sys/wrapping/{path}", body, token=token)
        said = ["wrapping token is not valid or does not exist"]
        assert (again.status, again.errors) == (400, said)

    proof = {"role_id": role_id, "secret_id": held.data["secret_id"]}
    granted = (await vault.do("POST", f"auth/{mount}/login", proof, token=None)).auth
    assert (granted["lease_duration"], granted["renewable"]) == (600, True)
    assert "default" in granted["policies"]
    assert granted["mfa_requirement"] is None
    await vault.do("GET", "auth/token/lookup-self", token=granted["client_token"])
    spent = await vault.ask("POST", f"auth/{mount}/login", proof, token=None)
    assert (spent.status, spent.errors) == (400, ["invalid role or secret ID"])


async def test_approle_that_is_refused(vault: Remote) -> None:
    mount, role_id = await approle(vault)
    for proof in (
        {"role_id": role_id, "secret_id": "wrong"},
        {"role_id": "nobody", "secret_id": "wrong"},
    ):
        answer = await vault.ask("POST", f"auth/{mount}/login", proof, token=None)
        assert (answer.status, answer.errors) == (400, ["invalid role or secret ID"])
    answer = await vault.ask("POST", f"auth/{mount}/login", {}, token=None)
    assert "missing role_id" in str(answer.errors)
    assert denied(await vault.ask("POST", "auth/rotator-test-none/login", {}, token=None))


async def test_userpass(vault: Remote) -> None:
    mount = await vault.login_method("userpass")
    await vault.do("POST", f"auth/{mount}/users/ann", {"password": "pw", "token_ttl": "10m"})
    path = f"auth/{mount}/login/ann"
    granted = (await vault.do("POST", path, {"password": "pw"}, token="s.ignored")).auth
    assert granted["metadata"] == {"username": "ann"}
    assert granted["lease_duration"] == 600
    await vault.do("GET", "auth/token/lookup-self", token=granted["client_token"])
    for wrong in (path, f"auth/{mount}/login/nobody"):
        answer = await vault.ask("POST", wrong, {"password": "no"}, token=None)
        assert (answer.status, answer.errors) == (400, ["invalid username or password"])


# Wrapping


async def test_anything_can_be_wrapped(vault: Remote) -> None:
    other = await vault.token("default")
    for by_body in (False, True):
        wrapped = await vault.do("POST", "sys/wrapping/wrap", {"a": "b"}, X_Vault_Wrap_TTL="60s")
        token = wrapped.body["wrap_info"]["token"]
        body = {"token": token} if by_body else None
        sent: dict[str, Any] = {"token": other if by_body else token}
        held = await vault.do("POST", "sys/wrapping/unwrap", body, **sent)
        assert held.data == {"a": "b"}
        again = await vault.ask("POST", "sys/wrapping/unwrap", body, **sent)
        assert (again.status, "wrapping token is not valid" in again.errors[0]) == (400, True)
    assert (await vault.ask("POST", "sys/wrapping/wrap", {"a": "b"})).status == 400


# Leases: those of one-time passwords for SSH, since they need no other server


async def one_time_passwords(vault: Remote) -> tuple[str, str]:
    """The path that makes one, and a policy that permits it."""
    ssh = await vault.mount("ssh")
    role = {"key_type": "otp", "default_user": "ann", "cidr_list": "127.0.0.0/8"}
    await vault.do("POST", f"{ssh}/roles/app", role)
    return f"{ssh}/creds/app", await vault.policy({f"{ssh}/creds/app": ["update"]})


async def test_the_life_of_a_lease(vault: Remote) -> None:
    path, _ = await one_time_passwords(vault)
    made = await vault.do("POST", path, {"ip": "127.0.0.1"})
    other = await vault.do("POST", path, {"ip": "127.0.0.1"})
    lease = made.body["lease_id"]
    assert lease.startswith(f"{path}/")
    assert other.body["lease_id"] != lease
    assert other.data["key"] != made.data["key"]
    assert made.body["renewable"] is False

    seen = (await vault.do("PUT", "sys/leases/lookup", {"lease_id": lease})).data
    assert (seen["id"], seen["renewable"], seen["last_renewal"]) == (lease, False, None)
    assert seen["ttl"] > 0
    answer = await vault.ask("PUT", "sys/leases/renew", {"lease_id": lease, "increment": 60})
    assert (answer.status, answer.errors) == (400, ["lease is not renewable"])

    revoke = {"lease_id": lease, "sync": True}
    assert (await vault.ask("PUT", "sys/leases/revoke", revoke)).status == 204
    assert (await vault.ask("PUT", "sys/leases/revoke", revoke)).status == 204, "none is none"
    for what, said in (("renew", "lease not found"), ("lookup", "invalid lease")):
        answer = await vault.ask("PUT", f"sys/leases/{what}", {"lease_id": lease})
        assert (answer.status, answer.errors) == (400, [said])
    await vault.do("PUT", "sys/leases/lookup", {"lease_id": other.body["lease_id"]})


async def test_a_lease_ends_with_its_token(vault: Remote) -> None:
    path, policy = await one_time_passwords(vault)
    token = await vault.token(policy)
    made = await vault.do("POST", path, {"ip": "127.0.0.1"}, token=token)
    lease = {"lease_id": made.body["lease_id"]}
    assert denied(await vault.ask("PUT", "sys/leases/revoke", lease, token=token))
    await vault.do("PUT", "sys/leases/lookup", lease, token=token)
    await vault.do("POST", "auth/token/revoke-self", token=token)
    answer = await vault.ask("PUT", "sys/leases/lookup", lease)
    assert (answer.status, answer.errors) == (400, ["invalid lease"])


async def test_the_last_use_of_a_token_makes_no_lease(vault: Remote) -> None:
    path, policy = await one_time_passwords(vault)
    token = await vault.token(policy, num_uses=1)
    answer = await vault.ask("POST", path, {"ip": "127.0.0.1"}, token=token)
    assert (answer.status, answer.errors) == (400, [LAST_USE])


# Namespaces


async def test_namespaces(vault: Remote) -> None:
    team = await vault.namespace()
    if team is None:
        pytest.skip("this server has no namespaces")
    kv = await vault.mount("kv", namespace=team, version="1")
    await vault.do("POST", f"{kv}/app", {"key": "one"}, namespace=team)
    assert (await vault.do("GET", f"{team}/{kv}/app")).data == {"key": "one"}
    answer = await vault.ask("GET", f"{kv}/app")
    assert (answer.status, "no handler for route" in answer.errors[0]) == (404, True)
    answer = await vault.ask("GET", f"{kv}/app", namespace="rotator-test-none")
    assert (answer.status, answer.errors) == (404, ["namespace not found"])

    above = await vault.token(await vault.policy({f"{team}/{kv}/app": ["read"]}))
    await vault.do("GET", f"{kv}/app", token=above, namespace=team)
    policy = await vault.policy({f"{kv}/app": ["read"]}, namespace=team)
    inside = await vault.token(policy, namespace=team)
    await vault.do("GET", f"{kv}/app", token=inside, namespace=team)
    assert (await vault.ask("GET", f"{kv}/app", token=inside)).status == 403
    for namespace in ("", team):
        await vault.do("GET", "auth/token/lookup-self", token=above, namespace=namespace)


# Requests that make no sense


async def test_a_body_that_is_no_json(vault: Remote) -> None:
    kv = await vault.mount("kv", version="2")
    headers = {"X-Vault-Token": vault.root}
    path = f"/v1/{kv}/data/app"
    answer = await vault.client.post(path, headers=headers, content=b"nothing")
    assert answer.status_code == 400
    assert "failed to decode JSON input" in answer.json()["errors"][0]


async def test_a_path_that_nobody_can_read(vault: Remote) -> None:
    answer = await vault.client.get("/v1/kv/data/a%0Ab", headers={"X-Vault-Token": vault.root})
    assert answer.status_code == 400


async def test_a_method_that_is_not_supported(vault: Remote) -> None:
    answer = await vault.ask("PATCH", "sys/health", {})
    assert answer.status == 405


async def test_a_login_that_is_read_instead_of_written(vault: Remote) -> None:
    """A real OpenBao 2.6.2 misses the role there, where other paths answer 405."""
    mount, _ = await approle(vault)
    answer = await vault.ask("GET", f"auth/{mount}/login")
    assert (answer.status, answer.errors) == (500, ["missing role_id"])


async def test_health_needs_no_token(vault: Remote) -> None:
    answer = await vault.do("GET", "sys/health", token=None)
    assert (answer.body["initialized"], answer.body["sealed"]) == (True, False)
    assert (await vault.do("GET", "sys/seal-status", token=None)).body["sealed"] is False
