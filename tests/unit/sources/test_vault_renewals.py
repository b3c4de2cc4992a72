"""A token that can't be looked after as it should: not permitted to, no answer, half an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rotator.errors import LoginDenied, PolicyDenied, SourceUnavailable
from rotator.model.lease import Owner
from rotator.model.secret import SecretRef
from rotator.sources.vault import VaultReader
from tests.support.faulty import HTML, NOTHING, Reply, Trouble
from tests.support.vault import DatabaseRole, FakeVault, Login, Profile
from tests.support.vault_reading import KV, LOGIN, LOOKUP, RENEW, Readers, reader, vault

__all__ = ["reader", "vault"]

MADE = SecretRef("vault", "creds/flink", "database", holder="mongodb")
SEALED = Reply(503, b'{"errors": ["Vault is sealed"]}')


@pytest.fixture
def approle(vault: FakeVault, reader: Readers) -> dict[str, Any]:
    vault.databases["database", "flink"] = DatabaseRole(ttl=86400)
    vault.logins["approle", "role"] = Login({"secret_id": "canary-id"}, ("reader",), 3600)
    reader.environment.setenv("SECRET_ID", "canary-id")
    return {"method": "approle", "role_id": "role", "secret_id": {"env": "SECRET_ID"}}


def owner_of(opened: VaultReader) -> Owner:
    owner = opened.keep_alive()
    assert owner is not None
    return owner


@pytest.mark.parametrize("profile", ["openbao", "vault-ce"])
def test_leases_end_with_a_token_that_is_dead_when_it_is_renewed(
    vault: FakeVault, reader: Readers, approle: dict[str, Any], profile: Profile
) -> None:
    """Vault answers the renewal with 403."""
    vault.profile = profile
    opened = reader(auth=approle)
    opened.read(MADE)
    first = owner_of(opened)
    vault.revoke_token(next(token for token in vault.tokens if token.startswith("s.")))
    vault.advance(2401)
    second = owner_of(opened)
    assert vault.count(RENEW) == 1
    assert second.id != first.id
    assert second.ended == {first.id}


@pytest.mark.parametrize("profile", ["openbao", "vault-ce"])
def test_a_token_that_may_not_look_after_itself_is_not_dead(
    vault: FakeVault, reader: Readers, approle: dict[str, Any], profile: Profile
) -> None:
    """A 403 by policy means that the token lives, and so do its leases."""
    vault.profile = profile
    vault.policies["default"] = ()
    opened = reader(auth=approle)
    opened.read(MADE)
    first = owner_of(opened)
    with pytest.raises(PolicyDenied, match="must permit"):
        opened.read(SecretRef("vault", "x", "generic", "elsewhere"))
    second = owner_of(opened)
    assert second.ended == frozenset()
    opened.read(MADE)
    for _ in range(10):
        vault.advance(61)
        assert owner_of(opened).id == second.id != first.id
    assert vault.count(LOGIN) == 2, "one, and the one that a policy is owed"
    vault.advance(2401 - 610)
    capped = owner_of(opened)
    assert (vault.count(RENEW), capped.ended) == (1, frozenset())
    assert capped.lasts_at_most == capped.lasts, "it will not be renewed"


def test_a_configured_token_that_may_not_look_at_itself_says_so(
    vault: FakeVault, reader: Readers
) -> None:
    """The token is valid, and good for reads."""
    vault.policies["default"] = ()
    reader.token("reader")
    opened = reader()
    assert opened.read(KV).fields
    with pytest.raises(PolicyDenied, match='must permit "read" on auth/token/lookup-self'):
        opened.keep_alive()
    assert opened.read(KV).fields


def test_a_server_that_is_back_before_the_end_finds_the_token_renewed(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    """The pauses between tries fit into the time that is left."""
    vault.logins["approle", "role"].ttl = 600
    opened = reader(auth=approle)
    lease = opened.read(MADE).lease
    assert lease is not None
    first = owner_of(opened)
    vault.advance(401)
    vault.fail(RENEW, SEALED, None)
    for _ in range(16):
        assert owner_of(opened).id == first.id
        vault.advance(10)
    assert vault.count(RENEW) <= 8
    vault.faults.clear()
    for _ in range(4):
        owner_of(opened)
        vault.advance(10)
    vault.advance(200)
    assert owner_of(opened).id == first.id
    assert lease.id in vault.leases
    assert vault.count(LOGIN) == 1


@pytest.mark.parametrize("what", [SEALED, NOTHING, HTML, Trouble.RESET])
def test_a_server_that_fails_is_not_asked_at_every_turn(
    vault: FakeVault, reader: Readers, approle: dict[str, Any], what: Any
) -> None:
    """Vault is asked once a minute whether the token lives, whatever it answers."""
    opened = reader(auth=approle)
    opened.read(MADE)
    first = owner_of(opened)
    vault.fail(LOOKUP, what, None)
    for _ in range(60):
        vault.advance(5)
        assert owner_of(opened).id == first.id
    assert vault.count(LOOKUP) == 4
    assert vault.count(LOGIN) == 1


@pytest.mark.parametrize("body", [b"{}", b'{"auth": null}', b'{"auth": {"lease_duration": null}}'])
def test_a_renewal_that_tells_nothing_is_tried_again(
    vault: FakeVault, reader: Readers, approle: dict[str, Any], body: bytes
) -> None:
    opened = reader(auth=approle)
    opened.read(KV)
    vault.advance(2401)
    vault.fail(RENEW, Reply(200, body))
    assert owner_of(opened).lasts == pytest.approx(1199, abs=2)
    vault.advance(11)
    assert owner_of(opened).lasts == pytest.approx(3600, abs=2)
    assert reader.told("renew_token") == ["unavailable", "ok"]


# Tokens of the configuration


@pytest.mark.parametrize(
    "body", [b"{}", b'{"data": null}', b'{"data": {}}', b'{"data": {"id": "x"}}']
)
def test_a_lookup_that_tells_nothing_is_no_token_without_end(
    reader: Readers, vault: FakeVault, body: bytes
) -> None:
    """Only `expire_time: null` means that a token never ends."""
    reader.token("reader", ttl=900)
    opened = reader()
    opened.read(KV)
    vault.fail(LOOKUP, Reply(200, body))
    with pytest.raises(SourceUnavailable, match="says nothing about its token"):
        opened.keep_alive()
    assert owner_of(opened).lasts == pytest.approx(900, abs=5)


def test_a_configured_token_that_was_revoked_and_replaced(
    vault: FakeVault, reader: Readers, tmp_path: Path, approle: dict[str, Any]
) -> None:
    """The owner says that the former token has ended, and its leases with it."""
    file = tmp_path / "token"
    first = vault.token("reader", ttl=86400)
    accessor = vault.tokens[first].accessor
    file.write_text(first)
    opened = reader(auth={"method": "token", "token": {"file": str(file)}})
    opened.read(MADE)
    vault.revoke_token(first)
    vault.advance(61)
    with pytest.raises(LoginDenied, match="put another in place"):
        opened.keep_alive()
    second = vault.token("reader", ttl=86400)
    file.write_text(second)
    opened.read(KV)
    owner = owner_of(opened)
    assert owner.id == vault.tokens[second].accessor
    assert owner.ended == {accessor}
