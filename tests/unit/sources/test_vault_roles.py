"""What Vault makes for us, what it rotates by itself, and any other path."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest

from rotator.errors import (
    LoginDenied,
    PolicyDenied,
    SecretInvalid,
    SecretMissing,
    SourceDenied,
    SourceError,
    SourceUnavailable,
    SourceUncertain,
)
from rotator.model.secret import SecretRef
from tests.support.faulty import HTML, Reply, Trouble
from tests.support.vault import AwsRole, DatabaseRole, FakeVault, Login, StaticRole
from tests.support.vault_reading import LOGIN, Readers, reader, vault

__all__ = ["reader", "vault"]

MADE = SecretRef("vault", "creds/flink", "database", holder="mongodb")
STATIC = SecretRef("vault", "static-creds/flink", "database")
CREDS = "GET /v1/database/creds/*"


@pytest.fixture(autouse=True)
def roles(vault: FakeVault) -> None:
    vault.databases["database", "flink"] = DatabaseRole(ttl=600)
    vault.static_roles["database", "flink"] = StaticRole(period=3600)
    vault.aws_roles["aws", "flink"] = AwsRole(ttl=900)


def test_a_read_makes_a_user_and_its_lease(vault: FakeVault, reader: Readers) -> None:
    reader.token("reader")
    secret = reader().read(MADE)
    (lease,) = vault.leases.values()
    assert secret.fields == {"username": lease.user, "password": vault.users[lease.user]}
    assert secret.lease is not None
    assert (secret.lease.id, secret.lease.duration, secret.lease.renewable) == (lease.id, 600, True)
    assert secret.lease.owner == vault.tokens[lease.token].accessor
    assert secret.version == lease.id


def test_a_batch_token_owns_nothing_that_could_be_named(vault: FakeVault, reader: Readers) -> None:
    """Its leases end with it, and their duration shows that."""
    reader.token("reader", kind="batch", ttl=120)
    lease = reader().read(MADE).lease
    assert lease is not None
    assert (lease.owner, lease.duration) == (None, 120)


REFUSALS: dict[str, tuple[Any, type[SourceError]]] = {
    "policy": (Reply(403, b'{"errors": ["permission denied"]}'), PolicyDenied),
    "error": (Reply(500, b'{"errors": ["1 error occurred"]}'), SourceUnavailable),
    "sealed": (Reply(503, b'{"errors": ["Vault is sealed"]}'), SourceUnavailable),
    "throttled": (Reply(429, b'{"errors": ["rate limit quota exceeded"]}'), SourceUnavailable),
    "role": (Reply(400, b'{"errors": ["unknown role: flink"]}'), SecretMissing),
    "html": (HTML, SourceUncertain),
    "reset": (Trouble.RESET, SourceUncertain),
    "reset after": (Trouble.RESET_AFTER, SourceUncertain),
    "truncated": (Trouble.TRUNCATED, SourceUncertain),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_read_that_makes_something_is_one_request(
    vault: FakeVault, reader: Readers, name: str
) -> None:
    """This holds for any answer; the type says whether something may have been made."""
    what, kind = REFUSALS[name]
    vault.fail(CREDS, what)
    with pytest.raises(kind) as caught:
        reader().read(MADE)
    assert vault.count(CREDS) == 1
    assert type(caught.value) is kind
    assert "canary" not in str(caught.value)


def test_a_token_that_was_revoked_is_replaced_for_the_next_read(
    vault: FakeVault, reader: Readers
) -> None:
    vault.logins["approle", "role"] = Login({"secret_id": "canary-id"}, ("reader",), 3600)
    reader.environment.setenv("SECRET_ID", "canary-id")
    auth = {"method": "approle", "role_id": "role", "secret_id": {"env": "SECRET_ID"}}
    opened = reader(auth=auth)
    opened.read(MADE)
    for token in [token for token in vault.tokens if token.startswith("s.")]:
        vault.revoke_token(token)
    with pytest.raises(LoginDenied, match="not valid any more"):
        opened.read(MADE)
    assert vault.count(CREDS) == 2, "not repeated, though there is another token now"
    assert opened.read(MADE).lease is not None
    assert vault.count(LOGIN) == 2


def test_what_comes_without_a_lease_is_none(vault: FakeVault, reader: Readers) -> None:
    vault.generic["custom", "thing"] = {"key": "canary-value"}
    with pytest.raises(SecretInvalid, match="without a lease; leave out `lease`"):
        reader().read(SecretRef("vault", "thing", "generic", "custom", holder="r"))


@pytest.mark.parametrize("duration", [0, 1, 10**12])
def test_odd_durations(vault: FakeVault, reader: Readers, duration: int) -> None:
    body = f'{{"lease_id": "x", "lease_duration": {duration}, "renewable": false, "data": {{}}}}'
    vault.fail(CREDS, Reply(200, body.encode()))
    lease = reader().read(MADE).lease
    assert lease is not None
    assert (lease.duration, lease.renewable) == (duration, False)


# AWS credentials by Vault


@pytest.mark.parametrize(("path", "renewable"), [("creds/flink", True), ("sts/flink", False)])
def test_aws_credentials(vault: FakeVault, reader: Readers, path: str, renewable: bool) -> None:
    vault.aws_roles["aws", "flink"] = AwsRole(ttl=900, kind="iam_user" if renewable else "sts")
    secret = reader().read(SecretRef("vault", path, "aws", holder="r"))
    assert {"access_key", "secret_key"} <= secret.fields.keys()
    assert secret.lease is not None
    assert secret.lease.renewable is renewable


# Static roles


def test_a_static_role_has_the_version_of_its_rotation(vault: FakeVault, reader: Readers) -> None:
    opened = reader()
    first = opened.read(STATIC)
    assert first.lease is None
    assert first.changes_in is not None
    assert 0 < first.changes_in <= 3600.5
    assert opened.probe(STATIC).version == first.version
    vault.advance(3601)
    second = opened.read(STATIC)
    assert second.version != first.version
    assert first.changed_at is not None
    assert second.changed_at is not None
    assert second.changed_at > first.changed_at
    assert second.fields["password"] != first.fields["password"]


def test_a_rotation_at_a_time_with_an_offset(vault: FakeVault, reader: Readers) -> None:
    china = timezone(timedelta(hours=8))
    vault.static_roles["database", "flink"].rotated = vault.now.astimezone(china)
    assert reader().read(STATIC).changed_at == vault.now


def test_a_static_role_that_is_rotated_by_hand(vault: FakeVault, reader: Readers) -> None:
    """A rotation out of schedule is seen at the next look."""
    opened = reader()
    before = opened.probe(STATIC)
    vault.advance(60)
    vault.rotate_static("database", "flink")
    after = opened.probe(STATIC)
    assert after.version != before.version
    assert after.changes_in == pytest.approx(3600.5, abs=1)


def test_a_static_role_that_is_being_rotated_is_waited_for(
    vault: FakeVault, reader: Readers
) -> None:
    """Its ttl is 0, and its old password is no good any more."""
    role = vault.static_roles["database", "flink"]
    opened = reader(timeout="30s")
    old = opened.read(STATIC)
    role.stuck = True
    vault.advance(3600)
    with pytest.raises(SourceUnavailable, match="about to rotate it"):
        opened.read(STATIC)
    assert 9 <= sum(reader.slept) <= 11, "bounded"
    role.stuck = False
    assert opened.read(STATIC).version != old.version


# Any path


def test_any_path_that_answers_with_data(vault: FakeVault, reader: Readers) -> None:
    vault.generic["custom", "a/b"] = {"key": "canary-value"}
    ref = SecretRef("vault", "a/b", "generic", "custom")
    secret = reader().read(ref)
    assert secret.fields == {"key": "canary-value"}
    assert reader().probe(ref).version == secret.version
    vault.generic["custom", "a/b"] = {"key": "canary-other"}
    assert reader().probe(ref).version != secret.version


def test_a_path_that_makes_a_lease_unasked_gives_it_back_and_says_so(
    vault: FakeVault, reader: Readers
) -> None:
    vault.generic["custom", "creds/x"] = DatabaseRole()
    ref = SecretRef("vault", "creds/x", "generic", "custom")
    reader.token("reader")
    opened = reader()
    for ask in (opened.read, opened.probe):
        with pytest.raises(SecretInvalid, match="lease: shared, or per-connection"):
            ask(ref)
    assert vault.leases == {}
    assert len(vault.revoked) == 2
    made = opened.read(replace(ref, holder="r"))
    assert made.lease is not None
    assert made.lease.id in vault.leases


def test_a_token_whose_uses_are_counted_makes_no_leases(vault: FakeVault, reader: Readers) -> None:
    """All leases would end with its last use."""
    reader.token("reader", uses=5)
    with pytest.raises(SourceDenied, match="limited number of uses"):
        reader().read(MADE)
    assert vault.users.keys() <= {"static"}
