"""The fake API server answers as a real one did, case by case and in their order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from tests.support.kubernetes import EVERYTHING, FakeKubernetes, kubernetes_running, rotator_role

CAPTURED = Path(__file__).parent / "data" / "kubernetes-lease-answers.json"

BODIES = {"no JSON": b"{nope", "merge patch": b'{"spec": {"holderIdentity": "c"}}'}
"""The bodies of requests whose bodies were not captured."""
CREDENTIAL = {
    "admin": "Bearer token-of-admin",
    "service account": "Bearer token-of-account",
    "bad token": "Bearer nonsense",
}
ACCOUNT = "system:serviceaccount:default:rotator-cap"


def granted(case: str, server: FakeKubernetes) -> None:
    """When the capture gave the service account its Role."""
    if case == "service account without a role":
        server.account(ACCOUNT, (), "token-of-account")
    elif case == "service account with get, update on this name":
        server.account(ACCOUNT, rotator_role("rotator-x"), "token-of-account")


def comparable(document: Any, uids: set[str]) -> Any:
    """Without what differs each time."""
    if isinstance(document, dict):
        left_out = {"creationTimestamp", "resourceVersion"}
        return {k: comparable(v, uids) for k, v in document.items() if k not in left_out}
    if isinstance(document, list):
        return [comparable(item, uids) for item in document]
    if isinstance(document, str):
        for uid in uids:
            document = document.replace(uid, "UUID")
    return document


def test_it_answers_as_a_real_one() -> None:
    cases = json.loads(CAPTURED.read_text())["cases"]
    versions: dict[str, str] = {}
    uids = {
        "11111111-1111-1111-1111-111111111111",
        "91c1e23b-3c44-4dda-90a0-f3cc435d0f1f",
    }
    with kubernetes_running() as server:
        server.account("admin", EVERYTHING)
        for case in cases:
            wanted, asked = case["answer"], case["request"]
            granted(case["case"], server)
            body = json.dumps(asked["body"]).encode() if "body" in asked else None
            for captured, ours in versions.items():
                if body is not None:
                    body = body.replace(f'"{captured}"'.encode(), f'"{ours}"'.encode())
            headers = {"Content-Type": "application/json"}
            if asked["who"] in CREDENTIAL:
                headers["Authorization"] = CREDENTIAL[asked["who"]]
            answer = httpx.request(
                asked["method"],
                server.url + asked["path"],
                headers=headers,
                content=BODIES.get(case["case"], body),
                trust_env=False,
            )
            got = answer.json()
            if uid := got.get("metadata", {}).get("uid"):
                uids.add(uid)
                versions[wanted["body"]["metadata"]["resourceVersion"]] = got["metadata"][
                    "resourceVersion"
                ]
            told = (answer.status_code, comparable(got, uids))
            assert told == (wanted["status"], comparable(wanted["body"], uids)), case["case"]
            for name, value in wanted["headers"].items():
                assert answer.headers[name] == value, case["case"]
    assert len(cases) == 34
