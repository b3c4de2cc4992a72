"""Seven ways to log in, each with what can be wrong with it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from rotator.errors import LoginDenied, SourceError, SourceUnavailable
from tests.support.certificates import Certificates, certificates
from tests.support.faulty import Reply, Request, Trouble
from tests.support.vault import FakeVault, Login, vault_running
from tests.support.vault_reading import KV, LOGIN, Readers, reader, vault

__all__ = ["certificates", "reader", "vault"]

JWT = "canary.jwt.signed"
UNWRAP = "POST /v1/sys/wrapping/unwrap"


@pytest.fixture
def logins(vault: FakeVault, reader: Readers, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Each method as it is configured, and a role in Vault that admits it."""
    reader.environment.setenv("SECRET_ID", "canary-secret-id")
    reader.environment.setenv("PASSWORD", "canary-password")
    (tmp_path / "jwt").write_text(JWT + "\n")
    file = {"file": str(tmp_path / "jwt")}
    granted = (("reader",), 3600.0)
    vault.logins["approle", "role"] = Login({"secret_id": "canary-secret-id"}, *granted)
    vault.logins["kubernetes", "rotator"] = Login({"jwt": JWT}, *granted)
    vault.logins["jwt", "rotator"] = Login({"jwt": JWT}, *granted, method="jwt")
    vault.logins["userpass", "a b/c"] = Login({"password": "canary-password"}, *granted)
    return {
        "approle": {"method": "approle", "role_id": "role", "secret_id": {"env": "SECRET_ID"}},
        "kubernetes": {"method": "kubernetes", "role": "rotator", "token_file": file["file"]},
        "jwt": {"method": "jwt", "role": "rotator", "jwt": file},
        "userpass": {"method": "userpass", "username": "ann", "password": {"env": "PASSWORD"}},
    }


METHODS = ("approle", "kubernetes", "jwt")


@pytest.mark.parametrize("method", METHODS)
def test_a_login_leads_to_a_read(
    vault: FakeVault, reader: Readers, logins: Mapping[str, Any], method: str
) -> None:
    assert reader(auth=logins[method]).read(KV).fields == {"api_key": "canary-value"}
    assert vault.count(LOGIN) == 1
    login = next(seen for seen in vault.requests if "/login" in seen.path)
    assert "x-vault-token" not in login.headers
    assert reader.told("login") == ["ok"]


def test_a_user_name_is_one_part_of_the_path(
    vault: FakeVault, reader: Readers, logins: Mapping[str, Any]
) -> None:
    vault.logins["userpass", "ann"] = Login({"password": "canary-password"}, ("reader",), 60)
    assert reader(auth=logins["userpass"]).read(KV).fields
    with pytest.raises(LoginDenied, match="the userpass login was refused"):
        reader(auth={**logins["userpass"], "username": "a b/../c?d"}).read(KV)
    assert vault.requests[-1].path == "/v1/auth/userpass/login/a%20b%2F..%2Fc%3Fd"


@pytest.mark.parametrize("method", METHODS)
def test_the_namespace_of_the_login_is_not_that_of_the_reads(
    vault: FakeVault, reader: Readers, logins: Mapping[str, Any], method: str
) -> None:
    """Both are right, also after a login that failed."""
    vault.namespaces |= {"platform", "platform/flink"}
    vault.mounts["platform/flink", "kv"] = 2
    vault.policies["reader"] = ("flink/kv/data/*",)
    auth = {**logins[method], "namespace": "platform"}
    opened = reader(auth=auth, namespace="platform/flink")
    vault.fail(LOGIN, Reply(503, b'{"errors": ["Vault is sealed"]}'))
    for _ in range(2):
        try:
            opened.read(KV)
        except SourceError:
            vault.advance(10)
    asked = [
        ("login" in seen.path, seen.headers.get("x-vault-namespace"))
        for seen in vault.requests
        if "/login" in seen.path or "/kv/" in seen.path
    ]
    assert asked[:2] == [(True, "platform")] * 2
    assert asked[2:]
    assert all(place == (False, "platform/flink") for place in asked[2:])


def test_a_token_on_disk_is_read_for_each_login(
    vault: FakeVault, reader: Readers, logins: Mapping[str, Any], tmp_path: Path
) -> None:
    opened = reader(auth=logins["kubernetes"])
    opened.read(KV)
    for content, words in (
        ("", "is empty"),
        ("canary.half", "login was refused"),
        (None, "does not exist"),
    ):
        (tmp_path / "jwt").unlink(missing_ok=True)
        if content is not None:
            (tmp_path / "jwt").write_text(content)
        opened.read(KV)  # the token at hand goes on working
        fresh = reader(auth=logins["kubernetes"])
        with pytest.raises(LoginDenied, match=words) as caught:
            fresh.read(KV)
        assert "canary" not in str(caught.value)
    vault.logins["kubernetes", "rotator"] = Login({"jwt": "canary.rotated"}, ("reader",), 3600)
    (tmp_path / "jwt").write_text("canary.rotated\n")
    assert reader(auth=logins["kubernetes"]).read(KV).fields


def test_an_api_server_that_is_down_refuses_for_a_while(
    vault: FakeVault, reader: Readers, logins: Mapping[str, Any]
) -> None:
    """Vault answers 403 then, the same as for a bad token."""
    vault.token_review_down = True
    opened = reader(auth=logins["kubernetes"])
    for _ in range(5):
        with pytest.raises(LoginDenied, match="Vault does not reach the API server"):
            opened.read(KV)
    assert vault.count(LOGIN) == 1
    vault.token_review_down = False
    vault.advance(2)
    assert opened.read(KV).fields


def test_a_secret_id_that_is_used_up_is_not_tried_again_and_again(
    vault: FakeVault, reader: Readers, logins: Mapping[str, Any]
) -> None:
    """The pauses grow, since Vault locks out those who try too often."""
    vault.logins["approle", "role"].spent = True
    opened = reader(auth=logins["approle"])
    for _ in range(360):
        with pytest.raises(LoginDenied, match=r"approle login was refused \(HTTP 400\)"):
            opened.read(KV)
        vault.advance(10)
    assert 12 <= vault.count(LOGIN) <= 22
    assert set(reader.told("login")) == {"login_denied"}


@pytest.mark.parametrize(
    "granted",
    [
        {"mfa_requirement": {"mfa_request_id": "x"}},
        {"client_token": ""},
        {"client_token": None},
        {"client_token": 7},
    ],
)
def test_an_answer_without_a_usable_token(
    vault: FakeVault, reader: Readers, logins: Mapping[str, Any], granted: dict[str, Any]
) -> None:
    vault.logins["approle", "role"].granted = granted
    with pytest.raises(LoginDenied, match="gave no token; does it ask for MFA"):
        reader(auth=logins["approle"]).read(KV)


@pytest.mark.parametrize("body", [b'{"auth": null}', b"{}", b'{"auth": []}'])
def test_an_answer_without_auth(
    vault: FakeVault, reader: Readers, logins: Mapping[str, Any], body: bytes
) -> None:
    vault.fail(LOGIN, Reply(200, body))
    with pytest.raises(LoginDenied, match="gave no token"):
        reader(auth=logins["approle"]).read(KV)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(500, b'{"errors": ["missing role_id"]}'), LoginDenied),
        (Reply(500, b'{"errors": ["internal error"]}'), SourceUnavailable),
        (Reply(503, b'{"errors": ["Vault is sealed"]}'), SourceUnavailable),
        (Reply(429, b'{"errors": ["rate limit quota exceeded"]}'), SourceUnavailable),
        (Reply(404, b'{"errors": ["namespace not found"]}'), LoginDenied),
    ],
)
def test_what_will_pass_and_what_will_not(
    vault: FakeVault,
    reader: Readers,
    logins: Mapping[str, Any],
    reply: Reply,
    kind: type[SourceError],
) -> None:
    vault.fail(LOGIN, reply)
    with pytest.raises(kind) as caught:
        reader(auth=logins["approle"]).read(KV)
    assert type(caught.value) is kind


def test_one_login_for_all_who_wait(
    vault: FakeVault, reader: Readers, logins: Mapping[str, Any]
) -> None:
    opened = reader(auth=logins["approle"])
    for expected in (1, 2):
        threads = [threading.Thread(target=opened.read, args=(KV,)) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert vault.count(LOGIN) == expected
        for token in [name for name in vault.tokens if name.startswith("s.")]:
            vault.revoke_token(token)


# A wrapped secret_id


@pytest.fixture
def wrapped(vault: FakeVault, reader: Readers, logins: object) -> dict[str, Any]:
    reader.environment.setenv("WRAPPED", vault.wrapped_secret_id("approle", "role"))
    return {
        "method": "approle",
        "role_id": "role",
        "role": "app",
        "wrapped_secret_id": {"env": "WRAPPED"},
    }


def test_a_wrapped_secret_id_is_opened_once(
    vault: FakeVault, reader: Readers, wrapped: dict[str, Any]
) -> None:
    vault.logins["approle", "role"].secret_id_num_uses = 0
    reader.environment.setenv("WRAPPED", vault.wrapped_secret_id("approle", "role"))
    vault.logins["approle", "role"].token_explicit_max_ttl = 600
    opened = reader(auth=wrapped)
    opened.read(KV)
    for _ in range(4):
        vault.advance(400)
        opened.read(KV)
    assert vault.count(LOGIN) > 1
    assert vault.count(UNWRAP) == 1


def test_a_wrapping_token_of_another_role_is_a_security_event(
    vault: FakeVault, reader: Readers, wrapped: dict[str, Any]
) -> None:
    """It is not opened."""
    foreign = vault.wrap({"secret_id": "canary-foreign"}, "auth/approle/role/other/secret-id")
    reader.environment.setenv("WRAPPED", foreign)
    with pytest.raises(LoginDenied, match=r"was not made at .* security event"):
        reader(auth=wrapped).read(KV)
    assert vault.count(UNWRAP) == 0
    assert vault.count(LOGIN) == 0


def test_a_wrapping_token_that_somebody_opened_is_a_security_event(
    vault: FakeVault, reader: Readers, wrapped: dict[str, Any]
) -> None:
    vault.wrapped.clear()
    opened = reader(auth=wrapped)
    for _ in range(3):
        with pytest.raises(LoginDenied, match=r"was used already, or has ended.* security event"):
            opened.read(KV)
    assert vault.count("POST /v1/sys/wrapping/*") == 1


@pytest.mark.parametrize("trouble", [Trouble.RESET_AFTER, Trouble.TRUNCATED])
def test_an_unwrapping_whose_answer_is_lost_is_not_repeated(
    vault: FakeVault, reader: Readers, wrapped: dict[str, Any], trouble: Trouble
) -> None:
    vault.fail(UNWRAP, trouble)
    with pytest.raises(SourceUnavailable):
        reader(auth=wrapped).read(KV)
    assert vault.count(UNWRAP) == 1


# Certificates and AWS


def test_a_certificate_is_the_credential(reader: Readers, certificates: Certificates) -> None:
    with vault_running(certificates.mutual) as (server, url):
        server.put("flink/openai", {"api_key": "canary-value"})
        server.policies["reader"] = ("kv/data/*",)
        server.logins["cert", "rotator"] = Login({"common_name": "rotator"}, ("reader",), 60)
        options = {
            "url": url,
            "ca_file": str(certificates.ca),
            "client_certificate": {"cert_file": str(certificates.client)},
        }
        for role in ({"role": "rotator"}, {}):
            assert reader(auth={"method": "cert", **role}, **options).read(KV).fields
        with pytest.raises(LoginDenied, match="the cert login was refused"):
            reader(auth={"method": "cert", "role": "other"}, **options).read(KV)


def test_an_aws_identity_signs_for_the_region(
    vault: FakeVault, reader: Readers, tmp_path: Path
) -> None:
    key = {"AWS_ACCESS_KEY_ID": "AKIACANARY", "AWS_SECRET_ACCESS_KEY": "canary-aws-secret"}
    for name, value in (
        *key.items(),
        ("AWS_CONFIG_FILE", str(tmp_path / "none")),
        ("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none")),
    ):
        reader.environment.setenv(name, value)

    def sts(signed: Request) -> str | None:
        """Signs the same again, and compares: what AWS does."""
        names = signed.headers["authorization"].split("SignedHeaders=")[1].split(",")[0]
        headers = {name: signed.headers[name] for name in names.split(";") if name != "host"}
        again = AWSRequest("POST", signed.path, headers=headers, data=signed.body)
        again.context["timestamp"] = signed.headers["x-amz-date"]
        auth = SigV4Auth(Credentials(*key.values()), "sts", "eu-central-1")
        wanted = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
        right = signed.headers["authorization"].endswith(f"Signature={wanted}")
        return "arn:aws:iam::123456789012:role/rotator" if right else None

    vault.sts = sts
    expected = {"sts_host": "sts.eu-central-1.amazonaws.com", "server_id": "vault.example.com"}
    vault.logins["aws", "rotator"] = Login(expected, ("reader",), 60)
    auth = {"method": "aws", "role": "rotator", "region": "eu-central-1"}
    assert reader(auth={**auth, "server_id": "vault.example.com"}).read(KV).fields
    for wrong in (auth, {**auth, "server_id": "other"}, {**auth, "region": "us-east-1"}):
        with pytest.raises(LoginDenied, match="the aws login was refused"):
            reader(auth=wrong).read(KV)
    reader.environment.setenv("AWS_SECRET_ACCESS_KEY", "canary-wrong")
    with pytest.raises(LoginDenied) as caught:
        reader(auth={**auth, "server_id": "vault.example.com"}).read(KV)
    assert "canary" not in str(caught.value)
    assert all("canary-aws-secret" not in str(seen.body) for seen in vault.requests)


def test_without_an_aws_identity(reader: Readers, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        reader.environment.delenv(name, raising=False)
    reader.environment.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    reader.environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    reader.environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(LoginDenied, match="there are no AWS credentials to log in with"):
        reader(auth={"method": "aws", "role": "r", "region": "eu-central-1"}).read(KV)
