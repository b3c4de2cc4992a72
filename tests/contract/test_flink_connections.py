"""What the client sends and reads against our own schema, and that against the published one.

The schema is data/flink-connections.schema.json.
"""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import yaml

from rotator.clock import SystemClock
from rotator.confluent.authorization import Authorization, basic
from rotator.confluent.client import FlinkTarget
from rotator.confluent.documents import Malformed, complaint, page, version_in_answer
from rotator.confluent.settings import TargetSettings
from rotator.errors import TargetError
from rotator.model.connection import Condition, Connection
from rotator.model.credential import Credential
from rotator.sandbox.answers import Answer
from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from rotator.sandbox.settings import API_KEY, API_SECRET, ENVIRONMENT, ORGANIZATION
from rotator.sandbox.state import Received
from tests.support.contract import (
    DOCUMENT,
    SentRequest,
    needs_published_document,
    published_breaches_of_request,
)
from tests.support.flink_schema import (
    Exchange,
    breaches,
    breaches_of_answer,
    breaches_of_request,
    definition,
    leaves,
)
from tests.support.published_schema import Published, required
from tests.support.sandbox import SandboxFactory, sandbox

__all__ = ["sandbox"]

CREDENTIAL = Credential({"API_KEY": "sk-1", "AUTH_TYPE": "API_KEY"}, "fingerprint", "version")
BASE = "https://flink.us-east-1.aws.confluent.cloud"


@dataclass(slots=True)
class Recorded:
    """Every exchange of a client with the sandbox that got past rate limit and faults."""

    cloud: Sandbox
    exchanges: list[Exchange] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cloud.state.answer_recorder = self._record

    def _record(self, request: Received, answer: Answer) -> None:
        self.requests.append(request)
        self.exchanges.append(
            Exchange(request.method, request.url, request.body, answer.status, answer.body)
        )

    @asynccontextmanager
    async def client(self, secret: str = API_SECRET, **settings: Any) -> AsyncIterator[FlinkTarget]:
        async def key() -> Authorization:
            return basic(API_KEY, secret)

        made = FlinkTarget(
            "prod",
            TargetSettings(
                self.cloud.url,
                ORGANIZATION,
                ENVIRONMENT,
                **{"requests_per_second": 5000, **settings},
            ),
            key,
            lambda _: None,
            SystemClock(),
        )
        try:
            yield made
        finally:
            await made.aclose()

    def seen(self) -> set[tuple[str, int]]:
        return {(exchange.method, exchange.status) for exchange in self.exchanges}


async def read_and_update(target: FlinkTarget, *, versioned: bool) -> None:
    first, second = (await target.connections("OPENAI"))[:2]
    everything = await target.connections()
    await target.look([first.name, everything[-1].name])
    await target.find([first.name, "no-such-connection"])
    await target.update(first, CREDENTIAL)
    with pytest.raises(TargetError):
        await target.update(replace(second, name="no-such-connection"), CREDENTIAL)
    if versioned:
        with pytest.raises(TargetError):
            await target.update(first, CREDENTIAL)


UPDATES = {"put": ("PUT", "check"), "patch": ("PATCH", "check"), "unversioned": ("PATCH", "refuse")}


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("update_answer", ["empty", "connection"])
async def test_all_that_is_sent_and_read_keeps_to_the_schema(
    sandbox: SandboxFactory, update: str, update_answer: str
) -> None:
    method, patch_version = UPDATES[update]
    cloud = await sandbox(connections=250, update_answer=update_answer, patch_version=patch_version)
    recorded = Recorded(cloud)
    async with recorded.client(update=method.lower()) as target:
        await read_and_update(target, versioned=patch_version == "check")
        cloud.state.change(roles={API_KEY: "viewer"})
        with pytest.raises(TargetError):
            await target.update((await target.connections())[1], CREDENTIAL)
    async with recorded.client(secret="wrong") as stranger:
        with pytest.raises(TargetError):
            await stranger.connections()
    expected = {("GET", 200), ("GET", 404), ("GET", 401), (method, 200), (method, 403)}
    expected |= {(method, 404), (method, 409)} if update != "unversioned" else {(method, 400)}
    assert recorded.seen() >= expected
    for exchange in recorded.exchanges:
        assert breaches_of_request(exchange) == [], exchange
        assert breaches_of_answer(exchange) == [], exchange


async def test_an_answer_of_405_leads_from_put_to_patch_within_the_schema(
    sandbox: SandboxFactory,
) -> None:
    recorded = Recorded(await sandbox(connections=1, types=("OPENAI",)))
    recorded.cloud.state.faults.order(Fault(FaultKind.METHOD_NOT_ALLOWED, "PUT"))
    async with recorded.client() as target:
        await target.update((await target.connections())[0], CREDENTIAL)
    assert recorded.seen() == {("GET", 200), ("PATCH", 200)}
    assert [breaches_of_request(exchange) for exchange in recorded.exchanges] == [[], []]


@pytest.mark.parametrize(("method", "name"), [("PUT", "put_body"), ("PATCH", "patch_body")])
async def test_every_field_of_an_update_is_sent(
    sandbox: SandboxFactory, method: str, name: str
) -> None:
    recorded = Recorded(await sandbox(connections=1, types=("OPENAI",)))
    async with recorded.client(update=method.lower()) as target:
        await target.update((await target.connections())[0], CREDENTIAL)
    (sent,) = [exchange for exchange in recorded.exchanges if exchange.method == method]
    assert set(places(json.loads(sent.body))) == set(leaves(definition(name)))


async def test_every_parameter_of_a_query_is_sent(sandbox: SandboxFactory) -> None:
    recorded = Recorded(await sandbox(connections=101, types=("OPENAI",)))
    async with recorded.client() as target:
        await target.connections("OPENAI")
    urls = " ".join(exchange.url for exchange in recorded.exchanges)
    for (parameter,) in leaves(definition("list_query")):
        assert f"{parameter}=" in urls


WHOLE: Mapping[str, Any] = {
    "metadata": {"next": f"{BASE}/sql/v1/next?page_token=x"},
    "data": [
        {
            "name": "openai-001",
            "metadata": {
                "uid": "u-1",
                "resource_version": "7",
                "created_at": "2026-01-02T03:04:05Z",
                "updated_at": "2026-01-03T03:04:05Z",
            },
            "spec": {"connection_type": "OPENAI", "endpoint": "https://api.openai.com/v1"},
            "status": {"phase": "READY", "detail": "Lookup failed: later"},
        }
    ],
}


def read(body: Mapping[str, Any]) -> object:
    """None where it is no page of the API."""
    try:
        return page("prod", BASE, json.dumps(body).encode())
    except Malformed:
        return None


def test_the_schema_of_a_page_has_all_that_is_read_and_nothing_else() -> None:
    assert breaches("list_page", WHOLE) == []
    assert set(places(WHOLE)) == set(leaves(definition("list_page")))
    (connection,) = page("prod", BASE, json.dumps(WHOLE).encode()).connections
    assert None not in {getattr(connection, name) for name in connection.__dataclass_fields__}
    for place in leaves(definition("list_page")):
        assert read(without(WHOLE, place)) != read(WHOLE), place
    more = copy.deepcopy(dict(WHOLE))
    more["data"][0] |= {"api_version": "sql/v1", "kind": "Connection"}
    more["data"][0]["spec"]["auth_data"] = {"kind": "PlaintextProvider", "data": "<REDACTED>"}
    assert read(more) == read(WHOLE)


def test_the_schema_of_the_other_answers_has_all_that_is_read() -> None:
    failure = {"errors": [{"title": "Bad Request", "detail": "no such thing"}]}
    assert set(places(failure)) == set(leaves(definition("failure")))
    assert complaint(json.dumps(failure).encode()) == "Bad Request: no such thing"
    answered = {"name": "openai-001", "metadata": {"resource_version": "8"}}
    assert set(places(answered)) == set(leaves(definition("updated_connection")))
    updated = Connection("prod", "openai-001", "", "", "", Condition.USABLE)
    assert version_in_answer(updated, json.dumps(answered).encode()) == "8"


def test_a_breach_repeats_no_value() -> None:
    body = {"name": "a", "spec": {"auth_data": {"kind": "canary-1", "data": "canary-2"}}}
    found = breaches("put_body", body)
    assert len(found) == 2
    assert "canary" not in "".join(found)


@pytest.fixture(scope="module")
def published() -> Published:
    return Published(yaml.safe_load(DOCUMENT.read_text(encoding="utf-8")))


@needs_published_document
class TestPublished:
    """Our schema against the published OpenAPI document."""

    COLLECTION = "/sql/v1/organizations/{organization_id}/environments/{environment_id}/connections"

    def test_every_parameter_is_published(self, published: Published) -> None:
        operation = published.document["paths"][self.COLLECTION]["get"]
        known = {each["name"]: each["schema"] for each in operation["parameters"]}
        for name, ours in definition("list_query")["properties"].items():
            assert known[name]["type"] == ours["type"], name
            for limit in ("maximum", "maxLength"):
                if limit in known[name]:
                    assert ours[limit] <= known[name][limit], name

    @pytest.mark.parametrize("name", ["put_body", "patch_body"])
    def test_every_field_that_is_sent_is_published(self, published: Published, name: str) -> None:
        theirs = published.body_of_put(f"{self.COLLECTION}/{{connection_name}}")
        assert published.lacks(definition(name), theirs) == []

    def test_every_required_field_is_sent(self, published: Published) -> None:
        theirs = published.body_of_put(f"{self.COLLECTION}/{{connection_name}}")
        assert set(published.required(theirs)) <= set(required(definition("put_body")))

    @pytest.mark.parametrize(
        ("name", "schema"),
        [
            ("list_page", "sql.v1.ConnectionList"),
            ("connection", "sql.v1.Connection"),
            ("updated_connection", "sql.v1.Connection"),
            ("failure", "Failure"),
        ],
    )
    def test_every_field_that_is_read_is_published(
        self, published: Published, name: str, schema: str
    ) -> None:
        theirs = {"$ref": f"#/components/schemas/{schema}"}
        assert published.lacks(definition(name), theirs) == []

    def test_a_page_needs_no_field_that_is_not_promised(self, published: Published) -> None:
        theirs = {"$ref": "#/components/schemas/sql.v1.ConnectionList"}
        assert set(required(definition("list_page"))) <= set(
            published.required(theirs, of_answers=True)
        )

    def test_a_field_that_is_not_published_would_be_found(self, published: Published) -> None:
        theirs = {"$ref": "#/components/schemas/sql.v1.ConnectionStatus"}
        ours = {"properties": {"phase": {"type": "integer"}, "reason": {"type": "string"}}}
        assert published.lacks(ours, theirs) == ["phase: string there", "reason: not there"]

    async def test_a_put_and_its_list_keep_to_it(self, sandbox: SandboxFactory) -> None:
        recorded = Recorded(await sandbox(connections=2, types=("OPENAI",), strict=True))
        async with recorded.client() as target:
            connection = (await target.connections("OPENAI"))[0]
            await target.find([connection.name])
            await target.update(connection, CREDENTIAL)
        sent = [SentRequest(r.method, r.url, r.headers, r.body) for r in recorded.requests]
        assert [request.method for request in sent] == ["get", "get", "put"]
        assert [published_breaches_of_request(request) for request in sent] == [[], [], []]


def places(instance: object, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The places of all values of a document that are neither objects nor lists."""
    if isinstance(instance, dict):
        for name, value in instance.items():
            yield from places(value, (*place, name))
    elif isinstance(instance, list):
        for value in instance:
            yield from places(value, (*place, "*"))
    else:
        yield place


def without(instance: Mapping[str, Any], place: tuple[str, ...]) -> Mapping[str, Any]:
    changed = copy.deepcopy(dict(instance))
    holder: Any = changed
    for part in place[:-1]:
        holder = holder[0] if part == "*" else holder[part]
    del holder[place[-1]]
    return changed
