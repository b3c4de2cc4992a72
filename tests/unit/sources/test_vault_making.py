"""Making a credential while the token that it would die with comes to its end."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.errors import LoginDenied, PolicyDenied, SourceError, SourceUnavailable
from rotator.model.secret import SecretRef
from tests.support.faulty import Reply, Trouble
from tests.support.vault import DatabaseRole, FakeVault, Login
from tests.support.vault_reading import KV, LOGIN, LOOKUP, RENEW, Readers, reader, vault

__all__ = ["reader", "vault"]

MADE = SecretRef("vault", "creds/flink", "database", holder="mongodb")
MAKE = "GET /v1/database/creds/*"


@pytest.fixture
def approle(vault: FakeVault, reader: Readers) -> dict[str, Any]:
    vault.databases["database", "flink"] = DatabaseRole(ttl=86400)
    vault.logins["approle", "role"] = Login({"secret_id": "canary-id"}, ("reader",), 3600)
    reader.environment.setenv("SECRET_ID", "canary-id")
    return {"method": "approle", "role_id": "role", "secret_id": {"env": "SECRET_ID"}}


def the_token(vault: FakeVault) -> str:
    return next(token for token in vault.tokens if token.startswith(("s.", "b.")))


def test_a_token_that_was_revoked_fails_one_read_and_not_the_next(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    """A read that makes something is never sent twice."""
    opened = reader(auth=approle)
    opened.read(MADE)
    accessor = vault.tokens[the_token(vault)].accessor
    vault.revoke_token(the_token(vault))
    with pytest.raises(LoginDenied, match="not valid any more"):
        opened.read(MADE)
    assert vault.count(MAKE) == 2
    lease = opened.read(MADE).lease
    owner = opened.keep_alive()
    assert lease is not None
    assert owner is not None
    assert lease.owner == owner.id
    assert owner.ended == {accessor}
    assert len(vault.users) == 1
    assert vault.count(LOGIN) == 2


def test_a_policy_that_comes_later_is_picked_up_by_the_next(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    vault.logins["approle", "role"].policies = ("other",)
    opened = reader(auth=approle)
    with pytest.raises(PolicyDenied, match='"read" on database/creds/flink'):
        opened.read(MADE)
    vault.logins["approle", "role"].policies = ("reader",)
    for _ in range(7):
        with pytest.raises(PolicyDenied):
            opened.read(MADE)
        vault.advance(8)
    vault.advance(10)
    with pytest.raises(PolicyDenied):
        opened.read(MADE)
    assert opened.read(MADE).lease is not None
    assert vault.count(LOGIN) == 3


@pytest.mark.parametrize("what", [Trouble.RESET, Trouble.HANG, Reply(503), Reply(403)])
def test_a_refusal_that_nobody_explains(
    vault: FakeVault, reader: Readers, approle: dict[str, Any], what: Any
) -> None:
    """After the 403, nobody answers whether the token lives."""
    opened = reader(auth=approle, timeout="500ms")
    opened.read(MADE)
    vault.fail(MAKE, Reply(403, b'{"errors": ["permission denied"]}'))
    vault.fail(LOOKUP, what, None)
    with pytest.raises(SourceError) as caught:
        opened.read(MADE)
    assert isinstance(caught.value, LoginDenied if what == Reply(403) else SourceUnavailable)
    assert opened.read(MADE).lease is not None


def test_a_batch_token_of_which_little_is_left_makes_no_lease(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    """The lease would be cut to what is left of the token."""
    vault.logins["approle", "role"].token_type = "batch"
    vault.logins["approle", "role"].granted = {"accessor": ""}
    opened = reader(auth=approle)
    first = opened.read(MADE).lease
    vault.advance(1900)
    second = opened.read(MADE).lease
    assert first is not None
    assert second is not None
    assert (first.duration, second.duration) == (3600, 3600)
    assert (first.owner, second.owner) == (None, None)
    opened.close()
    assert len(vault.leases) == 2


def test_a_counted_token_is_not_renewed_by_one_of_its_uses(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    vault.logins["approle", "role"].token_num_uses = 4
    opened = reader(auth=approle)
    for _ in range(8):
        assert opened.read(KV).fields
        vault.advance(900)
        opened.keep_alive()
    assert vault.count(RENEW) == 0
    assert vault.count(LOOKUP) == 0
    assert reader.told("login") == ["ok"] * 3


def test_a_refusal_by_policy_does_not_use_up_a_counted_token(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    """Asking for the reason is a use, too."""
    vault.logins["approle", "role"].token_num_uses = 4
    opened = reader(auth=approle)
    refused = SecretRef("vault", "x", "generic", "elsewhere")
    for _ in range(20):
        assert opened.read(KV).fields
        with pytest.raises(PolicyDenied):
            opened.read(refused)
        vault.advance(5)
