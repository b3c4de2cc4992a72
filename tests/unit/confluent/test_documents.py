"""What the API says and how it is asked, apart from the asking."""

from __future__ import annotations

import json

import pytest

from rotator.confluent.documents import (
    Foreign,
    Malformed,
    collection_path,
    complaint,
    connection,
    page,
    update_document,
)
from rotator.model.connection import Condition, Connection
from rotator.model.credential import Credential

BASE = "https://flink.us-east-1.aws.confluent.cloud"
CANARY = "-----BEGIN KEY-----\ncanary-" + "0123456789" * 40 + "\n-----END KEY-----"
CREDENTIAL = Credential({"SERVICE_KEY": CANARY}, "f", "v")


def error(detail: str) -> bytes:
    return json.dumps({"errors": [{"title": "Bad Request", "detail": detail}]}).encode()


@pytest.mark.parametrize("before", [0, 150, 250, 280, 299])
def test_an_echoed_credential_leaves_nothing_behind(before: int) -> None:
    said = complaint(error("x" * before + CANARY), CREDENTIAL)
    assert "canary" not in said
    assert "0123456789" not in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (error("no such thing"), "Bad Request: no such thing"),
        (b'{"error": {"code": 400, "message": "odd"}}', "odd"),
        (b'{"message": "plain"}', "plain"),
        (b'{"errors": []}', ""),
        (b'{"errors": ["text"]}', ""),
        (b"<html>", ""),
        (b"", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_complaints_of_every_shape(body: bytes, said: str) -> None:
    assert complaint(body) == said


@pytest.mark.parametrize(
    "following",
    [
        "http://flink.us-east-1.aws.confluent.cloud/next",
        "https://elsewhere.example/next",
        "https://flink.us-east-1.aws.confluent.cloud:8443/next",
        "//elsewhere.example/next",
        "relative",
    ],
)
def test_next_never_leaves_the_origin(following: str) -> None:
    body = json.dumps({"data": [], "metadata": {"next": following}}).encode()
    with pytest.raises(Foreign):
        page("prod", BASE, body)


@pytest.mark.parametrize("following", [None, "", f"{BASE}:443/a?page_token=x", "/a?page_token=x"])
def test_next_on_the_own_origin_is_a_path(following: str | None) -> None:
    body = json.dumps({"data": [], "metadata": {"next": following}}).encode()
    assert page("prod", BASE, body).next == ("/a?page_token=x" if following else None)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"data": null}', b'{"data": [{}]}', b'{"data": [7]}', b"<p>"]
)
def test_what_is_no_page_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        page("prod", BASE, body)


def test_a_connection_with_nothing_but_a_name_is_one() -> None:
    bare = connection("prod", {"name": "a", "metadata": None, "spec": [], "status": "odd"})
    assert bare == Connection("prod", "a", "", "", "UNKNOWN", Condition.UNSETTLED)


def test_an_update_is_compact_and_has_the_version() -> None:
    listed = Connection(
        "prod", "a", "OPENAI", "https://x", "READY", Condition.USABLE, resource_version="7"
    )
    document = json.loads(update_document(listed, Credential({"API_KEY": 'a"b'}, "f", "v")))
    assert document["metadata"] == {"resource_version": "7"}
    assert document["spec"]["auth_data"]["data"] == '{"API_KEY":"a\\"b"}'


def test_paths_are_quoted() -> None:
    assert collection_path("o/../x", "e?") == (
        "/sql/v1/organizations/o%2F..%2Fx/environments/e%3F/connections"
    )
