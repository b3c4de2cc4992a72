"""What somebody else does while a connection is updated, as a client sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from rotator.sandbox.connections import credential_digest
from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from tests.support.sandbox import (
    SandboxFactory,
    client_of,
    gateway_path,
    sandbox,
    update_body,
)

__all__ = ["sandbox"]

NAME = "openai-001"
ONE = f"{gateway_path()}/{NAME}"
OURS = {"API_KEY": "ours"}


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=2, types=("OPENAI",), settle=0, update_answer="connection")


def held(cloud: Sandbox) -> Mapping[str, str]:
    return cloud.state.connections().current(NAME).data


async def put(cloud: Sandbox, fault: Fault) -> httpx.Response:
    cloud.state.faults.order(fault)
    async with client_of(cloud) as client:
        return await client.put(ONE, json=update_body(NAME, OURS))


async def seen(cloud: Sandbox) -> dict[str, Any]:
    async with client_of(cloud) as client:
        document: dict[str, Any] = (await client.get(ONE)).json()
    return document


@pytest.mark.parametrize("update_answer", ["empty", "connection"])
async def test_a_foreign_write_follows_ours(cloud: Sandbox, update_answer: str) -> None:
    cloud.state.change(update_answer=update_answer)
    before = await seen(cloud)
    answer = await put(cloud, Fault(FaultKind.FOREIGN_WRITE, value="theirs"))
    assert answer.status_code == 200
    after = await seen(cloud)
    versions = [int(it["metadata"]["resource_version"]) for it in (before, after)]
    assert versions[1] > versions[0] + 1
    if update_answer == "connection":
        assert int(answer.json()["metadata"]["resource_version"]) == versions[1] - 1
    assert held(cloud) == {"API_KEY": "theirs"}
    assert cloud.state.counters.updates.total() == 1


async def test_a_foreign_write_takes_the_place_of_ours(cloud: Sandbox) -> None:
    before = await seen(cloud)
    answer = await put(cloud, Fault(FaultKind.FOREIGN_WRITE_INSTEAD, value="theirs"))
    assert answer.status_code == 502
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "X-Request-Id" in answer.headers
    after = await seen(cloud)
    assert int(after["metadata"]["resource_version"]) > int(before["metadata"]["resource_version"])
    assert held(cloud) == {"API_KEY": "theirs"}
    assert cloud.state.counters.updates.total() == 0


async def test_a_connection_is_deleted_right_after_its_update(cloud: Sandbox) -> None:
    answer = await put(cloud, Fault(FaultKind.DELETED))
    assert (answer.status_code, answer.json()["name"]) == (200, NAME)
    async with client_of(cloud) as client:
        assert (await client.get(ONE)).status_code == 404
        page = (await client.get(gateway_path())).json()
    assert [item["name"] for item in page["data"]] == ["openai-002"]


async def test_a_connection_is_made_again_right_after_its_update(cloud: Sandbox) -> None:
    before = await seen(cloud)
    answer = await put(cloud, Fault(FaultKind.RECREATED, value="theirs"))
    assert answer.json()["metadata"]["uid"] == before["metadata"]["uid"]
    after = await seen(cloud)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"] == before["spec"]
    assert held(cloud) == {"API_KEY": "theirs"}


async def test_what_others_put_is_judged_as_ever(cloud: Sandbox) -> None:
    await put(cloud, Fault(FaultKind.FOREIGN_WRITE, value="invalid"))
    assert (await seen(cloud))["status"]["phase"] == "INVALID_AUTH"


@pytest.mark.parametrize("kind", [FaultKind.FOREIGN_WRITE, FaultKind.DELETED, FaultKind.RECREATED])
async def test_nothing_happens_after_an_update_that_was_refused(
    cloud: Sandbox, kind: FaultKind
) -> None:
    before = await seen(cloud)
    cloud.state.faults.order(Fault(kind))
    async with client_of(cloud) as client:
        answer = await client.put(ONE, json=update_body(NAME, OURS, "0"))
    assert answer.status_code == 409
    assert await seen(cloud) == before


async def test_others_act_on_order_from_any_process(cloud: Sandbox) -> None:
    order = {"kind": "foreign-write", "path": f"*/{NAME}", "value": "theirs"}
    control = "/sandbox/environments/env-sandbox/connections"
    async with client_of(cloud) as client:
        assert (await client.post("/sandbox/faults", json=order)).status_code == 204
        await client.put(f"{gateway_path()}/openai-002", json=update_body("openai-002", OURS))
        await client.put(ONE, json=update_body(NAME, OURS))
        digests = [
            (await client.get(f"{control}/{name}")).json()["credential_sha256"]
            for name in (NAME, "openai-002")
        ]
    assert digests == [credential_digest({"API_KEY": "theirs"}), credential_digest(OURS)]


class TestUnlisted:
    async def names(self, cloud: Sandbox, **query: Any) -> list[str]:
        async with client_of(cloud) as client:
            answer = await client.get(gateway_path(), params=query)
            names = [item["name"] for item in answer.json()["data"]]
            while following := answer.json()["metadata"]["next"]:
                answer = await client.get(following)
                names += [item["name"] for item in answer.json()["data"]]
        return names

    async def test_a_connection_is_on_no_page_so_many_times(self, sandbox: SandboxFactory) -> None:
        cloud = await sandbox(connections=5, types=("OPENAI",))
        everyone = list(cloud.state.connections().names())
        others = [name for name in everyone if name != "openai-004"]
        cloud.state.faults.order(Fault(FaultKind.UNLISTED, path="*/openai-004", times=2))
        assert await self.names(cloud, page_size=2) == others
        assert await self.names(cloud, page_size=4) == others
        assert await self.names(cloud, page_size=2) == everyone
        assert cloud.state.counters.faults == {"unlisted": 2}

    async def test_it_is_there_for_who_asks_for_it(self, cloud: Sandbox) -> None:
        cloud.state.faults.order(Fault(FaultKind.UNLISTED, path=f"*/{NAME}", times=None))
        assert await self.names(cloud) == ["openai-002"]
        assert (await seen(cloud))["name"] == NAME

    async def test_the_last_one_of_a_page_may_be_missing(self, sandbox: SandboxFactory) -> None:
        cloud = await sandbox(connections=4, types=("OPENAI",))
        cloud.state.faults.order(Fault(FaultKind.UNLISTED, path="*/openai-002"))
        names = await self.names(cloud, page_size=2)
        assert names == ["openai-001", "openai-003", "openai-004"]

    async def test_by_chance_it_is_a_share_of_the_items(self, sandbox: SandboxFactory) -> None:
        faults = {FaultKind.UNLISTED: 0.1}
        cloud = await sandbox(connections=1000, types=("OPENAI",), faults=faults, seed=3)
        assert 850 < len(await self.names(cloud, page_size=100)) < 950
