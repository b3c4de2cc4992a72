"""What can't be examined for itself, and must not hide the rest."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.errors import SourceUnavailable
from rotator.model.secret import SecretRef
from rotator.model.source import Finding
from rotator.sources.vault import VaultReader
from tests.support.faulty import HTML, NOTHING, Reply, Trouble
from tests.support.vault import DatabaseRole, FakeVault, Login
from tests.support.vault_reading import KV, REVOKE, Readers, reader, vault

__all__ = ["reader", "vault"]

MADE = SecretRef("vault", "creds/flink", "database", holder="mongodb")
PLAIN = SecretRef("vault", "flink/openai")
CAPABILITIES = "POST /v1/sys/capabilities-self"


@pytest.fixture(autouse=True)
def database(vault: FakeVault) -> None:
    vault.databases["database", "flink"] = DatabaseRole()


def findings(opened: VaultReader, *refs: SecretRef) -> dict[str, Finding]:
    return {found.what: found for found in opened.examine(refs, refs)}


@pytest.mark.parametrize(
    ("unfit", "words"),
    [
        (SecretRef("vault", "flink/../admin"), "no part of mount and path may be empty"),
        (SecretRef("vault", "creds/flink", mount="database"), "of another kind than KV"),
    ],
)
def test_a_reference_that_is_wrong_hides_no_other(
    vault: FakeVault, reader: Readers, unfit: SecretRef, words: str
) -> None:
    reader.token("reader")
    found = findings(reader(), unfit, PLAIN, MADE)
    assert words in found[f"read {unfit.path}"].problem
    assert found[f"read {unfit.path}"].required
    others = {what: f.problem for what, f in found.items() if what != f"read {unfit.path}"}
    assert set(others) == {
        "log in",
        "read kv/data/flink/openai",
        "probe kv/metadata/flink/openai",
        "make database/creds/flink",
        "renew leases",
        "revoke leases",
    }
    assert set(others.values()) == {""}
    assert vault.users == {}


def test_two_versions_of_one_secret_are_both_looked_at(vault: FakeVault, reader: Readers) -> None:
    found = findings(reader(), KV, SecretRef("vault", "flink/openai", "kv-v2", version="7"))
    assert "there is no version 7" in found["read kv/data/flink/openai"].problem


def test_a_token_that_may_not_ask_is_judged_by_what_it_reads(
    vault: FakeVault, reader: Readers
) -> None:
    """The token lacks the default policy."""
    vault.policies["default"] = ()
    reader.token("reader")
    missing = SecretRef("vault", "flink/none", "kv-v2")
    found = findings(reader(), KV, missing, MADE)
    asking = found["ask what is permitted"]
    assert not asking.required
    assert 'must permit "update" on sys/capabilities-self' in asking.problem
    assert found["read kv/data/flink/openai"].problem == ""
    assert "nothing at this path" in found["read kv/data/flink/none"].problem
    assert not any(what.startswith(("make", "renew", "revoke")) for what in found)
    assert vault.users == {}


@pytest.mark.parametrize(
    "what",
    [
        HTML,
        NOTHING,
        Reply(200, b"{}"),
        Reply(200, b'{"data": null}'),
        Reply(200, b'{"data": {"database/creds/flink": ["read"]}}'),
        Reply(500),
        Reply(503),
        Trouble.RESET,
        Trouble.TRUNCATED,
        Trouble.HANG,
    ],
)
def test_a_server_that_does_not_tell_is_no_missing_permission(
    vault: FakeVault, reader: Readers, what: Any
) -> None:
    vault.fail(CAPABILITIES, what, None)
    with pytest.raises(SourceUnavailable):
        findings(reader(timeout="500ms"), KV, MADE)
    assert vault.users == {}


def test_a_token_whose_uses_are_counted_makes_no_leases(vault: FakeVault, reader: Readers) -> None:
    """Its policies would permit it."""
    reader.token("reader", uses=20)
    found = findings(reader(), KV, MADE)
    assert found["read kv/data/flink/openai"].problem == ""
    assert "limited number of uses" in found["make database/creds/flink"].problem
    assert found["make database/creds/flink"].required
    assert vault.users == {}


def test_a_token_that_was_only_examined_is_given_back(vault: FakeVault, reader: Readers) -> None:
    """Nothing was made that would end with it."""
    vault.logins["approle", "role"] = Login({"secret_id": "canary-id"}, ("reader",), 3600)
    reader.environment.setenv("SECRET_ID", "canary-id")
    auth = {"method": "approle", "role_id": "role", "secret_id": {"env": "SECRET_ID"}}
    opened = reader(auth=auth)
    assert all(not found.problem for found in findings(opened, KV, MADE).values())
    opened.close()
    assert vault.count(REVOKE) == 1
