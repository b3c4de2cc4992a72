"""The fake Vault answers as an OpenBao 2.6.2 was seen to, wherever it answers at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.vault import ROOT, FakeVault, Login, Version, vault_running

CAPTURED = Path(__file__).parents[2].parent / "shared" / "openbao-answers.json"

needs_answers = pytest.mark.skipif(
    not CAPTURED.exists(), reason="the captured answers are not beside the project"
)


def write(*documents: Mapping[str, Any], path: str = "app") -> Callable[[FakeVault], None]:
    def prepare(vault: FakeVault) -> None:
        for document in documents:
            vault.put(path, document, "cap-kv2")

    return prepare


def soon_deleted(vault: FakeVault) -> None:
    version = Version({"a": "b"}, vault.now, deleted=vault.now + timedelta(hours=1))
    vault.kv["cap-kv2", "soon"] = [version]


def seal(vault: FakeVault) -> None:
    vault.sealed = True


def kubernetes_takes_the_jwt(vault: FakeVault) -> None:
    granted = {"metadata": dict.fromkeys(KUBERNETES_METADATA, "x")}
    vault.logins["k8s", "rotator"] = Login({"jwt": "JWT"}, (), 600, granted=granted)


KUBERNETES_METADATA = (
    "role",
    "service_account_name",
    "service_account_namespace",
    "service_account_secret_name",
    "service_account_uid",
)


def nothing(vault: FakeVault) -> None:
    """Only the captured requests themselves."""


COVERED: dict[str, Callable[[FakeVault], None]] = {
    "kv2 write": nothing,
    "kv2 read": nothing,
    "kv2 read, other JSON types": write({"api_key": "v2", "n": 5, "nested": {"a": [1]}}),
    "kv2 read version 1": nothing,
    "kv2 metadata": nothing,
    "kv2 read version that never existed": nothing,
    "kv2 unknown path": nothing,
    "kv2 unknown metadata": nothing,
    "kv2 delete latest": nothing,
    "kv2 read deleted latest": nothing,
    "kv2 undelete": nothing,
    "kv2 read undeleted": nothing,
    "kv2 destroy": nothing,
    "kv2 read destroyed": nothing,
    "kv2 metadata with a destroyed version": nothing,
    "kv2 delete metadata": nothing,
    "kv2 recreated: version 1 again": write({"api_key": "again"}),
    "kv2 live with a future deletion_time": soon_deleted,
    "kv2 path without data/": nothing,
    "kv1 write": nothing,
    "kv1 read at a v2 path": nothing,
    "kv1 unknown": nothing,
    "unknown mount": nothing,
    "kv2 path with a space and unicode": write({"a": "b"}, path="a b/ü"),
    "no token": nothing,
    "bad token": nothing,
    "allowed": nothing,
    "denied by policy": nothing,
    "denied: path that does not exist": nothing,
    "lookup-self": nothing,
    "lookup-self of a bad token": nothing,
    "lookup-self of root": nothing,
    "limited use token, first": nothing,
    "limited use token, second": nothing,
    "revoked token": nothing,
    "approle login": nothing,
    "approle login, secret_id used up": nothing,
    "approle login, unknown role": nothing,
    "approle login, nothing sent": nothing,
    "kubernetes login, not a JWT": nothing,
    "kubernetes login, unknown role": nothing,
    "login at an unknown mount": nothing,
    "namespace: read elsewhere": nothing,
    "namespace unknown": nothing,
    "kubernetes login (checked by a real API server)": kubernetes_takes_the_jwt,
    "kubernetes login, JWT truncated": nothing,
    "kubernetes login, JWT empty": nothing,
    "kubernetes login, no role": nothing,
    "sealed: read": seal,
    "sealed: login": nothing,
}
"""Case, in the order of the file → what must have happened since the one before."""


def as_captured(vault: FakeVault) -> dict[str | None, str]:
    """The state that the captured requests met; names of tokens there → tokens."""
    vault.mounts = {("", "cap-kv2"): 2, ("", "cap-kv1"): 1}
    vault.namespaces = {"", "team"}
    vault.policies["cap-read"] = ("cap-kv2/data/app",)
    vault.logins["cap-approle", "UUID"] = Login({"secret_id": "UUID"}, ("cap-read",), 600, uses=1)
    vault.logins["cap-k8s", "app"] = Login({"jwt": "a.b.c"}, (), 600)
    reader = ("cap-read", "default")
    return {
        "root": ROOT,
        "bad": "bad",
        "revoked": "revoked",
        "cap-read": vault.token(*reader, ttl=600),
        "num_uses 1": vault.token(*reader, ttl=600, uses=1),
    }


def shape(value: Any) -> Any:
    """Names and types, since ids, times and numbers differ; `errors` as they are."""
    if isinstance(value, dict):
        return {
            key: item if key == "errors" else shape(item)
            for key, item in value.items()
            if key != "request_id"
            and not (key in {"wrap_info", "warnings", "auth"} and item is None)
        }
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


@needs_answers
def test_answers_have_the_captured_status_and_shape() -> None:
    captured = {case["case"]: case for case in json.loads(CAPTURED.read_text())["cases"]}
    assert not COVERED.keys() - captured.keys()
    different = []
    with vault_running() as (vault, url), httpx.Client(base_url=url, trust_env=False) as client:
        tokens = as_captured(vault)
        for name, prepare in COVERED.items():
            prepare(vault)
            request, wanted = captured[name]["request"], captured[name]["answer"]
            headers = dict(request.get("headers", {}))
            if request["token"] is not None:
                headers["X-Vault-Token"] = tokens[request["token"]]
            answer = client.request(
                request["method"], request["path"], headers=headers, json=request.get("body")
            )
            got = (answer.status_code, shape(answer.json() if answer.content else None))
            if got != (wanted["status"], shape(wanted["body"])):
                different.append((name, got, wanted))
    assert not different
