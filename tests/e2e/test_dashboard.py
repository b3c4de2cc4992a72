"""The dashboard and the rules over what a real Prometheus scraped from a real daemon.

The daemon rotates from files and from Vault, and meets throttling, an error, and a credential that
is refused. Then each expression is asked for as Grafana would, before and after another process
took over.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import BAD, GOOD, NEXT
from tests.support.cluster import cluster_running
from tests.support.dashboard import VARIABLES, Expression, Kind, everything, expressions, several
from tests.support.deployment import Daemon, Deployment
from tests.support.prometheus import INTERVAL, Answer, Prometheus, prometheus_running
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.vault import DatabaseRole, FakeVault, Login, vault_running
from tests.support.waiting import until_so

__all__ = ["sandbox"]

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yaml"
SECRET_ID = "canary-secret-id"
LEASE_SECONDS = 2

MAY_BE_EMPTY = {
    "mark Alerts": "alerts fire after minutes; that they do is tested with promtool",
}
"""Where a daemon can't make data in the time of a test."""

needs_prometheus = pytest.mark.tool("prometheus", get="apt-get install prometheus")


@dataclass(slots=True)
class Observed:
    """What was asked is asked again of the same stretch of time."""

    prometheus: Prometheus
    start: float
    values: dict[str, str]

    async def ask(self, query: Expression, **chosen: str) -> Answer:
        text = query.filled(self.values | chosen | self._times())
        if query.kind is Kind.INSTANT:
            return await self.prometheus.now(text)
        return await self.prometheus.over(text, self.start, time.time())

    async def exemplars(self, query: Expression) -> int:
        text = query.filled(self.values | self._times())
        return len(await self.prometheus.exemplars(text, self.start, time.time()))

    async def number(self, where: str, **chosen: str) -> float:
        """The one that a panel shows now."""
        answer = await self.ask(_query(where), **chosen)
        return answer.numbers[-1]

    async def highest(self, where: str) -> float:
        """Everything that a panel of one number would have shown."""
        answer = await self.ask(replace(_query(where), kind=Kind.RANGE))
        return max(answer.numbers)

    def _times(self) -> dict[str, str]:
        """https://grafana.com/docs/grafana/latest/datasources/prometheus/template-variables/"""
        return {
            "__rate_interval": f"{4 * INTERVAL:.0f}s",
            "__range": f"{time.time() - self.start:.0f}s",
        }


def _query(where: str) -> Expression:
    (query,) = [each for each in expressions() if each.where == where]
    return query


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with vault_running() as (vault, _):
        vault.databases["database", "flink"] = DatabaseRole(ttl=3600, max_ttl=86400)
        vault.policies["flink"] = ("database/creds/*", "sys/leases/revoke")
        vault.logins["approle", "role"] = Login({"secret_id": SECRET_ID}, ("flink",), 3600)
        yield vault


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=4, types=("OPENAI", "MONGODB"), settle=0.1)


@dataclass(slots=True)
class Replicas:
    """Two installations of the same configuration, each with a ledger and secrets of its own."""

    cloud: Sandbox
    first: Deployment
    second: Deployment


@pytest.fixture
async def replicas(cloud: Sandbox, vault: FakeVault, tmp_path: Path) -> AsyncIterator[Replicas]:
    async with cluster_running(tmp_path) as cluster:
        made = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            deployment = Deployment(tmp_path / name, cloud.url)
            configure(deployment, vault)
            way = await cluster.way()
            deployment.document["coordination"] = cluster.coordination(name, way, LEASE_SECONDS)
            made.append(deployment)
        yield Replicas(cloud, *made)


def configure(made: Deployment, vault: FakeVault) -> None:
    made.secret("openai", {"api_key": GOOD})
    made.rotation.update(watch="1s", max_age="90d", schedule={"cron": "0 3 1 1 *"})
    made.document["sources"]["vault"] = {
        "kind": "vault",
        "url": vault.url,
        "auth": {"method": "approle", "role_id": "role", "secret_id": {"env": "SECRET_ID"}},
    }
    made.document["rotations"]["mongodb"] = {
        "targets": ["sandbox"],
        "match": {"type": ["MONGODB"]},
        "secret": {"source": "vault", "engine": "database", "path": "creds/flink"},
        "credential": {"username": "username", "password": "password"},
        "schedule": {"cron": "0 0 1 1 *", "on_start": True},
        "verify": {"timeout": "5s", "interval": "200ms"},
    }


async def a_day(daemon: Daemon, prometheus: Prometheus, replicas: Replicas) -> None:
    """A good rotation, a throttled one that meets an error, and one that fails."""
    rotated = 'rotator_credentials_total{outcome="rotated", rotation="%s"}'
    await prometheus.scraped(rotated % "mongodb", 2)
    await prometheus.scraped(rotated % "openai", 2)

    faults, secrets = replicas.cloud.state.faults, replicas.first
    faults.order(Fault(FaultKind.THROTTLED, retry_after=0))
    faults.order(Fault(FaultKind.ERROR_503, "GET"))
    secrets.secret("openai", {"api_key": NEXT})
    await prometheus.scraped(rotated % "openai", 4)

    secrets.secret("openai", {"api_key": BAD})
    await daemon.event("run.finished", result="failed")
    await prometheus.scraped('rotator_runs_total{result="failed"}')


@needs_prometheus
async def test_every_panel_has_data_and_every_rule_works(
    replicas: Replicas, tmp_path: Path
) -> None:
    start = time.time()
    async with AsyncExitStack() as stack, AsyncExitStack() as leading:
        leader = await leading.enter_async_context(replicas.first.daemon(SECRET_ID=SECRET_ID))
        await leader.event("leader.elected")
        follower = await stack.enter_async_context(replicas.second.daemon(SECRET_ID=SECRET_ID))
        addresses = [daemon.url.removeprefix("http://") for daemon in (leader, follower)]
        prometheus = await stack.enter_async_context(
            prometheus_running(tmp_path / "prometheus", addresses, RULES)
        )
        await a_day(leader, prometheus, replicas)
        observed = Observed(prometheus, start, everything())
        await every_expression_has_data(observed)
        await every_rule_works(prometheus)
        await what_it_shows_is_what_happened(observed)
        await a_choice_narrows_it(observed)
        await the_choices_are_there(prometheus)

        await leading.aclose()
        of_follower = f'{{instance="{addresses[1]}"}}'
        await prometheus.scraped(f"rotator_leader{of_follower}")
        await prometheus.scraped(f"sum(rotator_connection_phase{of_follower})", 4)
        await every_expression_is_taken(observed)
        assert await observed.number("Leader, A") == 1
        assert await observed.highest("Connections, A") == 4, "none is ever counted for both"


async def every_expression_is_taken(observed: Observed) -> None:
    """Also where series of two processes are in one range."""
    for query in expressions():
        answer = await observed.ask(query)
        assert not answer.mistake, f"{query}: {answer.mistake}"


async def every_expression_has_data(observed: Observed) -> None:
    empty: set[str] = set()

    async def all_have_data() -> bool:
        empty.clear()
        for query in expressions():
            answer = await observed.ask(query)
            assert not answer.mistake, f"{query}: {answer.mistake}"
            if not answer.numbers:
                empty.add(query.where)
        return empty <= MAY_BE_EMPTY.keys()

    try:
        await until_so(all_have_data)
    except TimeoutError:
        pytest.fail(f"no data: {sorted(empty - MAY_BE_EMPTY.keys())}")
    assert empty == MAY_BE_EMPTY.keys(), "what has data needs no excuse"
    without = [q.where for q in expressions() if q.exemplars and not await observed.exemplars(q)]
    assert without == []


async def every_rule_works(prometheus: Prometheus) -> None:
    """And those alerts wait for their time that have a reason."""
    rules: list[dict[str, Any]] = []

    def waiting() -> set[str]:
        return {rule["name"] for rule in rules if rule.get("state", "inactive") != "inactive"}

    async def evaluated() -> bool:
        rules[:] = await prometheus.rules()
        known = all(rule["health"] != "unknown" for rule in rules)
        return known and waiting() >= {"RotatorRunFailed", "RotatorConnectionInvalidAuth"}

    await until_so(evaluated)
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
    more = waiting() - {"RotatorRunFailed", "RotatorConnectionInvalidAuth"}
    assert more <= {"RotatorThrottled"}, "of few requests one may be more than 5 %"


async def what_it_shows_is_what_happened(observed: Observed) -> None:
    assert await observed.number("READY, A") == 3
    assert await observed.number("Not READY, A") == 1
    assert await observed.number("Connections, A") == 4
    assert await observed.number("Failing rotations, A") == 1
    assert await observed.number("Overdue rotations, A") == 0
    assert await observed.number("Leader, A") == 1
    assert await observed.number("In time, 30 days, A") == 1
    assert 0 < await observed.number("Oldest, of max_age, A") < 0.01


async def a_choice_narrows_it(observed: Observed) -> None:
    """One of several, several, and one that isn't there."""
    assert await observed.number("Connections, A", rotation="openai") == 2
    assert await observed.number("Not READY, A", rotation="mongodb") == 0
    both = several("openai", "mongodb")
    assert await observed.number("Connections, A", rotation=both, job="rotator") == 4
    for query in expressions():
        answer = await observed.ask(query, rotation=both, target=several("sandbox"))
        assert not answer.mistake, query
    elsewhere = [q for q in expressions() if q.kind is Kind.INSTANT]
    for query in elsewhere:
        answer = await observed.ask(query, namespace="elsewhere", job="elsewhere")
        assert answer.numbers == [], f"{query}: nobody is asked, so nothing is known"


async def the_choices_are_there(prometheus: Prometheus) -> None:
    found = {}
    for name, variable in VARIABLES.items():
        if variable["type"] == "query":
            asked = variable["query"].removeprefix("label_values(").removesuffix(f", {name})")
            series = Expression(name, asked, Kind.INSTANT).filled(everything())
            found[name] = await prometheus.values(name, series)
    assert found == {
        "namespace": ["credentials"],
        "job": ["rotator"],
        "target": ["sandbox"],
        "rotation": ["mongodb", "openai"],
    }
