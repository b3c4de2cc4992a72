"""The fake Vault answers as an OpenBao 2.6.2 was seen to: status, headers, errors, and body."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.support.vault import (
    ROOT,
    DatabaseRole,
    FakeVault,
    Login,
    StaticRole,
    Version,
    vault_running,
)

CAPTURED = Path(__file__).parent / "data" / "openbao-answers.json"

LEFT_OUT = {
    "database config, wrong address": "the fake has roles of databases, and no databases",
}
"""Case → why the fake does not answer it."""

VARIES = {
    "accessor", "client_token", "cluster_id", "cluster_name", "created_time", "creation_time",
    "deletion_time", "entity_id", "expire_time", "id", "issue_time", "last_vault_rotation",
    "lease_id", "password", "running_plugin_version", "running_sha256", "secret_id",
    "secret_id_accessor", "server_time_utc", "service_account_uid", "token", "updated_time",
    "username", "uuid", "version_of_server", "wrapped_accessor",
}  # fmt: skip
"""Ids, times and what is made at random: only their types must agree."""

HEADERS = ("content-type", "retry-after", "x-ratelimit-limit", "x-vault-namespace")


@dataclass(slots=True)
class Replay:
    """What the captured requests name by a word of their own."""

    vault: FakeVault
    tokens: dict[str, str] = field(default_factory=lambda: {"root": ROOT})
    lease: str = ""
    """The last that was made."""
    wrapping: str = ""

    def token(self, name: str) -> str:
        """Made when it is first sent, so that it is as old as it was then."""
        if name not in self.tokens:
            self.tokens[name] = TOKENS[name](self.vault) if name in TOKENS else name
        return self.tokens[name]

    def fill(self, body: Any) -> Any:
        text = json.dumps(body)
        for word, value in {
            "cap-db/creds/app/LEASE": self.lease,
            "s.TOKEN": self.wrapping,
            "x\\u2026(65,536 characters)": "x" * 65536,
        }.items():
            text = text.replace(word, value)
        return json.loads(text)

    def remember(self, body: Mapping[str, Any]) -> None:
        self.lease = body.get("lease_id") or self.lease
        self.wrapping = (body.get("wrap_info") or {}).get("token") or self.wrapping


TOKENS: dict[str, Callable[[FakeVault], str]] = {
    "cap-read": lambda vault: vault.token("cap-read", ttl=600),
    "num_uses 1": lambda vault: vault.token("cap-read", "cap-db", ttl=600, uses=1),
    "periodic": lambda vault: vault.token("cap-read", period=3600),
    "batch": lambda vault: vault.token("cap-read", ttl=300, kind="batch"),
    "not renewable": lambda vault: vault.token("cap-read", renewable=False),
    "explicit_max_ttl 6m": lambda vault: vault.token("cap-read", ttl=300, max_ttl=360),
    "cap-db": lambda vault: vault.token("cap-db"),
    "cap-db ttl 60s": lambda vault: vault.token("cap-db", ttl=60),
}
"""Those that aren't here are no tokens."""

Prepare = Callable[[Replay], None]


def write(*documents: Mapping[str, Any], path: str = "app") -> Prepare:
    def prepare(replay: Replay) -> None:
        for document in documents:
            replay.vault.put(path, document, "cap-kv2")

    return prepare


def soon_deleted(replay: Replay) -> None:
    now = replay.vault.now
    version = Version({"a": "b"}, now, deleted=now + timedelta(hours=1))
    replay.vault.kv["cap-kv2", "soon"] = [version]


def without_parent(replay: Replay) -> None:
    replay.vault.tokens[replay.token("periodic")].orphan = True


def another_lease(replay: Replay) -> None:
    root = replay.vault.tokens[ROOT]
    role = replay.vault.databases["cap-db", "app"]
    user = ("name", "password")
    made = replay.vault.lease("cap-db/creds/app", "cap-db", root, role, user, renewable=True)
    replay.lease = made.id


def revoke_the_short_token(replay: Replay) -> None:
    replay.vault.revoke_token(replay.token("cap-db ttl 60s"))


def another_last_use(replay: Replay) -> None:
    del replay.tokens["num_uses 1"]


def rotate(replay: Replay) -> None:
    replay.vault.rotate_static("cap-db", "st")


def limit(*, headers: bool) -> Prepare:
    return lambda replay: replay.vault.rate_limit("cap-kv1/app", headers=headers, times=1)


def kubernetes(replay: Replay) -> None:
    """Another server, and a real API server to check the JWT."""
    metadata = {
        "role": "rotator",
        "service_account_name": "rotator",
        "service_account_namespace": "default",
        "service_account_secret_name": "",
        "service_account_uid": "uid",
    }
    role = Login({"jwt": "JWT"}, (), 600, granted={"metadata": metadata})
    vault = replay.vault
    vault.sealed = False
    vault.logins["k8s", "rotator"] = role
    audience = "invalid audience (aud) claim: audience claim does not match any expected audience"
    vault.logins["k8s", "ns"] = replace(role, refuses="namespace not authorized")
    vault.logins["k8s", "aud"] = replace(role, refuses=audience)
    vault.logins["dead", "rotator"] = role


def another_account(replay: Replay) -> None:
    replay.vault.logins["k8s", "rotator"].refuses = "service account name not authorized"


def account_again(replay: Replay) -> None:
    replay.vault.logins["k8s", "rotator"].refuses = ""


def api_server_down(replay: Replay) -> None:
    replay.vault.token_review_down = True


BEFORE: dict[str, Prepare] = {
    "kv2 read, other JSON types": write({"api_key": "v2", "n": 5, "nested": {"a": [1]}}),
    "kv2 recreated: version 1 again": write({"api_key": "again"}),
    "kv2 live with a future deletion_time": soon_deleted,
    "kv2 path with a space and unicode": write({"a": "b"}, path="a b/ü"),
    "lookup-self, periodic": without_parent,
    "lease revoke, default": another_lease,
    "its lease after the token was revoked": revoke_the_short_token,
    "creds with a token's last use": another_last_use,
    "database static creds": rotate,
    "database static creds after rotate": rotate,
    "rate limit, default headers": limit(headers=False),
    "rate limit, headers enabled": limit(headers=True),
    "kubernetes login (checked by a real API server)": kubernetes,
    "kubernetes login, another service account": another_account,
    "kubernetes login, JWT truncated": account_again,
    "kubernetes login, API server down (transient, though 403)": api_server_down,
}
"""Case → what happened between the request before and this one, but for requests."""

RAW = {"kv2 body that is not JSON": b"not JSON"}
"""Case → a body that the file can't tell."""


def as_captured(vault: FakeVault) -> None:
    """The state that the first of the captured requests met."""
    vault.mounts = {("", "cap-kv2"): 2, ("", "cap-kv1"): 1}
    vault.namespaces = {"", "team"}
    vault.policies["cap-read"] = {"cap-kv2/data/app": {"read"}}
    vault.policies["cap-db"] = {"cap-db/creds/app": {"read"}}
    vault.databases["cap-db", "app"] = DatabaseRole(ttl=60, max_ttl=300)
    vault.static_roles["cap-db", "st"] = StaticRole(3600, "static_one")
    read = ("cap-read",)
    vault.logins["cap-approle", "UUID"] = Login({"secret_id": "UUID"}, read, 600, uses=1)
    vault.logins["cap-userpass", "ann"] = Login({"password": "pw"}, read, 2764800)
    vault.logins["cap-k8s", "app"] = Login({"jwt": "a.b.c"}, (), 600)


def likeness(value: Any, key: str = "") -> Any:
    """What must agree: all but what varies from one server and moment to another."""
    if isinstance(value, dict):
        if "cluster_id" in value or "server_time_utc" in value:
            value = {("version_of_server" if k == "version" else k): v for k, v in value.items()}
        return {
            name: likeness(item, name)
            for name, item in value.items()
            if name != "request_id"
            and not (name in {"wrap_info", "warnings", "auth"} and item is None)
        }
    if isinstance(value, list):
        return [likeness(item) for item in value]
    return (type(value).__name__, bool(value)) if key in VARIES else value


def test_every_case_is_covered_or_left_out_for_a_reason() -> None:
    names = [case["case"] for case in json.loads(CAPTURED.read_text())["cases"]]
    assert len(set(names)) == len(names) == 105
    assert not {*LEFT_OUT, *BEFORE, *RAW} - set(names), "stale"
    assert not LEFT_OUT.keys() & {*BEFORE, *RAW}


def test_answers_are_the_captured_ones() -> None:
    different = []
    with vault_running() as (vault, url), httpx.Client(base_url=url, trust_env=False) as client:
        as_captured(vault)
        replay = Replay(vault)
        for case in json.loads(CAPTURED.read_text())["cases"]:
            name, request, wanted = case["case"], case["request"], case["answer"]
            if name in LEFT_OUT:
                continue
            if name in BEFORE:
                BEFORE[name](replay)
            got = send(client, replay, name, request)
            expected = {
                "status": wanted["status"],
                "headers": {key: wanted["headers"].get(key) for key in HEADERS},
                "body": likeness(wanted["body"]),
            }
            if got != expected:
                different.append((name, got, expected))
    assert not different


def send(
    client: httpx.Client, replay: Replay, name: str, request: Mapping[str, Any]
) -> dict[str, Any]:
    headers = dict(request.get("headers", {}))
    if request["token"] == "wrapping":
        headers["X-Vault-Token"] = replay.wrapping
    elif request["token"] is not None:
        headers["X-Vault-Token"] = replay.token(request["token"])
    body = json.dumps(replay.fill(request["body"])) if "body" in request else RAW.get(name)
    answer = client.request(request["method"], request["path"], headers=headers, content=body)
    document = answer.json() if answer.content else None
    if isinstance(document, dict):
        replay.remember(document)
    return {
        "status": answer.status_code,
        "headers": {key: answer.headers.get(key) for key in HEADERS},
        "body": likeness(document),
    }
