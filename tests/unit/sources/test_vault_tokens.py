"""The life of a token: renewed, replaced, looked after, given back."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from rotator.errors import LoginDenied, PolicyDenied, SourceDenied
from rotator.model.secret import SecretRef
from tests.support.faulty import Reply, Trouble
from tests.support.vault import DatabaseRole, FakeVault, Login
from tests.support.vault_reading import KV, LOGIN, LOOKUP, RENEW, REVOKE, Readers, reader, vault

__all__ = ["reader", "vault"]

MADE = SecretRef("vault", "creds/flink", "database", holder="mongodb")
SEALED = Reply(503, b'{"errors": ["Vault is sealed"]}')


@pytest.fixture
def approle(vault: FakeVault, reader: Readers) -> dict[str, Any]:
    vault.databases["database", "flink"] = DatabaseRole()
    vault.logins["approle", "role"] = Login({"secret_id": "canary-id"}, ("reader",), 3600)
    reader.environment.setenv("SECRET_ID", "canary-id")
    return {"method": "approle", "role_id": "role", "secret_id": {"env": "SECRET_ID"}}


def role(vault: FakeVault) -> Login:
    return vault.logins["approle", "role"]


def test_nobody_logs_in_to_keep_nothing_alive(vault: FakeVault, reader: Readers) -> None:
    assert reader().keep_alive() is None
    assert vault.requests == []


@pytest.mark.parametrize("by", ["keeping", "reading"])
def test_a_token_is_renewed_at_two_thirds(
    vault: FakeVault, reader: Readers, approle: dict[str, Any], by: str
) -> None:
    """Whoever comes first renews it."""
    opened = reader(auth=approle)
    opened.read(KV)
    for _ in range(10):
        vault.advance(2390)
        opened.read(KV)
        assert vault.count(RENEW) == _
        vault.advance(20)
        if by == "keeping":
            owner = opened.keep_alive()
            assert owner is not None
            assert owner.lasts == pytest.approx(3600, abs=2)
            assert owner.lasts_at_most is None
        opened.read(KV)
        assert vault.count(RENEW) == _ + 1
    assert vault.count(LOGIN) == 1
    assert set(reader.told("renew_token")) == {"ok"}


def test_a_renewal_that_meets_the_maximum_is_followed_by_a_login(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    role(vault).token_explicit_max_ttl = 5000
    opened = reader(auth=approle)
    for _ in range(200):
        opened.read(KV)
        owner = opened.keep_alive()
        assert owner is not None
        assert owner.lasts is not None
        assert owner.lasts > 0
        vault.advance(100)
    assert vault.count(LOGIN) == pytest.approx(20_000 / 4940, abs=1)


def test_a_renewal_that_is_refused_is_followed_by_a_login(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    opened = reader(auth=approle)
    opened.read(KV)
    vault.advance(2500)
    vault.fail(RENEW, Reply(400, b'{"errors": ["lease is not renewable"]}'))
    owner = opened.keep_alive()
    assert owner is not None
    assert owner.lasts_at_most == owner.lasts
    vault.advance(1050)
    opened.read(KV)
    assert vault.count(LOGIN) == 2
    assert vault.count(RENEW) == 1


def test_a_renewal_without_an_answer_is_tried_again_and_the_token_is_kept(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    opened = reader(auth=approle)
    opened.read(KV)
    vault.advance(2500)
    vault.fail(RENEW, SEALED, None)
    for _ in range(40):
        assert opened.keep_alive() is not None
        assert opened.read(KV).fields
        vault.advance(20)
    assert 3 <= vault.count(RENEW) <= 8, "with growing pauses"
    assert vault.count(LOGIN) == 1
    vault.faults.clear()
    vault.advance(200)
    opened.keep_alive()
    assert reader.told("renew_token")[-1] == "ok"


def test_a_token_that_cannot_be_renewed_is_not_tried(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    role(vault).granted = {"renewable": False}
    opened = reader(auth=approle)
    for _ in range(10):
        opened.read(KV)
        opened.keep_alive()
        vault.advance(1000)
    assert vault.count(RENEW) == 0
    assert vault.count(LOGIN) == 3


def test_a_batch_token_is_neither_renewed_nor_revoked(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    """It is replaced at two thirds of its life."""
    role(vault).token_type = "batch"
    opened = reader(auth=approle)
    opened.read(KV)
    vault.advance(2390)
    opened.read(KV)
    assert vault.count(LOGIN) == 1
    vault.advance(20)
    opened.read(KV)
    assert vault.count(LOGIN) == 2
    opened.close()
    assert vault.count(RENEW) + vault.count(REVOKE) == 0


def test_a_periodic_token_lives_for_ever(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    role(vault).token_period = 600
    role(vault).ttl = 600
    opened = reader(auth=approle)
    for _ in range(100):
        opened.read(KV)
        vault.advance(450)
        owner = opened.keep_alive()
        assert owner is not None
        assert owner.lasts_at_most is None
    assert vault.count(LOGIN) == 1


def test_counted_uses(vault: FakeVault, reader: Readers, approle: dict[str, Any]) -> None:
    """There is a new login before a request would find that the last use is gone."""
    role(vault).token_num_uses = 3
    opened = reader(auth=approle)
    for _ in range(9):
        assert opened.read(KV).fields
    assert vault.count(LOGIN) == 3
    assert vault.count(LOOKUP) == 0


def test_a_configured_token_whose_uses_are_over_says_so(vault: FakeVault, reader: Readers) -> None:
    reader.token("reader", uses=2)
    opened = reader()
    opened.read(KV)
    opened.read(KV)
    with pytest.raises(LoginDenied, match="not valid any more"):
        opened.read(KV)
    assert vault.count(LOGIN) == 0


def test_a_policy_that_refuses_gets_one_login_a_minute(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    """A token keeps the policies that it was made with, and a new token has the new ones."""
    role(vault).policies = ("elsewhere",)
    opened = reader(auth=approle)
    for _ in range(12):
        with pytest.raises(PolicyDenied, match='must permit "read" on kv/data/flink/openai'):
            opened.read(KV)
        vault.advance(10)
    assert vault.count(LOGIN) == 3
    role(vault).policies = ("reader",)
    vault.advance(60)
    assert opened.read(KV).fields == {"api_key": "canary-value"}


def test_a_token_that_may_not_look_at_itself_causes_no_storm_of_logins(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    vault.policies["default"] = ()
    role(vault).policies = ("elsewhere",)
    opened = reader(auth=approle)
    for _ in range(12):
        with pytest.raises(SourceDenied):
            opened.read(KV)
        vault.advance(10)
    assert vault.count(LOGIN) <= 4


def test_leases_end_with_a_revoked_token_and_that_is_reported(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    """It is noticed within a minute."""
    opened = reader(auth=approle)
    opened.read(MADE)
    first = opened.keep_alive()
    assert first is not None
    assert first.id is not None
    vault.advance(61)
    opened.keep_alive()
    assert vault.count(LOOKUP) == 1, "a token that leases live on is looked after"
    vault.revoke_token(next(token for token in vault.tokens if token.startswith("s.")))
    vault.advance(61)
    second = opened.keep_alive()
    assert second is not None
    assert second.id != first.id
    assert second.ended == {first.id}


def test_a_token_without_leases_is_not_looked_after(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    opened = reader(auth=approle)
    opened.read(KV)
    for _ in range(20):
        vault.advance(100)
        opened.keep_alive()
    assert vault.count(LOOKUP) == 0


def test_leases_are_not_made_with_a_token_that_is_about_to_end(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    role(vault).granted = {"renewable": False}
    opened = reader(auth=approle)
    opened.read(MADE)
    vault.advance(1000)
    opened.read(MADE)
    assert vault.count(LOGIN) == 1
    vault.advance(1000)
    secret = opened.read(MADE)
    assert vault.count(LOGIN) == 2
    owner = opened.keep_alive()
    assert owner is not None
    assert secret.lease is not None
    assert secret.lease.owner == owner.id


# Tokens of the configuration


def test_a_configured_token_is_looked_up_once_and_renewed(
    vault: FakeVault, reader: Readers
) -> None:
    reader.token("reader", ttl=3600)
    opened = reader()
    opened.read(KV)
    owner = opened.keep_alive()
    assert owner is not None
    assert owner.lasts == pytest.approx(3600, abs=5)
    for _ in range(5):
        vault.advance(2500)
        opened.keep_alive()
        opened.read(KV)
    assert vault.count(LOOKUP) == 1
    assert vault.count(RENEW) == 5


def test_a_root_token_never_ends(vault: FakeVault, reader: Readers) -> None:
    """Its expire_time is null."""
    opened = reader()
    opened.read(KV)
    owner = opened.keep_alive()
    assert owner is not None
    assert (owner.lasts, owner.lasts_at_most) == (None, None)
    vault.advance(10**8)
    assert opened.keep_alive() == owner
    assert vault.count(RENEW) == 0


def test_a_token_in_a_file_that_changes_is_taken_at_once(
    vault: FakeVault, reader: Readers, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    first = vault.token("reader", ttl=3600)
    file.write_text(first + "\n")
    opened = reader(auth={"method": "token", "token": {"file": str(file)}})
    opened.read(KV)
    before = opened.keep_alive()
    second = vault.token("reader", ttl=7200)
    file.write_text(second + "\n")
    vault.revoke_token(first)
    assert opened.read(KV).fields
    after = opened.keep_alive()
    assert before is not None
    assert after is not None
    assert after.id == vault.tokens[second].accessor != before.id
    assert after.lasts == pytest.approx(7200, abs=5)
    file.write_text("")
    with pytest.raises(LoginDenied, match="is empty"):
        opened.read(KV)


def test_a_configured_token_that_was_revoked_is_a_matter_for_a_person(
    vault: FakeVault, reader: Readers
) -> None:
    token = reader.token("reader")
    opened = reader()
    opened.read(KV)
    vault.revoke_token(token)
    for ask in (lambda: opened.read(KV), opened.keep_alive):
        with pytest.raises(LoginDenied, match="not valid"):
            ask()
    assert vault.count(LOGIN) == 0


# The end


def test_a_token_that_nobody_needs_is_given_back(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    opened = reader(auth=approle)
    opened.read(KV)
    opened.close()
    assert vault.count(REVOKE) == 1
    assert [token for token in vault.tokens if token.startswith("s.")] == []


def test_a_token_that_leases_live_on_is_not(
    vault: FakeVault, reader: Readers, approle: dict[str, Any]
) -> None:
    """Its leases would end with it."""
    opened = reader(auth=approle)
    opened.read(MADE)
    opened.close()
    assert vault.count(REVOKE) == 0
    assert len(vault.leases) == 1


def test_a_token_of_somebody_else_is_not(vault: FakeVault, reader: Readers) -> None:
    reader.token("reader")
    opened = reader()
    opened.read(KV)
    opened.close()
    assert vault.count(REVOKE) == 0


@pytest.mark.parametrize("what", [Trouble.HANG, Trouble.RESET, SEALED])
def test_giving_back_holds_up_nothing(
    vault: FakeVault, reader: Readers, approle: dict[str, Any], what: Any
) -> None:
    opened = reader(auth=approle)
    opened.read(KV)
    vault.fail(REVOKE, what)
    started = monotonic()
    opened.close()
    assert monotonic() - started < 3


def test_a_token_is_in_no_repr(vault: FakeVault, reader: Readers, approle: dict[str, Any]) -> None:
    opened = reader(auth=approle)
    opened.read(KV)
    token = next(token for token in vault.tokens if token.startswith("s."))
    shown = repr((opened._tokens._token, opened.keep_alive(), reader.events))
    assert token not in shown
    assert "canary" not in shown
