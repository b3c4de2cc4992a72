"""The sandbox keeps to the API: what it answers, and what it demands.

The API is our own schema of it, and the published OpenAPI document where that is present.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import yaml

from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.settings import API_KEY, API_SECRET
from rotator.sandbox.vendors import VENDORS
from tests.support.contract import (
    DOCUMENT,
    breaches_of_answer,
    breaches_of_request,
    needs_published_document,
)
from tests.support.sandbox import (
    SandboxFactory,
    auth_data,
    client_of,
    gateway_path,
    sandbox,
    update_body,
)

__all__ = ["sandbox"]

GOOD = {"API_KEY": "good"}
NEW = {
    "name": "mine",
    "spec": {
        "connection_type": "OPENAI",
        "endpoint": "https://api.openai.com/v1",
        "auth_data": auth_data(GOOD),
    },
}
STATEMENT = {"name": "stmt", "spec": {"statement": "SELECT 'openai-001'"}}
STOP = [{"op": "REPLACE", "path": "/spec/stopped", "value": True}]
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


def both_keep_to_it(answer: httpx.Response) -> httpx.Response:
    assert breaches_of_request(answer) == []
    assert breaches_of_answer(answer) == []
    return answer


async def test_every_answer_to_every_good_request(sandbox: SandboxFactory) -> None:
    """Strict, so that what is demanded is in the contract as well."""
    connections, statements = gateway_path(), gateway_path("statements")
    async with client_of(await sandbox(connections=25, strict=True, settle=0)) as client:

        async def expect(status: int, method: str, path: str, **rest: Any) -> httpx.Response:
            answer = both_keep_to_it(await client.request(method, path, **rest))
            assert answer.status_code == status
            return answer

        page = await expect(200, "GET", connections, params={"page_size": 20})
        await expect(200, "GET", page.json()["metadata"]["next"])
        await expect(200, "GET", connections, params={"spec.connection_type": "OPENAI"})
        await expect(201, "POST", connections, json=NEW)
        mine = await expect(200, "GET", connections + "/mine")
        version = mine.json()["metadata"]["resource_version"]
        await expect(200, "PUT", connections + "/mine", json=update_body("mine", GOOD, version))
        await expect(200, "DELETE", connections + "/mine")
        await expect(404, "GET", connections + "/mine")
        await expect(409, "POST", connections, json={**NEW, "name": "openai-001"})

        created = await expect(201, "POST", statements, json=STATEMENT)
        await expect(200, "GET", statements)
        await expect(200, "GET", statements + "/stmt")
        assert created.json()["status"]["traits"]["connection_refs"] == ["openai-001"]
        stopped = await client.patch(statements + "/stmt", json=STOP, headers=JSON_PATCH)
        version = both_keep_to_it(stopped).json()["metadata"]["resource_version"]
        body = {"name": "stmt", "metadata": {"resource_version": version}}
        await expect(202, "PUT", statements + "/stmt", json={**body, "spec": {"stopped": False}})
        # In the words of the operation, if not among its answers.
        stale = await client.put(statements + "/stmt", json={**body, "spec": {"stopped": False}})
        assert stale.status_code == 409
        await expect(202, "DELETE", statements + "/stmt")


async def test_every_phase_and_every_kind_of_version(sandbox: SandboxFactory) -> None:
    running_sandbox = await sandbox(
        connections=19,
        versions="opaque",
        settle=0,
        unreachable=("https://api.openai.com/*",),
        update_answer="connection",
    )
    async with client_of(running_sandbox) as client:
        for name, data in (("anthropic-001", {"API_KEY": "invalid"}), ("openai-001", GOOD)):
            await client.put(f"{gateway_path()}/{name}", json=update_body(name, data))
        page = both_keep_to_it(await client.get(gateway_path(), params={"page_size": 100}))
    phases = {item["status"]["phase"] for item in page.json()["data"]}
    assert phases == {"READY", "INVALID_AUTH", "UNREACHABLE"}


@pytest.mark.parametrize(
    "kind",
    [FaultKind.ERROR_500, FaultKind.UNAUTHORIZED, FaultKind.THROTTLED, FaultKind.ERROR_AFTER],
)
async def test_documented_failures(sandbox: SandboxFactory, kind: FaultKind) -> None:
    running_sandbox = await sandbox()
    running_sandbox.state.faults.order(Fault(kind))
    async with client_of(running_sandbox) as client:
        assert both_keep_to_it(await client.get(gateway_path())).status_code >= 400


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"spec": {"auth_data": auth_data(GOOD)}}, "no name and no metadata"),
        (update_body("openai-001", GOOD), "no metadata"),
        ({**update_body("openai-001", GOOD, "1"), "spec": {}}, "no auth_data"),
    ],
)
async def test_what_the_contract_refuses_the_strict_sandbox_refuses(
    sandbox: SandboxFactory, body: dict[str, object], what: str
) -> None:
    async with client_of(await sandbox(connections=1, types=("OPENAI",), strict=True)) as client:
        answer = await client.put(gateway_path() + "/openai-001", json=body)
    assert breaches_of_request(answer), what
    assert answer.status_code == 400
    assert breaches_of_answer(answer) == []


@pytest.mark.parametrize(
    "query", [{"page_size": "101"}, {"page_size": "x"}, {"page_token": "x" * 256}]
)
async def test_the_contract_and_the_sandbox_refuse_bad_queries(
    sandbox: SandboxFactory, query: dict[str, str]
) -> None:
    async with client_of(await sandbox()) as client:
        answer = await client.get(gateway_path(), params=query)
    assert breaches_of_request(answer)
    assert answer.status_code == 400
    assert breaches_of_answer(answer) == []


async def test_access_is_refused_as_documented(sandbox: SandboxFactory) -> None:
    running_sandbox = await sandbox(roles={API_KEY: "none"})
    async with client_of(running_sandbox) as client:
        forbidden = await client.get(gateway_path())
        unknown = await client.get(gateway_path(), auth=(API_KEY, API_SECRET + "x"))
    assert (forbidden.status_code, unknown.status_code) == (403, 401)
    assert breaches_of_answer(forbidden) == breaches_of_answer(unknown) == []


@needs_published_document
def test_all_types_are_known() -> None:
    document = yaml.safe_load(DOCUMENT.read_text())
    spec = document["components"]["schemas"]["sql.v1.ConnectionSpec"]["properties"]
    assert set(VENDORS) == set(spec["connection_type"]["x-extensible-enum"])
