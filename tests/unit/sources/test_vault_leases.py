"""Leases renewed and revoked, and what a source says that it may do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rotator.errors import (
    LeaseGone,
    LoginDenied,
    PolicyDenied,
    SourceError,
    SourceUnavailable,
)
from rotator.model.secret import SecretRef
from rotator.sources.vault import VaultReader
from tests.support.faulty import Reply, Trouble
from tests.support.vault import DatabaseRole, FakeVault, Login
from tests.support.vault_reading import KV, LOGIN, Readers, reader, vault

__all__ = ["reader", "vault"]

MADE = SecretRef("vault", "creds/flink", "database", holder="mongodb")
RENEW = "PUT /v1/sys/leases/renew"
REVOKE = "PUT /v1/sys/leases/revoke"


@pytest.fixture(autouse=True)
def database(vault: FakeVault) -> DatabaseRole:
    made = vault.databases["database", "flink"] = DatabaseRole(ttl=600, max_ttl=3600)
    return made


def leased(opened: VaultReader) -> str:
    lease = opened.read(MADE).lease
    assert lease is not None
    return lease.id


def test_renewed_for_as_long_as_asked_or_less(vault: FakeVault, reader: Readers) -> None:
    reader.token("reader", ttl=86400)
    opened = reader()
    lease = leased(opened)
    vault.advance(500)
    renewed = opened.renew(lease, 600)
    assert (renewed.id, renewed.duration, renewed.renewable) == (lease, 600, True)
    for _ in range(4):
        vault.advance(550)
        opened.renew(lease, 600)
    vault.advance(550)
    assert opened.renew(lease, 600).duration < 600, "the maximum is near"
    bodies = [json.loads(seen.body) for seen in vault.requests if seen.path.endswith("/renew")]
    assert {body["increment"] for body in bodies} == {600}


@pytest.mark.parametrize("seconds", [0, 0.2, 1])
def test_a_renewal_for_a_moment_is_for_a_second(
    vault: FakeVault, reader: Readers, seconds: float
) -> None:
    opened = reader()
    assert opened.renew(leased(opened), seconds).duration == 1


def test_what_has_ended_is_gone(vault: FakeVault, reader: Readers, database: DatabaseRole) -> None:
    opened = reader()
    lease = leased(opened)
    vault.advance(700)
    with pytest.raises(LeaseGone):
        opened.renew(lease, 600)
    opened.revoke(lease)
    database.renewable = False
    with pytest.raises(LeaseGone, match="can't be renewed"):
        opened.renew(leased(opened), 600)


def test_a_backend_that_is_down_is_not_the_end(vault: FakeVault, reader: Readers) -> None:
    """Vault answers 400 to a renewal and to a revocation."""
    opened = reader()
    lease = leased(opened)
    vault.database_down = True
    for ask in (lambda: opened.renew(lease, 600), lambda: opened.revoke(lease)):
        with pytest.raises(SourceUnavailable, match="its backend does not do it"):
            ask()
    vault.database_down = False
    assert opened.renew(lease, 600).duration == 600


def test_a_403_asks_the_token_first(vault: FakeVault, reader: Readers) -> None:
    """With another token, the lease is renewed all the same."""
    vault.logins["approle", "role"] = Login({"secret_id": "canary-id"}, ("reader",), 3600)
    reader.environment.setenv("SECRET_ID", "canary-id")
    auth = {"method": "approle", "role_id": "role", "secret_id": {"env": "SECRET_ID"}}
    opened = reader(auth=auth)
    elsewhere = leased(reader())
    opened.read(KV)
    vault.revoke_token(next(token for token in vault.tokens if token.startswith("s.")))
    assert opened.renew(elsewhere, 600).id == elsewhere
    assert vault.count(LOGIN) == 2


def test_without_the_policy(vault: FakeVault, reader: Readers) -> None:
    vault.policies["reader"] = ("database/*",)
    reader.token("reader")
    opened = reader()
    lease = leased(opened)
    with pytest.raises(PolicyDenied, match="sys/leases/revoke"):
        opened.revoke(lease)
    assert opened.renew(lease, 600).id == lease, "the default policy permits that"
    vault.policies["default"] = ("auth/token/lookup-self",)
    with pytest.raises(PolicyDenied, match="sys/leases/renew"):
        opened.renew(lease, 600)
    assert lease in vault.leases


def test_a_token_that_is_no_longer_valid(vault: FakeVault, reader: Readers) -> None:
    token = reader.token("reader")
    opened = reader()
    lease = leased(opened)
    vault.revoke_token(token)
    with pytest.raises(LoginDenied, match="not valid any more"):
        opened.renew(lease, 600)


def test_the_answer_must_be_about_this_lease(vault: FakeVault, reader: Readers) -> None:
    opened = reader()
    lease = leased(opened)
    body = {"lease_id": "another", "lease_duration": 600, "renewable": True, "data": None}
    vault.fail(RENEW, Reply(200, json.dumps(body).encode()))
    with pytest.raises(SourceError, match="about another lease"):
        opened.renew(lease, 600)
    vault.fail(RENEW, Reply(200, b"{}"))
    with pytest.raises(SourceUnavailable, match="tells no lease"):
        opened.renew(lease, 600)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_every_way_to_say_revoked(vault: FakeVault, reader: Readers, status: int) -> None:
    opened = reader()
    vault.fail(REVOKE, Reply(status, b"{}" if status == 200 else b""))
    opened.revoke(leased(opened))
    sent = next(seen for seen in vault.requests if seen.path.endswith("/revoke"))
    assert json.loads(sent.body)["sync"] is True


def test_revoked_for_good_and_twice(vault: FakeVault, reader: Readers) -> None:
    """Revoking an unknown lease succeeds."""
    opened = reader()
    lease = leased(opened)
    opened.revoke(lease)
    opened.revoke(lease)
    opened.revoke("database/creds/flink/never-was")
    assert vault.revoked == [lease]
    assert vault.users == {}


@pytest.mark.parametrize("trouble", [Trouble.RESET_AFTER, Trouble.HANG, Trouble.TRUNCATED])
def test_an_answer_that_is_lost_loses_nothing(
    vault: FakeVault, reader: Readers, trouble: Trouble
) -> None:
    opened = reader(timeout="500ms")
    lease = leased(opened)
    vault.fail(RENEW, trouble)
    with pytest.raises(SourceUnavailable):
        opened.renew(lease, 600)
    assert opened.renew(lease, 600).id == lease


# What it may do


def findings(opened: VaultReader, *refs: SecretRef, watched: Any = ()) -> dict[str, str]:
    return {found.what: found.problem for found in opened.examine(refs, watched)}


def test_everything_works(vault: FakeVault, reader: Readers) -> None:
    reader.token("reader")
    found = findings(reader(), KV, MADE, watched=[KV])
    assert found == {
        "log in": "",
        "read kv/data/flink/openai": "",
        "probe kv/metadata/flink/openai": "",
        "make database/creds/flink": "",
        "renew leases": "",
        "revoke leases": "",
    }
    assert vault.users == {}, "nothing is made by asking"


def test_each_missing_permission_is_a_line_of_policy(vault: FakeVault, reader: Readers) -> None:
    vault.policies["reader"] = ()
    reader.token("reader")
    opened = reader()
    found = {f.what: f for f in opened.examine([KV, MADE], [KV])}
    for what, path, required in (
        ("read kv/data/flink/openai", "kv/data/flink/openai", True),
        ("probe kv/metadata/flink/openai", "kv/metadata/flink/openai", False),
        ("make database/creds/flink", "database/creds/flink", True),
        ("revoke leases", "sys/leases/revoke", False),
    ):
        assert f'the policy lacks: path "{path}"' in found[what].problem
        assert found[what].required is required
    assert found["renew leases"].problem == ""


def test_what_may_be_read_is_read(vault: FakeVault, reader: Readers) -> None:
    missing = SecretRef("vault", "flink/none", "kv-v2")
    vault.kv["kv", "flink/openai"][-1].deleted = vault.now
    found = findings(reader(), KV, missing)
    assert "was deleted" in found["read kv/data/flink/openai"]
    assert "nothing at this path" in found["read kv/data/flink/none"]


@pytest.mark.parametrize(
    ("sealed", "token", "words"),
    [(True, None, "sealed"), (False, "canary-wrong", "not valid any more")],
)
def test_a_source_that_cannot_be_asked_at_all(
    vault: FakeVault, reader: Readers, sealed: bool, token: str | None, words: str
) -> None:
    vault.sealed = sealed
    if token:
        reader.environment.setenv("TEST_TOKEN", token)
    with pytest.raises(SourceError, match=words) as caught:
        reader().examine([KV, MADE], [KV])
    assert "canary" not in str(caught.value)


def test_nothing_needed_is_nothing_but_a_login(vault: FakeVault, reader: Readers) -> None:
    assert findings(reader()) == {"log in": ""}
