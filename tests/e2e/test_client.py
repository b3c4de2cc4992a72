"""The target client against the sandbox over real sockets: every way an answer can go wrong."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rotator.clock import SystemClock
from rotator.confluent.authorization import Authorization, basic, bearer
from rotator.confluent.client import FlinkTarget
from rotator.confluent.settings import TargetSettings
from rotator.confluent.update_form import PATCH_AFTER_405
from rotator.errors import (
    CredentialInvalid,
    TargetRefused,
    TargetUnavailable,
    UpdateConflict,
    UpdateUncertain,
)
from rotator.model.credential import Credential
from rotator.model.events import Event, RequestAnswered
from rotator.ports import Clock, Target
from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from rotator.sandbox.settings import API_KEY, API_SECRET, ENVIRONMENT, ORGANIZATION, TOKEN
from tests.support.faulty import FaultyServer, Reply, Request
from tests.support.sandbox import SandboxFactory, sandbox

__all__ = ["sandbox"]

CANARY = 'sk-canary-"quoted"-ünïcode'
CREDENTIAL = Credential({"API_KEY": CANARY}, "fingerprint", "version")


class MovingClock(SystemClock):
    """The time of the machine, and what the test adds to it."""

    passed = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.passed


class Known:
    """A target, and what it was seen to do."""

    def __init__(
        self,
        cloud: Sandbox | FaultyServer,
        keys: list[Authorization],
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        given: dict[str, Any] = {
            "url": cloud.url,
            "organization": ORGANIZATION,
            "environment": ENVIRONMENT,
            "timeout": 2.0,
            "requests_per_second": 5000,
            **options,
        }
        self.keys = keys
        self.asked = 0
        self.events: list[Event] = []
        self.target = FlinkTarget(
            "prod",
            TargetSettings(**given),
            self.key,
            self.events.append,
            clock or SystemClock(),
        )

    async def key(self) -> Authorization:
        self.asked += 1
        return self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]

    @property
    def statuses(self) -> list[str]:
        return [event.status for event in self.events if isinstance(event, RequestAnswered)]


Open = Callable[..., Known]


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=3, types=("OPENAI",), settle=0.0)


@pytest.fixture
async def known(cloud: Sandbox) -> Any:
    opened: list[Known] = []

    def make(*keys: Authorization, **options: Any) -> Known:
        opened.append(Known(cloud, list(keys) or [basic(API_KEY, API_SECRET)], **options))
        return opened[-1]

    yield make
    for one in opened:
        await one.target.aclose()


def fault(cloud: Sandbox, kind: FaultKind, method: str, **options: Any) -> None:
    cloud.state.faults.order(Fault(kind, method, **options))


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


async def test_paging_and_the_filter(sandbox: SandboxFactory) -> None:
    cloud = await sandbox(connections=250, types=("OPENAI", "BEDROCK"))
    one = Known(cloud, [bearer(TOKEN)])
    assert len(await one.target.connections()) == 250
    assert len(one.statuses) == 3
    assert {c.type for c in await one.target.connections("BEDROCK")} == {"BEDROCK"}
    assert len(one.statuses) == 5
    await one.target.aclose()


async def test_a_look_reads_only_the_pages_it_needs(sandbox: SandboxFactory) -> None:
    cloud = await sandbox(connections=250, types=("OPENAI",))
    one = Known(cloud, [bearer(TOKEN)])
    names = [connection.name for connection in await one.target.connections()]
    one.events.clear()
    assert set(await one.target.look(names[:100])) == set(names[:100])
    assert len(one.statuses) == 1
    assert set(await one.target.look([names[0], names[249]])) == {names[0], names[249]}
    assert len(one.statuses) == 3
    cloud.state.connections().delete(names[5])
    assert set(await one.target.look(names[4:7])) == {names[4], names[6]}
    await one.target.aclose()


def page_of(*names: str, following: str = "") -> Reply:
    items = [{"name": name, "status": {"phase": "READY"}} for name in names]
    return Reply(200, json.dumps({"data": items, "metadata": {"next": following}}).encode())


@pytest.mark.parametrize("status", [400, 404])
async def test_a_look_starts_over_after_a_page_token_has_expired(status: int) -> None:
    tokens = ["old"]

    def answer(request: Request) -> Reply:
        path, _, query = request.path.partition("?")
        if f"page_token={tokens[-1]}" in query:
            return page_of("b")
        if "page_token" in query:
            return Reply(status, b'{"errors": [{"title": "no such page"}]}')
        return page_of("a", following=f"{path}?page_token={tokens[-1]}")

    server = FaultyServer(answer)
    with server.serving():
        target = Known(server, [bearer(TOKEN)]).target
        assert {connection.name for connection in await target.connections()} == {"a", "b"}
        tokens.append("new")
        assert set(await target.look(["b"])) == {"b"}
        assert server.count("GET *page_token=old") == 2
        assert set(await target.look(["b"])) == {"b"}
        assert server.count("GET *page_token=old") == 2, "the old page is forgotten"
        await target.aclose()


async def test_a_look_that_may_not_read_fails(cloud: Sandbox, known: Open) -> None:
    target = known().target
    await target.connections()
    cloud.state.change(roles={API_KEY: "none"})
    with pytest.raises(TargetRefused, match="403"):
        await target.look(["openai-001"])


async def test_a_list_without_an_end_is_refused() -> None:
    server = FaultyServer(lambda request: page_of("a", following=request.path))
    with server.serving():
        target = Known(server, [bearer(TOKEN)]).target
        with pytest.raises(TargetRefused, match="never end"):
            await target.connections()
        await target.aclose()


async def test_what_a_look_misses_is_asked_for_by_name(sandbox: SandboxFactory) -> None:
    cloud = await sandbox(connections=150, types=("OPENAI",))
    one = Known(cloud, [bearer(TOKEN)])
    hidden, deleted, listed = "openai-120", "openai-121", "openai-122"
    cloud.state.connections().delete(deleted)
    cloud.state.faults.order(Fault(FaultKind.UNLISTED, path=f"*/{hidden}", times=None))
    assert set(await one.target.look([hidden, deleted, listed])) == {hidden, listed}
    assert one.statuses[:2] == ["200", "200"]
    assert sorted(one.statuses[2:]) == ["200", "404"]
    await one.target.aclose()


async def test_connections_are_found_by_name(cloud: Sandbox, known: Open) -> None:
    one = known()
    listed = {connection.name: connection for connection in await one.target.connections()}
    assert await one.target.find([*listed, "openai-099"]) == listed
    assert await one.target.find([]) == {}


async def test_no_more_are_asked_for_at_once_than_configured(sandbox: SandboxFactory) -> None:
    cloud = await sandbox(connections=20, types=("OPENAI",), latency=0.02)
    one = Known(cloud, [bearer(TOKEN)], concurrency=4)
    names = cloud.state.connections().names()
    assert set(await one.target.find(names)) == set(names)
    assert cloud.state.counters.peak_in_flight == 4
    await one.target.aclose()


@pytest.mark.parametrize(
    "kind",
    [FaultKind.ERROR_500, FaultKind.HTML, FaultKind.EMPTY, FaultKind.FOREIGN, FaultKind.TRUNCATED],
)
async def test_a_connection_is_asked_for_again(
    cloud: Sandbox, known: Open, kind: FaultKind
) -> None:
    fault(cloud, kind, "GET", times=2)
    assert set(await known().target.find(["openai-001"])) == {"openai-001"}


async def test_a_404_of_a_proxy_says_nothing_about_a_connection() -> None:
    proxy = FaultyServer(lambda _: Reply(404, b"404 page not found\n", {}))
    with proxy.serving():
        target = Known(proxy, [bearer(TOKEN)]).target
        with pytest.raises(TargetRefused, match="reading connection a: not found"):
            await target.find(["a"])
        await target.aclose()


async def test_a_name_that_another_connection_answers_for_is_not_found() -> None:
    server = FaultyServer(lambda _: Reply(200, b'{"name": "b"}'))
    with server.serving():
        target = Known(server, [bearer(TOKEN)]).target
        with pytest.raises(TargetRefused, match="not the connection that was asked for"):
            await target.find(["a"])
        await target.aclose()


async def test_it_knows_its_environment_and_its_concurrency(known: Open) -> None:
    target: Target = known(concurrency=7).target
    assert (target.name, target.environment, target.concurrency) == ("prod", ENVIRONMENT, 7)


async def test_it_knows_what_its_types_take(known: Open) -> None:
    target: Target = known().target
    assert target.takes("OPENAI", {"api-key"})
    assert not target.takes("NEXT_YEARS", {"anything"})
    with pytest.raises(CredentialInvalid, match="it takes api-key"):
        target.takes("OPENAI", {"password"})
    sent = target.auth_data("ELASTIC", {"api-key": CANARY})
    assert dict(sent.data) == {"API_KEY": CANARY, "AUTH_TYPE": "API_KEY"}


async def test_an_update_replaces_the_credential(cloud: Sandbox, known: Open) -> None:
    target = known().target
    connection = (await target.connections())[0]
    assert await target.update(connection, CREDENTIAL) is None
    assert cloud.state.connections().current(connection.name).data == {"API_KEY": CANARY}
    cloud.state.change(update_answer="connection")
    second = (await target.look([connection.name]))[connection.name]
    version = await target.update(second, CREDENTIAL)
    assert version == cloud.state.connections().current(connection.name).version


def forms(cloud: Sandbox) -> dict[tuple[str, str], int]:
    """The updates that were answered, by method and status."""
    requests = cloud.state.counters.requests
    return {key: count for key, count in requests.items() if key[0] != "GET"}


async def test_a_405_makes_it_patch_for_a_while(cloud: Sandbox, known: Open) -> None:
    clock = MovingClock()
    one = known(clock=clock)
    fault(cloud, FaultKind.METHOD_NOT_ALLOWED, "PUT")
    first, second, third = await one.target.connections()
    await one.target.update(first, CREDENTIAL)
    clock.passed += PATCH_AFTER_405 - 1
    await one.target.update(second, CREDENTIAL)
    assert forms(cloud) == {("PUT", "405"): 1, ("PATCH", "200"): 2}
    clock.passed += 2
    await one.target.update(third, CREDENTIAL)
    assert forms(cloud) == {("PUT", "405"): 1, ("PATCH", "200"): 2, ("PUT", "200"): 1}


async def test_a_405_to_the_patch_as_well_goes_back_to_put(cloud: Sandbox, known: Open) -> None:
    one = known()
    fault(cloud, FaultKind.METHOD_NOT_ALLOWED, "PUT")
    first, second, _ = await one.target.connections()
    await one.target.update(first, CREDENTIAL)
    cloud.state.change(strict=True)
    await one.target.update(second, CREDENTIAL)
    assert forms(cloud) == {
        ("PUT", "405"): 1,
        ("PATCH", "200"): 1,
        ("PATCH", "405"): 1,
        ("PUT", "200"): 1,
    }


async def test_neither_put_nor_patch_is_refused_after_one_of_each(
    cloud: Sandbox, known: Open
) -> None:
    cloud.state.change(strict=True)
    fault(cloud, FaultKind.METHOD_NOT_ALLOWED, "PUT")
    one = known()
    connection = (await one.target.connections())[0]
    with pytest.raises(TargetRefused, match="this kind of update"):
        await one.target.update(connection, CREDENTIAL)
    assert forms(cloud) == {("PUT", "405"): 1, ("PATCH", "405"): 1}


async def test_a_patch_of_a_connection_that_moved_is_a_conflict(
    cloud: Sandbox, known: Open
) -> None:
    one = known(update="patch")
    connection = (await one.target.connections())[0]
    cloud.state.connections().update(connection.name, {"API_KEY": "somebody's"}, None)
    with pytest.raises(UpdateConflict):
        await one.target.update(connection, CREDENTIAL)
    assert cloud.state.connections().current(connection.name).data == {"API_KEY": "somebody's"}


async def test_a_target_that_refuses_the_version_of_a_patch_gets_none(
    cloud: Sandbox, known: Open
) -> None:
    cloud.state.change(patch_version="refuse")
    one = known(update="patch")
    first, second, _ = await one.target.connections()
    await one.target.update(first, CREDENTIAL)
    assert forms(cloud) == {("PATCH", "400"): 1, ("PATCH", "200"): 1}
    await one.target.update(second, CREDENTIAL)
    assert forms(cloud) == {("PATCH", "400"): 1, ("PATCH", "200"): 2}


async def test_a_target_that_ignores_the_version_of_a_patch_takes_it(
    cloud: Sandbox, known: Open
) -> None:
    cloud.state.change(patch_version="ignore")
    one = known(update="patch")
    connection = (await one.target.connections())[0]
    cloud.state.connections().update(connection.name, {"API_KEY": "somebody's"}, None)
    await one.target.update(connection, CREDENTIAL)
    assert forms(cloud) == {("PATCH", "200"): 1}


async def test_a_400_that_has_another_reason_teaches_nothing(cloud: Sandbox, known: Open) -> None:
    connection = (await known().target.connections())[0]
    server = FaultyServer(lambda _: Reply(400))
    with server.serving():
        target = Known(server, [bearer(TOKEN)], update="patch").target
        for _ in range(2):
            with pytest.raises(TargetRefused, match="it says that the request is wrong"):
                await target.update(connection, CREDENTIAL)
        await target.aclose()
    assert server.count("PATCH *") == 4


async def test_update_put_doesnt_patch(cloud: Sandbox, known: Open) -> None:
    one = known(update="put")
    fault(cloud, FaultKind.METHOD_NOT_ALLOWED, "PUT")
    connection = (await one.target.connections())[0]
    with pytest.raises(TargetRefused, match="update"):
        await one.target.update(connection, CREDENTIAL)


UNCERTAIN = (
    FaultKind.ERROR_500,
    FaultKind.ERROR_502,
    FaultKind.ERROR_503,
    FaultKind.ODD_ERROR,
    FaultKind.ERROR_AFTER,
    FaultKind.RESET,
    FaultKind.RESET_AFTER,
    FaultKind.HTML,
    FaultKind.FOREIGN,
    FaultKind.TRUNCATED,
    FaultKind.BROKEN_JSON,
    FaultKind.HANG,
    FaultKind.HANG_AFTER,
    FaultKind.OVERSIZED,
)


@pytest.mark.parametrize("kind", UNCERTAIN)
async def test_a_lost_or_strange_answer_to_an_update_is_uncertain(
    cloud: Sandbox, known: Open, kind: FaultKind
) -> None:
    cloud.state.change(update_answer="connection")
    one = known(timeout=0.5)
    connection = (await one.target.connections())[0]
    fault(cloud, kind, "PUT")
    with pytest.raises(UpdateUncertain) as caught:
        await one.target.update(connection, CREDENTIAL)
    assert "prod" in str(caught.value)
    assert CANARY not in told(caught.value)
    assert len(one.statuses) == 2, "an update is not repeated before somebody has looked"


async def test_a_conflict_is_one(cloud: Sandbox, known: Open) -> None:
    one = known()
    connection = (await one.target.connections())[0]
    cloud.state.connections().update(connection.name, {"API_KEY": "other"}, None)
    with pytest.raises(UpdateConflict):
        await one.target.update(connection, CREDENTIAL)


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.ERROR_500,
        FaultKind.ERROR_502,
        FaultKind.THROTTLED,
        FaultKind.RESET,
        FaultKind.HTML,
        FaultKind.TRUNCATED,
        FaultKind.BROKEN_JSON,
        FaultKind.EMPTY,
        FaultKind.FOREIGN,
        FaultKind.HANG,
    ],
)
async def test_a_list_is_asked_for_again(cloud: Sandbox, known: Open, kind: FaultKind) -> None:
    one = known(timeout=0.5)
    fault(cloud, kind, "GET", times=2)
    assert len(await one.target.connections()) == 3


async def test_a_throttled_update_was_not_applied_and_is_sent_again(
    cloud: Sandbox, known: Open
) -> None:
    one = known()
    connection = (await one.target.connections())[0]
    fault(cloud, FaultKind.THROTTLED, "PUT", retry_after=0.2)
    await one.target.update(connection, CREDENTIAL)
    assert one.statuses == ["200", "429", "200"]


async def test_a_page_elsewhere_is_not_followed(cloud: Sandbox, known: Open) -> None:
    fault(cloud, FaultKind.FOREIGN_NEXT, "GET")
    with pytest.raises(TargetRefused, match="another host"):
        await known().target.connections()


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_redirect_is_not_followed(cloud: Sandbox, known: Open, method: str) -> None:
    one = known()
    connection = (await one.target.connections())[0]
    fault(cloud, FaultKind.REDIRECT, method, location=f"{cloud.url}/sandbox")
    target = one.target
    ask = target.connections() if method == "GET" else target.update(connection, CREDENTIAL)
    with pytest.raises(TargetRefused, match="redirect") as caught:
        await ask
    assert "X-Request-Id" in str(caught.value)
    assert cloud.state.counters.requests.total() == 2


async def test_duplicates_and_gaps_of_shifting_pages(sandbox: SandboxFactory) -> None:
    cloud = await sandbox(connections=150, types=("OPENAI",))
    one = Known(cloud, [bearer(TOKEN)])
    cloud.state.faults.order(Fault(FaultKind.DUPLICATE, "GET", after=1))
    found = await one.target.connections()
    assert len(found) == len({connection.name for connection in found}) == 150
    await one.target.aclose()


async def test_keys_are_read_again_after_a_401(cloud: Sandbox, known: Open) -> None:
    one = known(basic("old", "key"), basic(API_KEY, API_SECRET))
    assert len(await one.target.connections()) == 3
    assert one.statuses == ["401", "200"]


async def test_the_same_key_again_is_not_tried_again(cloud: Sandbox, known: Open) -> None:
    one = known(basic("wrong", "canary-key"))
    with pytest.raises(TargetRefused, match="key") as caught:
        await one.target.connections()
    assert one.statuses == ["401"]
    assert "canary-key" not in told(caught.value)
    assert "X-Request-Id" in str(caught.value)


async def test_a_key_that_may_not(cloud: Sandbox, known: Open) -> None:
    cloud.state.change(roles={API_KEY: "viewer"})
    one = known()
    connection = (await one.target.connections())[0]
    with pytest.raises(TargetRefused, match="FlinkAdmin"):
        await one.target.update(connection, CREDENTIAL)


async def test_nobody_there(known: Open) -> None:
    one = known(url="http://127.0.0.1:9", timeout=0.2)
    with pytest.raises(TargetUnavailable, match="connect"):
        await one.target._requests.ask("GET", "/")


async def test_no_more_in_flight_than_configured(sandbox: SandboxFactory) -> None:
    cloud = await sandbox(connections=40, types=("OPENAI",), latency=0.05)
    one = Known(cloud, [bearer(TOKEN)], concurrency=6)
    found = await one.target.connections()
    await asyncio.gather(*(one.target.update(connection, CREDENTIAL) for connection in found))
    assert cloud.state.counters.peak_in_flight == 6
    await one.target.aclose()


async def test_names_are_quoted(cloud: Sandbox, known: Open) -> None:
    one = known()
    odd = replace((await one.target.connections())[0], name="../a b?c#d%")
    with pytest.raises(TargetRefused, match="404"):
        await one.target.update(odd, CREDENTIAL)
