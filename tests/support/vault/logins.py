"""auth/<mount>/login: by secret, by service account, by password, by certificate, by AWS."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from tests.support.faulty import Request
from tests.support.vault import tokens
from tests.support.vault.answers import (
    DENIED,
    ROLE_DENIED,
    USER_DENIED,
    envelope,
    refused,
    unsupported,
)
from tests.support.vault.calls import Call
from tests.support.vault.state import State
from tests.support.vault.things import Login, Method

Proof = Mapping[str, Any]
Admitted = tuple[Login, dict[str, str]]
"""The role, and the metadata of the token."""


def is_login(path: str) -> bool:
    return re.fullmatch(r"auth/.+/login(/[^/]+)?", path) is not None


def answer(vault: State, call: Call) -> Any:
    """Ignores any token that comes along."""
    mount, _, user = call.path.removeprefix("auth/").partition("/login")
    method = _method(vault, call.namespace, mount)
    if method is None:
        raise refused(403, DENIED)
    if not call.writes:
        # Seen with AppRole; what the other methods answer to a GET was not captured.
        raise refused(500, ["missing role_id"]) if method == "approle" else unsupported()
    key = f"{mount}/{user.removeprefix('/')}" if method == "userpass" else mount
    login, metadata = _METHODS[method](vault, call, key)
    if login.uses == 1:
        login.spent = True
    login.uses = max(0, login.uses - 1)
    return envelope(None, auth=_token(vault, call, login, metadata))


def _method(vault: State, namespace: str, mount: str) -> Method | None:
    for (known, _), login in vault.logins.items():
        if known == mount and login.namespace in {None, namespace}:
            return login.kind
    return vault.auth_mounts.get((namespace, mount))


def _token(vault: State, call: Call, login: Login, metadata: dict[str, str]) -> dict[str, Any]:
    made = vault.token(
        *login.policies,
        ttl=login.ttl,
        uses=login.token_num_uses,
        kind=login.token_type,
        period=login.token_period,
        max_ttl=login.token_explicit_max_ttl,
        namespace=call.namespace,
    )
    token = vault.tokens[made]
    token.path = call.path
    token.orphan = True
    token.entity = f"entity-{secrets.token_hex(4)}"
    token.metadata = metadata
    token.role_max_ttl = login.token_max_ttl
    if vault.profile == "vault-ent":
        token.unseen = vault.stale_after_login
    return {**tokens.granted(token, token.ttl), **login.granted}


def _role(vault: State, call: Call, mount: str, name: str) -> Login | None:
    login = vault.logins.get((mount, name))
    return login if login and login.namespace in {None, call.namespace} else None


def _approle(vault: State, call: Call, mount: str) -> Admitted:
    sent = call.sent()
    if not sent.get("role_id"):
        raise refused(500, ["missing role_id"])
    login = _role(vault, call, mount, sent["role_id"])
    presented = sent.get("secret_id", "")
    if login is None or not presented:
        raise refused(400, ROLE_DENIED)
    made = login.secret_ids.get(presented)
    if made is None:
        if login.spent or login.expected.get("secret_id") != presented:
            raise refused(400, ROLE_DENIED)
    elif made.expires is not None and made.expires <= vault.now:
        raise refused(400, ROLE_DENIED)
    elif made.uses == 1:
        del login.secret_ids[presented]
    else:
        made.uses = max(0, made.uses - 1)
    return login, {"role_name": login.name}


def _kubernetes(vault: State, call: Call, mount: str) -> Admitted:
    sent = call.sent()
    for needed in ("role", "jwt"):
        if not sent.get(needed):
            raise refused(400, [f"missing {needed}"])
    login = _role(vault, call, mount, sent["role"])
    if login is None:
        raise refused(400, [f'invalid role name "{sent["role"]}"'])
    if login.refuses and sent["jwt"].strip() == login.expected["jwt"]:
        raise refused(403, [login.refuses])
    if vault.token_review_down or login.spent or sent["jwt"].strip() != login.expected["jwt"]:
        raise refused(403, DENIED)
    account = ("name", "namespace", "secret_name", "uid")
    return login, {"role": sent["role"], **{f"service_account_{part}": "" for part in account}}


def _jwt(vault: State, call: Call, mount: str) -> Admitted:
    sent = call.sent()
    if not sent.get("role"):
        raise refused(400, ["missing role"])
    login = _role(vault, call, mount, sent["role"])
    if login is None:
        raise refused(400, [f'role "{sent["role"]}" could not be found'])
    if not sent.get("jwt"):
        raise refused(400, ["missing token"])
    if login.refuses and sent["jwt"] == login.expected["jwt"]:
        raise refused(400, [login.refuses])
    if login.spent or sent["jwt"] != login.expected["jwt"]:
        raise refused(400, ["error validating token: error verifying token signature"])
    return login, {"role": sent["role"]}


def _userpass(vault: State, call: Call, place: str) -> Admitted:
    mount, _, user = place.rpartition("/")
    login = _role(vault, call, mount, user)
    password = call.sent().get("password")
    if not password:
        raise refused(500, ["missing password"])
    if login is None or login.spent or password != login.expected["password"]:
        raise refused(400, USER_DENIED)
    return login, {"username": user}


def _cert(vault: State, call: Call, mount: str) -> Admitted:
    """The server's TLS decides which certificates are valid. This finds the role of one."""
    presented = call.request.client_name
    if presented is None:
        raise refused(400, ["client certificate must be supplied"])
    name = call.sent().get("name", "")
    roles = {role: login for (known, role), login in vault.logins.items() if known == mount}
    for role, login in roles.items():
        if name in {"", role} and login.expected.get("common_name", presented) == presented:
            return login, {"cert_name": role, "common_name": presented}
    if name and name not in roles:
        raise refused(400, ["invalid certificate or no client certificate supplied"])
    said = "no chain matching all constraints could be found for this login certificate"
    raise refused(400, [said])


_WHO_AM_I = b"Action=GetCallerIdentity&Version=2011-06-15"
_SERVER_ID = "X-Vault-AWS-IAM-Server-ID"


def _aws(vault: State, call: Call, mount: str) -> Admitted:
    """Nobody asks AWS. `State.sts` checks the signature, if it is set."""
    sent = call.sent()
    signed = _signed(sent)
    login = _role(vault, call, mount, sent.get("role", ""))
    if login is None:
        raise refused(400, [f"entry for role {sent.get('role', '')} not found"])
    server_id = login.expected.get("server_id", "")
    if server_id and (problem := _server_id_problem(signed.headers, server_id)):
        raise refused(400, [f"error validating {_SERVER_ID} header: {problem}"])
    arn: str | None = "arn:aws:iam::123456789012:role/rotator"
    host = urlsplit(signed.path).hostname
    if (host, signed.body) != (login.expected["sts_host"], _WHO_AM_I):
        arn = None
    elif vault.sts is not None:
        arn = vault.sts(signed)
    if arn is None:
        said = "error making upstream request: received error code 403 from STS"
        raise refused(400, [said])
    if arn != login.expected.get("arn", arn):
        said = f'IAM Principal "{arn}" does not belong to the role "{sent["role"]}"'
        raise refused(400, [said])
    return login, {"client_arn": arn, "auth_type": "iam"}


def _signed(sent: Proof) -> Request:
    """The request to STS that was signed; its path is the whole URL."""
    for field in ("iam_http_request_method", "iam_request_url", "iam_request_body"):
        if not sent.get(field):
            raise refused(400, [f"missing {field}"])
    if sent["iam_http_request_method"] != "POST":
        said = "invalid iam_http_request_method; currently only 'POST' is supported"
        raise refused(400, [said])
    if not sent.get("iam_request_headers"):
        raise refused(400, ["missing iam_request_headers"])
    headers = json.loads(_decoded(sent, "iam_request_headers"))
    plain = {
        name.lower(): ",".join(value) if isinstance(value, list) else value
        for name, value in headers.items()
    }
    url = _decoded(sent, "iam_request_url").decode()
    return Request("POST", url, plain, _decoded(sent, "iam_request_body"))


def _decoded(sent: Proof, field: str) -> bytes:
    try:
        return base64.b64decode(sent[field], validate=True)
    except binascii.Error:
        raise refused(400, [f"failed to base64 decode {field}"]) from None


def _server_id_problem(headers: Mapping[str, str], wanted: str) -> str | None:
    given = headers.get(_SERVER_ID.lower(), "")
    if not given:
        return f'missing header "{_SERVER_ID}"'
    if given != wanted:
        return f'expected "{wanted}" but got "{given}"'
    names = re.search(r"SignedHeaders=([^,]+)", headers.get("authorization", ""))
    if names is None or _SERVER_ID.lower() not in names[1].split(";"):
        return "vault header wasn't signed"
    return None


_METHODS: dict[Method, Callable[[State, Call, str], Admitted]] = {
    "approle": _approle,
    "kubernetes": _kubernetes,
    "jwt": _jwt,
    "userpass": _userpass,
    "cert": _cert,
    "aws": _aws,
}
