"""The fake Vault, where time decides: what ends, what is capped, what waits for a database.

The rules: https://github.com/openbao/openbao/blob/main/vault/expiration.go and
https://github.com/openbao/openbao/blob/main/sdk/framework/lease.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.vault import (
    ROOT,
    AwsRole,
    DatabaseRole,
    FakeVault,
    Login,
    StaticRole,
    vault_running,
)

Ask = Callable[..., tuple[int, Any]]
CREDS = "db/creds/app"


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with vault_running() as (vault, _):
        vault.databases["db", "app"] = DatabaseRole(ttl=600, max_ttl=1800, prefix="canary-")
        yield vault


@pytest.fixture
def ask(vault: FakeVault) -> Iterator[Ask]:
    """Method, path, body → status and document; as root, unless another token is given."""
    with httpx.Client(base_url=vault.url, trust_env=False) as client:

        def send(method: str, path: str, token: str = ROOT, **body: Any) -> tuple[int, Any]:
            answer = client.request(
                method, f"/v1/{path}", headers={"X-Vault-Token": token}, json=body or None
            )
            return answer.status_code, answer.json() if answer.content else None

        yield send


def made(ask: Ask, path: str = CREDS, token: str = ROOT) -> Any:
    status, body = ask("GET", path, token)
    assert status == 200, body
    return body


# Leases


def test_every_read_makes_a_user_and_a_lease(vault: FakeVault, ask: Ask) -> None:
    one, two = made(ask), made(ask)
    assert one["data"]["password"] != two["data"]["password"]
    assert one["data"]["password"].startswith("canary-")
    assert vault.users == {
        body["data"]["username"]: body["data"]["password"] for body in (one, two)
    }
    assert list(vault.leases) == [one["lease_id"], two["lease_id"]]


def test_a_lease_that_nobody_renews_ends_with_its_user(vault: FakeVault, ask: Ask) -> None:
    lease = made(ask)["lease_id"]
    vault.advance(599)
    assert vault.users
    vault.advance(1)
    assert (vault.users, vault.leases, vault.expired) == ({}, {}, [lease])
    assert ask("PUT", "sys/leases/renew", lease_id=lease) == (
        400,
        {"errors": ["lease not found"]},
    )


def test_a_renewal_counts_from_now_and_ends_at_the_maximum(vault: FakeVault, ask: Ask) -> None:
    lease = made(ask)["lease_id"]
    durations = []
    for _ in range(4):
        vault.advance(500)
        _, body = ask("PUT", "sys/leases/renew", lease_id=lease)
        durations.append(body.get("lease_duration", body.get("errors")))
    assert durations == [600, 600, 300, ["lease not found"]]


def test_a_renewal_without_an_increment_is_for_the_ttl_of_the_role(ask: Ask) -> None:
    lease = made(ask)["lease_id"]
    assert ask("PUT", "sys/leases/renew", lease_id=lease)[1]["lease_duration"] == 600
    shorter = ask("PUT", "sys/leases/renew", lease_id=lease, increment=5)[1]
    assert (shorter["lease_duration"], shorter["warnings"]) == (5, None)


@pytest.mark.parametrize("end", ["time", "operator", "itself"])
def test_a_lease_ends_with_its_token(vault: FakeVault, ask: Ask, end: str) -> None:
    vault.policies["creds"] = {CREDS: {"read"}}
    token = vault.token("creds", ttl=60)
    lease = made(ask, token=token)["lease_id"]
    if end == "time":
        vault.advance(60)
    elif end == "operator":
        vault.revoke_token(token)
    else:
        assert ask("POST", "auth/token/revoke-self", token) == (204, None)
    assert (vault.users, vault.revoked) == ({}, [lease])


def test_a_lease_of_a_batch_token_is_no_longer_than_it(vault: FakeVault, ask: Ask) -> None:
    vault.policies["creds"] = {CREDS: {"read"}}
    token = vault.token("creds", ttl=100, kind="batch")
    body = made(ask, token=token)
    assert body["lease_duration"] == 100
    vault.advance(40)
    renewed = ask("PUT", "sys/leases/renew", token, lease_id=body["lease_id"], increment=600)
    assert renewed[1]["lease_duration"] == 60


def test_the_last_use_leaves_no_user(vault: FakeVault, ask: Ask) -> None:
    vault.policies["creds"] = {CREDS: {"read"}}
    status, body = ask("GET", CREDS, vault.token("creds", uses=1))
    assert (status, "token had one use left" in body["errors"][0]) == (400, True)
    assert (vault.users, len(vault.revoked)) == ({}, 1)


def test_a_revocation_that_nobody_waits_for(vault: FakeVault, ask: Ask) -> None:
    lease = made(ask)["lease_id"]
    assert ask("PUT", "sys/leases/revoke", lease_id=lease, sync=False) == (202, None)
    ask("GET", "sys/health")
    assert (vault.users, vault.revoked) == ({}, [lease])


def test_a_database_that_is_down(vault: FakeVault, ask: Ask) -> None:
    lease = made(ask)["lease_id"]
    vault.database_down = True
    assert ask("GET", CREDS)[0] == 500
    for what, said in (("renew", "failed to renew entry"), ("revoke", "failed to revoke entry")):
        status, body = ask("PUT", f"sys/leases/{what}", lease_id=lease)
        assert (status, body["errors"][0].startswith(said)) == (400, True)
    vault.advance(700)
    assert vault.users, "nobody could drop the user"
    status, body = ask("PUT", "sys/leases/renew", lease_id=lease)
    assert (status, body["errors"]) == (400, ["lease expired"])
    vault.leases[lease].irrevocable = True
    status, body = ask("PUT", "sys/leases/renew", lease_id=lease)
    assert "failed previous revocation attempts" in body["errors"][0]
    vault.leases[lease].irrevocable = vault.database_down = False
    vault.advance(0)
    assert vault.users == {}


def test_leases_of_other_engines(vault: FakeVault, ask: Ask) -> None:
    vault.aws_roles["aws", "user"] = AwsRole(prefix="canary-")
    vault.aws_roles["aws", "role"] = AwsRole(kind="sts")
    vault.generic["rabbitmq", "creds/app"] = DatabaseRole(ttl=60, renewable=False)
    vault.generic["custom", "answer"] = {"key": "value"}
    user, role = made(ask, "aws/creds/user"), made(ask, "aws/sts/role")
    assert user["renewable"] is True
    assert (user["data"]["access_key"][:4], user["data"]["security_token"]) == ("AKIA", None)
    assert user["data"]["secret_key"].startswith("canary-")
    assert role["renewable"] is False
    assert (role["data"]["access_key"][:4], bool(role["data"]["security_token"])) == ("ASIA", True)
    assert made(ask, "rabbitmq/creds/app")["lease_duration"] == 60
    plain = made(ask, "custom/answer")
    assert (plain["data"], plain["lease_id"]) == ({"key": "value"}, "")
    assert len(vault.leases) == 3
    assert ask("GET", "aws/creds/none") == (400, {"errors": ["unknown role: none"]})
    assert ask("DELETE", "aws/creds/user")[0] == 405


def test_leases_end_with_what_an_administrator_removes(vault: FakeVault, ask: Ask) -> None:
    vault.policies["creds"] = {CREDS: {"read"}}
    vault.logins["approle", "app"] = Login({"secret_id": "x"}, ("creds",), 600)
    by_root = made(ask)["lease_id"]
    _, login = ask("POST", "auth/approle/login", role_id="app", secret_id="x")
    by_login = made(ask, token=login["auth"]["client_token"])["lease_id"]
    assert ask("DELETE", "sys/auth/approle") == (204, None)
    assert vault.revoked == [by_login]
    assert ask("DELETE", "sys/mounts/db") == (204, None)
    assert (vault.revoked, vault.users) == ([by_login, by_root], {})


# Static roles


def test_a_static_role_rotates_by_itself(vault: FakeVault, ask: Ask) -> None:
    vault.static_roles["db", "app"] = StaticRole(period=3600, username="ann")
    path = "db/static-creds/app"
    before = made(ask, path)["data"]
    assert (before["ttl"], before["rotation_period"]) == (3600, 3600)
    vault.advance(3599)
    assert made(ask, path)["data"] == {**before, "ttl": 1}
    vault.advance(1 + 60)
    after = made(ask, path)["data"]
    assert after["password"] != before["password"]
    assert after["last_vault_rotation"] > before["last_vault_rotation"]
    assert after["ttl"] == 3540
    assert vault.users == {"ann": after["password"]}, "there is no overlap"


def test_a_static_role_that_should_have_rotated(vault: FakeVault, ask: Ask) -> None:
    role = vault.static_roles["db", "app"] = StaticRole(period=60)
    path = "db/static-creds/app"
    before = made(ask, path)["data"]
    vault.database_down = True
    vault.advance(90)
    assert made(ask, path)["data"] == {**before, "ttl": 0}
    vault.database_down, role.stuck = False, True
    assert made(ask, path)["data"] == {**before, "ttl": 0}
    role.stuck = False
    assert made(ask, path)["data"]["password"] != before["password"]


def test_a_static_role_that_somebody_rotates(vault: FakeVault, ask: Ask) -> None:
    vault.static_roles["db", "app"] = StaticRole()
    before = made(ask, "db/static-creds/app")["data"]
    vault.advance(10)
    assert ask("POST", "db/rotate-role/app") == (204, None)
    after = made(ask, "db/static-creds/app")["data"]
    assert (after["ttl"], after["password"] != before["password"]) == (3600, True)
    assert ask("GET", "db/static-creds/none") == (400, {"errors": ["unknown role: none"]})


# Tokens


def life(ask: Ask, token: str) -> Any:
    return made(ask, "auth/token/lookup-self", token)["data"]["ttl"]


def test_a_token_ends(vault: FakeVault, ask: Ask) -> None:
    token = vault.token(ttl=60)
    vault.advance(59)
    assert life(ask, token) == 1
    vault.advance(1)
    assert ask("GET", "auth/token/lookup-self", token) == (403, {"errors": ["permission denied"]})


@pytest.mark.parametrize(
    ("options", "lives"),
    [
        ({"ttl": 600}, [600, 600, 600]),
        ({"period": 300}, [300, 300, 300]),
        ({"ttl": 600, "max_ttl": 1000}, [600, 600, 500]),
        ({"period": 300, "max_ttl": 600}, [300, 300, 100]),
    ],
)
def test_renewals(vault: FakeVault, ask: Ask, options: dict[str, int], lives: list[int]) -> None:
    token = vault.token(**options)  # type: ignore[arg-type] # of those that are numbers
    got = [life(ask, token)]
    for _ in range(2):
        vault.advance(250)
        status, body = ask("POST", "auth/token/renew-self", token)
        assert status == 200, body
        got.append(body["auth"]["lease_duration"])
    assert got == lives


def test_wrapping_tokens_end(vault: FakeVault, ask: Ask) -> None:
    token = vault.wrap({"a": "b"}, "auth/approle/role/app/secret-id", ttl=60)
    vault.advance(60)
    status, body = ask("POST", "sys/wrapping/lookup", token=token)
    assert (status, "not valid" in body["errors"][0]) == (400, True)
