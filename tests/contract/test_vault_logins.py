"""The fake Vault where no captured answer tells: logins over mutual TLS and by AWS, and profiles.

https://github.com/openbao/openbao/blob/main/builtin/credential/cert/path_login.go and
https://github.com/hashicorp/vault/blob/main/builtin/credential/aws/path_login.go
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.certificates import Certificates, certificates
from tests.support.faulty import Request
from tests.support.vault import ROOT, FakeVault, Login, vault_running
from tests.support.vault.state import Profile

__all__ = ["certificates"]

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with vault_running() as (vault, _):
        yield vault


@pytest.fixture
def ask(vault: FakeVault) -> Ask:
    return asking(vault)


def asking(vault: FakeVault) -> Ask:
    """Method, path, token, body → status and document; without a token, as nobody."""

    def send(
        method: str, path: str, token: str = "", body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["X-Vault-Token"] = token
        url = f"{vault.url}/v1/{path}"
        answer = httpx.request(method, url, headers=sent, json=body, trust_env=False)
        return answer.status_code, answer.json() if answer.content else None

    return send


# JWT, and AppRole in time


def test_jwt(vault: FakeVault, ask: Ask) -> None:
    vault.logins["jwt", "app"] = Login({"jwt": "a.b.c"}, ("read",), 600, method="jwt")
    path = "auth/jwt/login"
    assert ask("POST", path, body={"role": "app", "jwt": "a.b.c"})[0] == 200
    for sent, said in (
        ({"jwt": "a.b.c"}, "missing role"),
        ({"role": "none", "jwt": "a.b.c"}, 'role "none" could not be found'),
        ({"role": "app"}, "missing token"),
        ({"role": "app", "jwt": "x"}, "error validating token: error verifying token signature"),
    ):
        assert ask("POST", path, body=sent) == (400, {"errors": [said]})


def test_a_secret_id_ends_by_use_and_by_time(vault: FakeVault, ask: Ask) -> None:
    role = Login({}, (), 600, secret_id_num_uses=2, secret_id_ttl=60)
    vault.logins["approle", "app"] = role
    first, second = vault.secret_id("approle", "app"), vault.secret_id("approle", "app")

    def login(secret_id: str) -> int:
        proof = {"role_id": "app", "secret_id": secret_id}
        return ask("POST", "auth/approle/login", body=proof)[0]

    assert [login(first) for _ in range(3)] == [200, 200, 400]
    assert login(second) == 200
    vault.advance(60)
    assert login(second) == 400
    assert login("") == 400, "a role that expects none has none to be guessed"


def test_a_wrapped_secret_id_tells_where_it_was_made(vault: FakeVault, ask: Ask) -> None:
    vault.logins["approle", "app"] = Login({}, (), 600, name="rotator")
    token = vault.wrapped_secret_id("approle", "app")
    _, seen = ask("POST", "sys/wrapping/lookup", body={"token": token})
    assert seen["data"]["creation_path"] == "auth/approle/role/rotator/secret-id"
    _, held = ask("POST", "sys/wrapping/unwrap", token)
    proof = {"role_id": "app", **held["data"]}
    assert ask("POST", "auth/approle/login", body=proof)[0] == 200


def test_a_wrapping_token_and_another_in_the_body_are_both_lost(vault: FakeVault, ask: Ask) -> None:
    token = vault.wrap({"a": "b"}, "elsewhere")
    assert ask("POST", "sys/wrapping/unwrap", token, {"token": token})[0] == 400
    assert ask("POST", "sys/wrapping/unwrap", token)[0] == 400


def test_tokens_as_a_role_makes_them(vault: FakeVault, ask: Ask) -> None:
    role = {"token_type": "batch", "token_num_uses": 0}
    vault.logins["a", "batch"] = Login({"secret_id": "x"}, (), 600, **role)  # type: ignore[arg-type] # as they are
    vault.logins["a", "few"] = Login({"secret_id": "x"}, (), 600, token_num_uses=2)
    vault.logins["a", "capped"] = Login({"secret_id": "x"}, (), 600, token_max_ttl=900)

    def login(role_id: str) -> Any:
        proof = {"role_id": role_id, "secret_id": "x"}
        return ask("POST", "auth/a/login", body=proof)[1]["auth"]

    batch, few, capped = login("batch"), login("few"), login("capped")
    assert (batch["token_type"], batch["renewable"], batch["accessor"]) == ("batch", False, "")
    assert few["num_uses"] == 2
    statuses = [ask("GET", "auth/token/lookup-self", few["client_token"])[0] for _ in range(3)]
    assert statuses == [200, 200, 403]
    _, renewed = ask("POST", "auth/token/renew-self", capped["client_token"], {"increment": "1h"})
    assert renewed["auth"]["lease_duration"] == 900
    assert renewed["warnings"]


def test_a_login_in_a_namespace_of_its_own(vault: FakeVault, ask: Ask) -> None:
    vault.namespaces = {"", "platform", "platform/team"}
    vault.mounts["platform/team", "kv"] = 1
    vault.kv1["kv", "app"] = {"key": "one"}
    vault.policies["read"] = {"team/kv/app": {"read"}}
    vault.logins["approle", "app"] = Login({"secret_id": "x"}, ("read",), 600, namespace="platform")
    proof = {"role_id": "app", "secret_id": "x"}
    assert ask("POST", "auth/approle/login", body=proof)[0] == 403
    status, body = ask("POST", "auth/approle/login", body=proof, X_Vault_Namespace="platform")
    assert status == 200
    token = body["auth"]["client_token"]
    assert ask("GET", "kv/app", token, X_Vault_Namespace="platform/team/")[0] == 200
    assert ask("GET", "platform/team/kv/app", token)[0] == 200
    assert ask("GET", "kv/app", token)[0] == 403, "its namespace doesn't reach as far"
    for namespace in ("", "platform/team"):
        path = "auth/token/lookup-self"
        assert ask("GET", path, token, X_Vault_Namespace=namespace)[0] == 200


# Certificates


def test_a_certificate_is_a_login(certificates: Certificates) -> None:
    with vault_running(certificates.mutual) as (vault, url):
        vault.logins["cert", "app"] = Login({"common_name": "rotator"}, (), 600)
        vault.logins["cert", "other"] = Login({"common_name": "somebody"}, (), 600)
        context = ssl.create_default_context(cafile=certificates.ca)
        with (
            httpx.Client(base_url=url, verify=context, trust_env=False) as client,
            pytest.raises(httpx.TransportError),
        ):
            client.post("/v1/auth/cert/login", json={"name": "app"})

        context.load_cert_chain(certificates.client)
        with httpx.Client(base_url=url, verify=context, trust_env=False) as client:
            answers = {
                name: client.post("/v1/auth/cert/login", json={"name": name})
                for name in ("app", "", "other", "none")
            }
        statuses = {name: answer.status_code for name, answer in answers.items()}
        assert statuses == {"app": 200, "": 200, "other": 400, "none": 400}
        granted = answers["app"].json()["auth"]["metadata"]
        assert granted == {"cert_name": "app", "common_name": "rotator"}


def test_without_tls_there_is_no_certificate(vault: FakeVault, ask: Ask) -> None:
    vault.logins["cert", "app"] = Login({"common_name": "rotator"}, (), 600)
    said = ["client certificate must be supplied"]
    assert ask("POST", "auth/cert/login", body={"name": "app"}) == (400, {"errors": said})


# AWS

HOST = "sts.eu-central-1.amazonaws.com"
SIGNED = "AWS4-HMAC-SHA256 Credential=AKIA/20261120/eu-central-1/sts/aws4_request, SignedHeaders="


def proof(url: str = f"https://{HOST}/", server_id: str = "", signed: str = "host") -> Any:
    headers = {"Authorization": [f"{SIGNED}{signed}, Signature=00"]}
    if server_id:
        headers["X-Vault-AWS-IAM-Server-ID"] = [server_id]
    parts = {
        "iam_request_url": url,
        "iam_request_body": "Action=GetCallerIdentity&Version=2011-06-15",
        "iam_request_headers": json.dumps(headers),
    }
    encoded = {name: base64.b64encode(part.encode()).decode() for name, part in parts.items()}
    return {"role": "app", "iam_http_request_method": "POST", **encoded}


def test_aws(vault: FakeVault, ask: Ask) -> None:
    vault.logins["aws", "app"] = Login({"sts_host": HOST, "server_id": "vault.example"}, (), 600)
    good = proof(server_id="vault.example", signed="host;x-vault-aws-iam-server-id")
    status, body = ask("POST", "auth/aws/login", body=good)
    assert (status, body["auth"]["metadata"]["auth_type"]) == (200, "iam")
    id_of_server = "error validating X-Vault-AWS-IAM-Server-ID header: "
    for sent, said in (
        (proof(), f'{id_of_server}missing header "X-Vault-AWS-IAM-Server-ID"'),
        (proof(server_id="other"), f'{id_of_server}expected "vault.example" but got "other"'),
        (proof(server_id="vault.example"), f"{id_of_server}vault header wasn't signed"),
        ({**good, "role": "none"}, "entry for role none not found"),
        ({**good, "iam_request_url": ""}, "missing iam_request_url"),
        ({**good, "iam_request_url": "%"}, "failed to base64 decode iam_request_url"),
        (
            {**good, "iam_request_url": base64.b64encode(b"https://sts.amazonaws.com/").decode()},
            "error making upstream request: received error code 403 from STS",
        ),
    ):
        assert ask("POST", "auth/aws/login", body=sent) == (400, {"errors": [said]})


def test_aws_where_somebody_checks_the_signature(vault: FakeVault, ask: Ask) -> None:
    seen: list[Request] = []

    def arn(request: Request) -> str | None:
        seen.append(request)
        return "arn:aws:iam::1:role/app" if len(seen) == 1 else None

    vault.sts = arn
    vault.logins["aws", "app"] = Login({"sts_host": HOST}, (), 600)
    assert [ask("POST", "auth/aws/login", body=proof())[0] for _ in range(2)] == [200, 400]
    assert (seen[0].path, seen[0].headers["authorization"][:16]) == (
        f"https://{HOST}/",
        "AWS4-HMAC-SHA256",
    )


# Profiles, and the order of the checks

BAD_TOKEN = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"


@pytest.mark.parametrize(
    ("profile", "said", "events", "extra", "namespaces"),
    [
        ("openbao", "permission denied", 404, True, 200),
        ("vault-ce", BAD_TOKEN, 404, False, 404),
        ("vault-ent", BAD_TOKEN, 426, False, 200),
    ],
)
def test_profiles(profile: Profile, said: str, events: int, extra: bool, namespaces: int) -> None:
    with vault_running(profile=profile) as (vault, _):
        ask = asking(vault)
        vault.put("app", {"key": "one"})
        assert ask("GET", "kv/data/app", "s.bad") == (403, {"errors": [said]})
        assert ask("GET", "kv/data/app") == (403, {"errors": ["permission denied"]})
        assert ask("GET", "sys/events/subscribe/kv*?json=true", ROOT)[0] == events
        metadata = ask("GET", "kv/metadata/app", ROOT)[1]["data"]
        assert ("metadata_cas_required" in metadata) is extra
        assert ask("POST", "sys/namespaces/team", ROOT, {})[0] == namespaces


@pytest.mark.parametrize("profile", ["vault-ent", "vault-ce"])
def test_a_fresh_token_that_a_node_does_not_know_yet(profile: Profile) -> None:
    with vault_running(profile=profile) as (vault, _):
        ask = asking(vault)
        vault.stale_after_login = 1
        vault.logins["approle", "app"] = Login({"secret_id": "x"}, (), 600)
        granted = {"role_id": "app", "secret_id": "x"}
        token = ask("POST", "auth/approle/login", body=granted)[1]["auth"]["client_token"]
        statuses = [ask("GET", "auth/token/lookup-self", token)[0] for _ in range(2)]
        assert statuses == ([412, 200] if profile == "vault-ent" else [200, 200])


def test_which_check_comes_first(vault: FakeVault, ask: Ask) -> None:
    """Each condition hides those that the lines after it make too."""
    vault.largest_body = 10
    vault.sealed = True
    vault.rate_limit("kv/../x", times=1)
    large = {"data": "x" * 20}
    elsewhere = {"X_Vault_Namespace": "none"}
    assert ask("POST", "kv/%0A", body=large) == (400, None)
    assert ask("POST", "sys/health", body=large, **elsewhere)[0] == 413
    said = ["operation unavailable in namespaces"]
    assert ask("GET", "sys/health", **elsewhere) == (400, {"errors": said})
    assert ask("GET", "kv/%2E%2E/x", **elsewhere)[0] == 429
    assert ask("GET", "kv/%2E%2E/x", **elsewhere)[0] == 400
    assert ask("GET", "kv/x", **elsewhere)[0] == 503
    assert ask("GET", "sys/health")[0] == 503
    vault.sealed = False
    assert ask("GET", "kv/x", **elsewhere) == (404, {"errors": ["namespace not found"]})
    assert ask("GET", "none/x")[0] == 403
    assert ask("GET", "none/x", vault.token())[0] == 403
    assert ask("GET", "none/x", ROOT)[0] == 404


@pytest.mark.parametrize(
    ("standby", "query", "status"),
    [
        ("", "", 200),
        ("", "?activecode=204", 204),
        ("standby", "", 429),
        ("standby", "?standbyok=true", 200),
        ("performance", "", 473),
        ("performance", "?perfstandbyok=true", 200),
    ],
)
def test_health(vault: FakeVault, ask: Ask, standby: Any, query: str, status: int) -> None:
    vault.standby = standby
    assert ask("GET", f"sys/health{query}")[0] == status
    assert ask("HEAD", f"sys/health{query}") == (status, None)


def test_a_mount_on_its_way_to_version_2(vault: FakeVault, ask: Ask) -> None:
    vault.upgrading.add("kv")
    status, body = ask("GET", "kv/data/app", ROOT)
    assert (status, body["errors"][0][:31]) == (400, "Upgrading from non-versioned to")
    vault.upgrading.clear()
    assert ask("GET", "kv/data/app", ROOT)[0] == 404
