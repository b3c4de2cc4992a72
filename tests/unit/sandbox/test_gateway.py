"""sql/v1 over real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox, running
from rotator.sandbox.settings import API_KEY, API_SECRET, TOKEN, RateLimit
from rotator.sandbox.state import Received
from rotator.sandbox.statements import StatementSpec
from tests.support.sandbox import (
    ManualClock,
    SandboxFactory,
    auth_data,
    client_of,
    gateway_path,
    sandbox,
    update_body,
)

__all__ = ["sandbox"]

ONE = gateway_path() + "/openai-001"
GOOD = {"API_KEY": "new"}


async def listed(client: httpx.AsyncClient, **query: Any) -> list[str]:
    """The names on all pages, following `next` to the letter."""
    names: list[str] = []
    answer = await client.get(gateway_path(), params=query)
    while True:
        page = answer.raise_for_status().json()
        names += [item["name"] for item in page["data"]]
        if not page["metadata"]["next"]:
            return names
        answer = await client.get(page["metadata"]["next"])


def one_openai(**settings: Any) -> dict[str, Any]:
    return {"connections": 1, "types": ("OPENAI",), "settle": 0, **settings}


class TestReading:
    async def test_pages_lead_through_all_connections(self, sandbox: SandboxFactory) -> None:
        running_sandbox = await sandbox(connections=45)
        async with client_of(running_sandbox) as client:
            names = await listed(client)
            assert names == await listed(client, page_size=100)
            assert names == list(running_sandbox.state.connections().names())
            only = await listed(client, **{"spec.connection_type": "OPENAI", "page_size": 2})
            assert only == ["openai-001", "openai-002", "openai-003"]

    async def test_next_is_on_the_host_that_was_asked(self, sandbox: SandboxFactory) -> None:
        running_sandbox = await sandbox(connections=2)
        async with client_of(running_sandbox, headers={"Host": 'a"b.example:99'}) as client:
            page = (await client.get(gateway_path(), params={"page_size": 1})).json()
        assert page["metadata"]["next"].startswith('http://a"b.example:99/sql/v1/organizations/')
        assert page["data"][0]["metadata"]["self"].startswith('http://a"b.example:99/sql/v1/')

    async def test_one_connection_by_its_quoted_name(self, sandbox: SandboxFactory) -> None:
        async with client_of(await sandbox(**one_openai())) as client:
            answer = await client.get(gateway_path() + "/openai%2D001")
            assert answer.json()["name"] == "openai-001"
            missing = await client.get(gateway_path() + "/openai-001%2Fx")
        assert missing.status_code == 404
        assert "openai-001/x" in missing.json()["errors"][0]["detail"]


class TestUpdating:
    async def test_put_answers_nothing_and_the_list_shows_the_new_version(
        self, sandbox: SandboxFactory
    ) -> None:
        running_sandbox = await sandbox(**one_openai())
        async with client_of(running_sandbox) as client:
            before = (await client.get(ONE)).json()["metadata"]
            body = update_body("openai-001", GOOD, before["resource_version"])
            answer = await client.put(ONE, json=body)
            after = (await client.get(ONE)).json()["metadata"]
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(after["resource_version"]) > int(before["resource_version"])
        assert after["uid"] == before["uid"]
        assert after["updated_at"] > before["updated_at"]
        assert running_sandbox.state.connections().current("openai-001").data == GOOD
        assert running_sandbox.state.counters.updates == {"env-sandbox/openai-001": 1}

    async def test_put_may_answer_with_the_connection(self, sandbox: SandboxFactory) -> None:
        async with client_of(await sandbox(**one_openai(update_answer="connection"))) as client:
            answer = await client.put(ONE, json=update_body("openai-001", GOOD))
            assert answer.json() == (await client.get(ONE)).json()
            assert answer.json()["spec"]["auth_data"]["data"] == "<REDACTED>"

    async def test_a_stale_version_is_refused(self, sandbox: SandboxFactory) -> None:
        running_sandbox = await sandbox(**one_openai())
        async with client_of(running_sandbox) as client:
            answer = await client.put(ONE, json=update_body("openai-001", GOOD, "0"))
        assert answer.status_code == 409
        assert running_sandbox.state.counters.updates == {}

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"name": "other"}, "/name"),
            ({"name": None}, "/name"),
            ({"name": 7}, "/name"),
            ({"spec": None}, "/spec/auth_data/data"),
            ({"spec": []}, "/spec/connection_type"),
            ({"spec": {"auth_data": {"kind": "Vault", "data": "{}"}}}, "/spec/auth_data/kind"),
            ({"spec": {"auth_data": {"data": {"API_KEY": "x"}}}}, "/spec/auth_data/data"),
            ({"spec": {"auth_data": {"data": "<REDACTED>"}}}, "/spec/auth_data/data"),
            ({"spec": {"endpoint": "https://else.example"}}, "/spec/endpoint"),
            ({"spec": {"connection_type": "BEDROCK"}}, "/spec/connection_type"),
            ({"metadata": {"resource_version": 3}}, "/metadata/resource_version"),
        ],
    )
    async def test_only_the_credential_can_change(
        self, sandbox: SandboxFactory, change: dict[str, Any], pointer: str
    ) -> None:
        running_sandbox = await sandbox(**one_openai())
        before = running_sandbox.state.connections().current("openai-001")
        async with client_of(running_sandbox) as client:
            answer = await client.put(ONE, json={**update_body("openai-001", GOOD), **change})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["source"] == {"pointer": pointer}
        assert running_sandbox.state.connections().current("openai-001") == before

    async def test_what_official_clients_send_is_taken(self, sandbox: SandboxFactory) -> None:
        """The full spec, and no metadata."""
        running_sandbox = await sandbox(**one_openai())
        async with client_of(running_sandbox) as client:
            spec = (await client.get(ONE)).json()["spec"]
            body = {"name": "openai-001", "spec": {**spec, "auth_data": auth_data(GOOD)}}
            assert (await client.put(ONE, json=body)).status_code == 200
        assert running_sandbox.state.connections().current("openai-001").data == GOOD

    async def test_patch_changes_the_credential_alone(self, sandbox: SandboxFactory) -> None:
        running_sandbox = await sandbox(**one_openai())
        async with client_of(running_sandbox) as client:
            answer = await client.patch(
                ONE,
                content=json.dumps({"spec": {"auth_data": auth_data(GOOD)}}),
                headers={"Content-Type": "application/merge-patch+json; charset=utf-8"},
            )
            refused = await client.patch(ONE, json={"spec": {"endpoint": "https://x.example"}})
        assert (answer.status_code, refused.status_code) == (200, 400)
        assert running_sandbox.state.connections().current("openai-001").data == GOOD

    @pytest.mark.parametrize(
        ("patch_version", "current", "stale"),
        [("check", 200, 409), ("ignore", 200, 200), ("refuse", 400, 400)],
    )
    async def test_the_version_of_a_patch_is_checked_ignored_or_refused(
        self, sandbox: SandboxFactory, patch_version: str, current: int, stale: int
    ) -> None:
        running_sandbox = await sandbox(**one_openai(patch_version=patch_version))
        version = running_sandbox.state.connections().current("openai-001").version
        body = {"spec": {"auth_data": auth_data(GOOD)}}
        async with client_of(running_sandbox) as client:
            statuses = [
                (await client.patch(ONE, json={**body, **metadata})).status_code
                for metadata in (
                    {"metadata": {"resource_version": version}},
                    {"metadata": {"resource_version": "0"}},
                    {},
                )
            ]
        assert statuses == [current, stale, 200]

    async def test_strict_is_the_contract_to_the_letter(self, sandbox: SandboxFactory) -> None:
        running_sandbox = await sandbox(**one_openai(strict=True))
        version = running_sandbox.state.connections().current("openai-001").version
        async with client_of(running_sandbox) as client:
            without = await client.put(ONE, json=update_body("openai-001", GOOD))
            patched = await client.patch(ONE, json={"spec": {"auth_data": auth_data(GOOD)}})
            elsewhere = await client.get("/sql/v1/organizations/o/environments/e/connections")
            with_it = await client.put(ONE, json=update_body("openai-001", GOOD, version))
        assert without.status_code == 400
        assert "metadata.resource_version is required" in without.text
        assert (patched.status_code, patched.headers["Allow"]) == (405, "GET, PUT, DELETE")
        assert elsewhere.status_code == 400
        assert with_it.status_code == 200

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
    async def test_a_body_that_is_no_object_is_refused(
        self, sandbox: SandboxFactory, body: bytes
    ) -> None:
        async with client_of(await sandbox(**one_openai())) as client:
            answer = await client.put(
                ONE, content=body, headers={"Content-Type": "application/json"}
            )
            form = await client.put(ONE, data={"name": "openai-001"})
        assert answer.status_code == 400
        assert form.status_code == 415

    async def test_a_body_without_measure_is_refused(self, sandbox: SandboxFactory) -> None:
        async with client_of(await sandbox(**one_openai())) as client:
            answer = await client.put(
                ONE, content=b" " * (2 << 20), headers={"Content-Type": "application/json"}
            )
        assert answer.status_code == 413


class TestLifeOfAConnection:
    async def test_create_read_delete(self, sandbox: SandboxFactory) -> None:
        body = {
            "name": "mine",
            "spec": {
                "connection_type": "OPENAI",
                "endpoint": "https://api.openai.com/v1",
                "auth_data": auth_data(GOOD),
            },
        }
        async with client_of(await sandbox(settle=0)) as client:
            created = await client.post(gateway_path(), json=body)
            assert created.status_code == 201
            assert created.json()["spec"]["auth_data"]["data"] == "<REDACTED>"
            read = await client.get(created.headers["Location"])
            assert read.json() == created.json()
            again = await client.post(gateway_path(), json=body)
            assert again.status_code == 409
            deleted = await client.delete(gateway_path() + "/mine")
            assert (deleted.status_code, deleted.content) == (200, b"")
            assert (await client.get(gateway_path() + "/mine")).status_code == 404
            assert (await client.delete(gateway_path() + "/mine")).status_code == 404

    @pytest.mark.parametrize(
        ("spec", "pointer"),
        [
            ({"connection_type": ""}, "/spec/connection_type"),
            ({"endpoint": ""}, "/spec/endpoint"),
            ({"endpoint": "https://x.example/\u0000"}, "/spec/endpoint"),
            ({"endpoint": "x" * 16385}, "/spec/endpoint"),
            ({"auth_data": None}, "/spec/auth_data/data"),
        ],
    )
    async def test_refuses_half_a_connection(
        self, sandbox: SandboxFactory, spec: dict[str, Any], pointer: str
    ) -> None:
        whole = {"connection_type": "REST", "endpoint": "https://x", "auth_data": auth_data(GOOD)}
        async with client_of(await sandbox()) as client:
            body = {"name": "mine", "spec": {**whole, **spec}}
            answer = await client.post(gateway_path(), json=body)
            assert (await client.get(gateway_path())).json()["data"] == []
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["source"] == {"pointer": pointer}


class TestStatements:
    async def test_pages_references_and_stopping(self, sandbox: SandboxFactory) -> None:
        running_sandbox = await sandbox(**one_openai())
        for number in range(12):
            running_sandbox.state.statements().create(
                StatementSpec(f"s-{number:02d}", "SELECT 1", ("openai-001",))
            )
        path = gateway_path("statements")
        async with client_of(running_sandbox) as client:
            first = (await client.get(path)).json()
            second = (await client.get(first["metadata"]["next"])).json()
            assert [len(first["data"]), len(second["data"])] == [10, 2]
            assert second["data"][0]["status"]["traits"]["connection_refs"] == ["openai-001"]
            stopped = await client.patch(
                path + "/s-00",
                content=json.dumps([{"op": "REPLACE", "path": "/spec/stopped", "value": True}]),
                headers={"Content-Type": "application/json-patch+json"},
            )
            assert stopped.json()["status"]["phase"] == "STOPPED"
            body = {
                "name": "s-00",
                "metadata": {"resource_version": stopped.json()["metadata"]["resource_version"]},
                "spec": {"stopped": False},
            }
            assert (await client.put(path + "/s-00", json=body)).status_code == 202
            assert (await client.get(path + "/s-00")).json()["status"]["phase"] == "RUNNING"
            assert (await client.put(path + "/s-00", json=body)).status_code == 409
            assert (await client.delete(path + "/s-00")).status_code == 202
            assert (await client.get(path + "/s-00")).status_code == 404

    async def test_a_new_one_refers_to_the_connections_that_it_names(
        self, sandbox: SandboxFactory
    ) -> None:
        sql = "CREATE MODEL m WITH ('openai.connection' = 'openai-001')"
        async with client_of(await sandbox(**one_openai())) as client:
            body = {"name": "model", "spec": {"statement": sql}}
            created = await client.post(gateway_path("statements"), json=body)
        assert created.status_code == 201
        assert created.json()["status"]["traits"]["connection_refs"] == ["openai-001"]

    @pytest.mark.parametrize(
        "operations",
        [
            {},
            [],
            [7],
            [{"op": "remove", "path": "/spec/stopped"}],
            [{"op": "replace", "path": "/spec/statement", "value": "x"}],
            [{"op": "replace", "path": "/spec/stopped", "value": "yes"}],
        ],
    )
    async def test_other_patches_are_refused(
        self, sandbox: SandboxFactory, operations: object
    ) -> None:
        running_sandbox = await sandbox()
        running_sandbox.state.statements().create(StatementSpec("s", "SELECT 1"))
        async with client_of(running_sandbox) as client:
            answer = await client.patch(gateway_path("statements") + "/s", json=operations)
        assert answer.status_code == 400


class TestAccess:
    @pytest.mark.parametrize(
        ("header", "read", "write"),
        [
            (httpx.BasicAuth(API_KEY, API_SECRET), 200, 200),
            (httpx.BasicAuth("viewer", "v"), 200, 403),
            (httpx.BasicAuth("nobody", "n"), 403, 403),
            (httpx.BasicAuth(API_KEY, "wrong"), 401, 401),
            (httpx.BasicAuth("unknown", API_SECRET), 401, 401),
            (f"Bearer {TOKEN}", 200, 200),
            ("Bearer wrong", 401, 401),
            ("Bearer", 401, 401),
            ("Basic !!!", 401, 401),
            ("Digest x", 401, 401),
            (None, 401, 401),
        ],
    )
    async def test_keys_tokens_and_their_rights(
        self, sandbox: SandboxFactory, header: httpx.Auth | str | None, read: int, write: int
    ) -> None:
        running_sandbox = await sandbox(
            **one_openai(
                keys={API_KEY: API_SECRET, "viewer": "v", "nobody": "n"},
                roles={"viewer": "viewer", "nobody": "none"},
            )
        )
        auth = header if isinstance(header, httpx.Auth) else None
        headers = {"Authorization": header} if isinstance(header, str) else {}
        async with client_of(running_sandbox, auth=auth, headers=headers) as client:
            assert (await client.get(ONE)).status_code == read
            answer = await client.put(ONE, json=update_body("openai-001", GOOD))
        assert answer.status_code == write
        assert ("WWW-Authenticate" in answer.headers) == (write == 401)
        assert bool(running_sandbox.state.counters.updates) == (write == 200)

    async def test_without_a_user_agent_no_answer(self, sandbox: SandboxFactory) -> None:
        async with client_of(await sandbox(), headers={"User-Agent": ""}) as client:
            answer = await client.get(gateway_path())
        assert answer.status_code == 400
        assert "User-Agent" in answer.text

    @pytest.mark.parametrize(
        "path",
        [
            gateway_path(environment="env-unknown"),
            gateway_path("topics"),
            gateway_path() + "/",
            gateway_path() + "/a/b",
            gateway_path().replace("00000000-", "11111111-"),
            "/sql/v1/",
            "/sql/v2/connections",
        ],
    )
    async def test_unknown_places_are_not_found(self, sandbox: SandboxFactory, path: str) -> None:
        running_sandbox = await sandbox(organization="00000000-0000-4000-8000-000000000000")
        async with client_of(running_sandbox) as client:
            assert (await client.get(path)).status_code == 404

    async def test_every_answer_has_a_request_id_of_its_own(self, sandbox: SandboxFactory) -> None:
        running_sandbox = await sandbox(**one_openai())
        running_sandbox.state.faults.order(Fault(FaultKind.ERROR_502))
        async with client_of(running_sandbox) as client:
            answers = [
                await client.get(path) for path in (ONE, ONE, ONE + "x", gateway_path("topics"))
            ]
        ids = [answer.headers["X-Request-Id"] for answer in answers]
        assert len(set(ids)) == 4
        assert answers[2].json()["errors"][0]["id"] == ids[2]


class TestLimits:
    async def test_429_until_the_window_ends(self, sandbox: SandboxFactory) -> None:
        clock = ManualClock(1000.25)
        running_sandbox = await sandbox(now=clock, limit=RateLimit(2), **one_openai())
        async with client_of(running_sandbox) as client:
            answers = [await client.get(ONE) for _ in range(3)]
            clock.advance(1)
            answers.append(await client.get(ONE))
        assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
        remaining = [answer.headers["X-RateLimit-Remaining"] for answer in answers]
        assert remaining == ["1", "0", "0", "1"]
        assert answers[2].headers["Retry-After"] == "1"
        assert running_sandbox.state.counters.throttled == 1

    async def test_429_without_a_word(self, sandbox: SandboxFactory) -> None:
        silent = RateLimit(0, retry_after=False, headers=False)
        async with client_of(await sandbox(limit=silent)) as client:
            answer = await client.get(gateway_path())
        assert answer.status_code == 429
        assert not [name for name in answer.headers if "rate" in name or "retry" in name]


class TestFaults:
    """What the client sees, and whether the update was applied."""

    async def put(self, running_sandbox: Sandbox, fault: Fault) -> httpx.Response | Exception:
        running_sandbox.state.faults.order(fault)
        silent = fault.kind in {FaultKind.HANG, FaultKind.HANG_AFTER}
        patience = httpx.Timeout(10, read=0.3 if silent else 10)
        async with client_of(running_sandbox, timeout=patience) as client:
            try:
                return await client.put(ONE, json=update_body("openai-001", GOOD))
            except httpx.HTTPError as error:
                return error

    @pytest.mark.parametrize(
        ("kind", "status", "applied"),
        [
            (FaultKind.ERROR_500, 500, False),
            (FaultKind.ERROR_502, 502, False),
            (FaultKind.ERROR_503, 503, False),
            (FaultKind.ODD_ERROR, 500, False),
            (FaultKind.UNAUTHORIZED, 401, False),
            (FaultKind.METHOD_NOT_ALLOWED, 405, False),
            (FaultKind.CONFLICT, 409, False),
            (FaultKind.THROTTLED, 429, False),
            (FaultKind.HTML, 200, False),
            (FaultKind.EMPTY, 200, False),
            (FaultKind.FOREIGN, 200, False),
            (FaultKind.REDIRECT, 307, False),
            (FaultKind.ERROR_AFTER, 500, True),
            (FaultKind.BROKEN_JSON, 200, True),
        ],
    )
    async def test_answers(
        self, sandbox: SandboxFactory, kind: FaultKind, status: int, applied: bool
    ) -> None:
        running_sandbox = await sandbox(**one_openai(update_answer="connection"))
        answer = await self.put(running_sandbox, Fault(kind))
        assert isinstance(answer, httpx.Response)
        assert answer.status_code == status
        assert "X-Request-Id" in answer.headers
        assert bool(running_sandbox.state.counters.updates) == applied
        assert running_sandbox.state.counters.faults == {kind.value: 1}
        if kind is FaultKind.BROKEN_JSON:
            with pytest.raises(json.JSONDecodeError):
                answer.json()

    @pytest.mark.parametrize(
        ("kind", "error", "applied"),
        [
            (FaultKind.RESET, httpx.ReadError, False),
            (FaultKind.RESET_AFTER, httpx.ReadError, True),
            (FaultKind.HANG, httpx.ReadTimeout, False),
            (FaultKind.HANG_AFTER, httpx.ReadTimeout, True),
            (FaultKind.TRUNCATED, httpx.RemoteProtocolError, True),
        ],
    )
    async def test_lost_answers(
        self, sandbox: SandboxFactory, kind: FaultKind, error: type[Exception], applied: bool
    ) -> None:
        running_sandbox = await sandbox(**one_openai())
        assert isinstance(await self.put(running_sandbox, Fault(kind)), error)
        assert bool(running_sandbox.state.counters.updates) == applied

    async def test_a_reset_is_a_reset(self, sandbox: SandboxFactory) -> None:
        running_sandbox = await sandbox()
        running_sandbox.state.faults.order(Fault(FaultKind.RESET))
        reader, writer = await asyncio.open_connection("127.0.0.1", running_sandbox.port)
        writer.write(f"GET {gateway_path()} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()

    async def test_a_drip_outlasts_the_timeout_of_each_read(self, sandbox: SandboxFactory) -> None:
        running_sandbox = await sandbox(**one_openai())
        running_sandbox.state.faults.order(Fault(FaultKind.DRIP, seconds=0.05))
        async with client_of(running_sandbox, timeout=0.5) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await client.get(ONE)

    async def test_a_flood_is_as_large_as_ordered(self, sandbox: SandboxFactory) -> None:
        answer = await self.put(
            await sandbox(**one_openai()), Fault(FaultKind.OVERSIZED, size=3 << 20)
        )
        assert isinstance(answer, httpx.Response)
        assert len(answer.content) > 3 << 20

    async def test_throttled_and_redirected_as_ordered(self, sandbox: SandboxFactory) -> None:
        running_sandbox = await sandbox(**one_openai())
        answer = await self.put(running_sandbox, Fault(FaultKind.THROTTLED, retry_after=1.5))
        assert isinstance(answer, httpx.Response)
        assert answer.headers["Retry-After"] == "1.5"
        elsewhere = "http://127.0.0.1:1/x"
        answer = await self.put(running_sandbox, Fault(FaultKind.REDIRECT, location=elsewhere))
        assert isinstance(answer, httpx.Response)
        assert answer.headers["Location"] == elsewhere

    async def test_lists_point_elsewhere_repeat_and_lose(self, sandbox: SandboxFactory) -> None:
        running_sandbox = await sandbox(connections=30, types=("OPENAI",))
        elsewhere = "http://127.0.0.1:1/next"
        async with client_of(running_sandbox) as client:
            running_sandbox.state.faults.order(Fault(FaultKind.FOREIGN_NEXT, location=elsewhere))
            page = (await client.get(gateway_path())).json()
            assert page["metadata"]["next"] == elsewhere
            running_sandbox.state.faults.order(Fault(FaultKind.DUPLICATE, after=1))
            assert sorted(await listed(client)).count("openai-010") == 2
            running_sandbox.state.faults.order(Fault(FaultKind.SKIP, after=1))
            names = await listed(client)
            assert len(names) == 29
            assert "openai-011" not in names

    async def test_the_sandbox_serves_on_after_a_fault(self, sandbox: SandboxFactory) -> None:
        running_sandbox = await sandbox(**one_openai())
        for kind in FaultKind:
            await self.put(running_sandbox, Fault(kind, seconds=0, size=10))
        async with client_of(running_sandbox) as client:
            assert (await client.get(gateway_path())).status_code == 200
        assert running_sandbox.state.counters.in_flight == 0


async def test_latency_holds_back_many_requests_at_once(sandbox: SandboxFactory) -> None:
    running_sandbox = await sandbox(latency=0.2, **one_openai())
    loop = asyncio.get_running_loop()
    async with client_of(running_sandbox) as client:
        started = loop.time()
        await asyncio.gather(*(client.get(ONE) for _ in range(10)))
        took = loop.time() - started
    assert took >= 0.2
    assert running_sandbox.state.counters.peak_in_flight == 10


async def test_an_update_is_applied_although_the_client_has_given_up(
    sandbox: SandboxFactory,
) -> None:
    running_sandbox = await sandbox(latency=0.3, **one_openai())
    async with client_of(running_sandbox) as client:
        impatient = httpx.Timeout(10, read=0.05)
        with pytest.raises(httpx.ReadTimeout):
            await client.put(ONE, json=update_body("openai-001", GOOD), timeout=impatient)
        await client.get(ONE)
    assert running_sandbox.state.connections().current("openai-001").data == GOOD


async def test_half_a_request_is_not_applied(sandbox: SandboxFactory) -> None:
    running_sandbox = await sandbox(**one_openai())
    before = running_sandbox.state.connections().current("openai-001")
    counters = running_sandbox.state.counters
    _, writer = await asyncio.open_connection("127.0.0.1", running_sandbox.port)
    writer.write(f"PUT {ONE} HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{{".encode())
    await writer.drain()
    async with client_of(running_sandbox) as client, asyncio.timeout(5):
        while not counters.in_flight:
            await client.get("/sandbox/counters")
        writer.close()
        while counters.in_flight:
            await client.get("/sandbox/counters")
    assert counters.requests == {("PUT", "gone"): 1}
    assert running_sandbox.state.connections().current("openai-001") == before


async def test_it_ends_at_once_with_requests_under_way() -> None:
    async with running() as short_lived, client_of(short_lived, timeout=10) as client:
        short_lived.state.faults.order(Fault(FaultKind.HANG))
        hanging = asyncio.ensure_future(client.get(gateway_path()))
        async with asyncio.timeout(5):
            while not (await client.get("/sandbox/counters")).json()["faults"]:
                assert not hanging.done()
    with pytest.raises(httpx.HTTPError):
        await asyncio.wait_for(hanging, 5)


async def test_a_recorder_hears_of_requests_as_they_came(sandbox: SandboxFactory) -> None:
    running_sandbox = await sandbox(**one_openai())
    heard: list[Received] = []
    running_sandbox.state.recorder = heard.append
    async with client_of(running_sandbox) as client:
        await client.get(gateway_path(), params={"page_size": 7})
        sent = (await client.put(ONE, json=update_body("openai-001", GOOD))).request
    assert heard[0].url == f"{running_sandbox.url}{gateway_path()}?page_size=7"
    assert (heard[1].method, heard[1].url) == ("PUT", str(sent.url))
    assert heard[1].body == sent.content
    assert heard[1].headers["user-agent"] == sent.headers["User-Agent"]
    assert "new" not in repr(heard[1])
