"""Several replicas, each with a ledger of its own, against one Lease: real processes and signals.

Each replica has a secret of its own, so that the emulated Confluent Cloud sees who wrote.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.server import Sandbox
from rotator.sandbox.state import Received
from tests.support.cluster import Cluster, cluster_running
from tests.support.deployment import Daemon, Deployment
from tests.support.partition import Way
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.waiting import until, until_so

__all__ = ["sandbox"]

DURATION = 4
"""Seconds of a lease."""
TAKEOVER = DURATION + 2
"""What is promised."""
CONNECTIONS = 24
SLOW = 8.0
"""Requests a second: a run takes longer than what happens to it."""


@dataclass(slots=True)
class Replica:
    name: str
    deployment: Deployment
    way: Way
    daemon: Daemon

    @property
    def leads(self) -> bool:
        """By its own word."""
        told = [e["event"] for e in self.daemon.events if e["event"].startswith("leader.")]
        return bool(told) and told[-1] == "leader.elected"

    def signal(self, number: signal.Signals) -> None:
        self.daemon.process.send_signal(number)


@dataclass(slots=True)
class Stage:
    """Replicas come onto it; who writes is written down."""

    folder: Path
    cluster: Cluster
    cloud: Sandbox
    stack: AsyncExitStack
    replicas: list[Replica] = field(default_factory=list)
    written: list[tuple[float, str]] = field(default_factory=list)
    """When an update arrived, and from which replica."""

    def __post_init__(self) -> None:
        self.cloud.state.recorder = self._received

    def _received(self, request: Received) -> None:
        if request.method == "PUT":
            body = request.body.decode()
            writer = next(r.name for r in self.replicas if f"sk-{r.name}-" in body)
            self.written.append((monotonic(), writer))

    async def deployment(
        self, name: str, way: Way, pace: float = 1000, watch: str = "1s", **settings: Any
    ) -> Deployment:
        """`pace` is in requests a second."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        made = Deployment(folder, self.cloud.url)
        made.secret("openai", {"api_key": f"sk-{name}-1"})
        made.document["coordination"] = self.cluster.coordination(name, way, DURATION)
        made.rotation["watch"] = watch
        made.target["requests_per_second"] = pace
        for section, values in settings.items():
            made.document[section].update(values)
        return made

    async def enter(
        self, name: str, pace: float = 1000, watch: str = "1s", **settings: Any
    ) -> Replica:
        way = await self.cluster.way()
        deployment = await self.deployment(name, way, pace, watch, **settings)
        daemon = await self.stack.enter_async_context(deployment.daemon())
        replica = Replica(name, deployment, way, daemon)
        self.replicas.append(replica)
        return replica

    async def leader(self, *but: Replica) -> Replica:
        """Waits for one among the others."""
        others = [replica for replica in self.replicas if replica not in but]
        await until(lambda: any(replica.leads for replica in others))
        (leader,) = [replica for replica in others if replica.leads]
        return leader

    def writers(self) -> list[str]:
        """In the order of their turns."""
        return [
            who
            for index, (_, who) in enumerate(self.written)
            if index == 0 or self.written[index - 1][1] != who
        ]


@pytest.fixture
async def stage(tmp_path: Path, sandbox: SandboxFactory) -> AsyncIterator[Stage]:
    cloud = await sandbox(connections=CONNECTIONS, types=("OPENAI",), settle=0.1)
    async with cluster_running(tmp_path) as cluster, AsyncExitStack() as stack:
        yield Stage(tmp_path, cluster, cloud, stack)


async def test_one_of_three_rotates_and_after_a_kill_another(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    for name in "abc":
        await stage.enter(name)
    first = await stage.leader()
    await first.daemon.event("run.finished", result="succeeded")
    assert stage.writers() == [first.name]
    assert await stage.cluster.holder() == first.name

    first.signal(signal.SIGKILL)
    killed = monotonic()
    second = await stage.leader(first)
    took = monotonic() - killed
    record_property("takeover_seconds", round(took, 2))
    assert took <= TAKEOVER
    await second.daemon.event("run.finished", result="succeeded")
    assert stage.writers() == [first.name, second.name]
    lease = await stage.cluster.lease()
    assert lease is not None
    assert lease["spec"]["leaseTransitions"] == 1


async def test_an_orderly_end_hands_over_at_once(stage: Stage) -> None:
    first = await stage.enter("a")
    await stage.leader()
    second = await stage.enter("b")
    await second.daemon.event("daemon.ready")
    first.signal(signal.SIGTERM)
    ended = monotonic()
    assert await stage.leader(first) is second
    assert monotonic() - ended < 2
    assert await first.daemon.process.wait() == 0
    await first.daemon.event("leader.released")


async def test_one_that_drains_holds_the_lease_until_its_requests_have_ended(
    stage: Stage,
) -> None:
    """Here for longer than a lease lasts."""
    first = await stage.enter("a")
    hang = Fault(FaultKind.HANG_AFTER, method="PUT")
    stage.cloud.state.faults.order(hang)
    await stage.leader()
    second = await stage.enter("b")
    await second.daemon.event("leader.follows", holder="a")
    await until(lambda: bool(stage.written))
    first.signal(signal.SIGTERM)
    released = await first.daemon.event("leader.released")
    draining = await first.daemon.event("daemon.draining")
    elected = await second.daemon.event("leader.elected")
    assert draining["time"] < released["time"] <= elected["time"]
    assert await first.daemon.process.wait() == 0
    assert not [e for e in first.daemon.events if e["event"] == "leader.deposed"]


async def test_one_that_was_stopped_for_longer_than_the_lease_writes_nothing_more(
    stage: Stage,
) -> None:
    """Wherever SIGSTOP met it: it goes on in the middle of a run, with requests about to leave."""
    await stage.enter("a", SLOW)
    await stage.enter("b", SLOW)
    first = await stage.leader()
    await until(lambda: len(stage.written) >= 5)
    first.signal(signal.SIGSTOP)
    second = await stage.leader(first)
    await until(lambda: stage.writers() == [first.name, second.name])
    first.signal(signal.SIGCONT)
    await first.daemon.event("leader.deposed")
    await first.daemon.event("run.finished", result="interrupted")
    await second.daemon.event("run.finished", result="succeeded")
    assert stage.writers() == [first.name, second.name]


async def test_a_leader_that_loses_the_api_server_stops_before_another_begins(
    stage: Stage,
) -> None:
    await stage.enter("a", SLOW)
    await stage.enter("b", SLOW)
    first = await stage.leader()
    await until(lambda: len(stage.written) >= 3)
    first.way.cut()
    second = await stage.leader(first)
    await until(lambda: stage.writers() == [first.name, second.name])
    last = max(when for when, who in stage.written if who == first.name)
    begun = min(when for when, who in stage.written if who == second.name)
    assert begun - last > DURATION / 6
    first.way.mend()
    await second.daemon.event("run.finished", result="succeeded")
    assert stage.writers() == [first.name, second.name]
    assert first.daemon.process.returncode is None
    shown = [await series_of_connections(replica) for replica in (first, second)]
    assert shown == [0, CONNECTIONS * 4], "each connection is shown by one of them"


async def series_of_connections(replica: Replica) -> int:
    async with replica.daemon.client() as client:
        text = (await client.get("/metrics")).text
    return sum(line.startswith("rotator_connection_phase{") for line in text.splitlines())


async def test_a_new_leader_looks_at_once_where_it_runs_nothing(stage: Stage) -> None:
    for name in "ab":
        replica = await stage.enter(name, watch="1h")
        await replica.daemon.event("daemon.ready")
    first = await stage.leader()
    stage.cloud.state.connections().force_phase("openai-001", "INVALID_AUTH", "401")
    first.signal(signal.SIGTERM)
    second = await stage.leader(first)
    labels = 'connection="openai-001",phase="INVALID_AUTH",target="sandbox"'
    async with second.daemon.client() as client:

        async def seen() -> bool:
            return (
                f"rotator_connection_phase{{{labels}}} 1.0" in (await client.get("/metrics")).text
            )

        await until_so(seen)
    assert stage.written == []


async def test_without_an_api_server_nobody_writes_and_its_return_restores(stage: Stage) -> None:
    for name in "ab":
        await stage.enter(name)
    first = await stage.leader()
    await first.daemon.event("run.finished", result="succeeded")
    for replica in stage.replicas:
        replica.way.cut()
    await first.daemon.event("leader.deposed")
    for replica in stage.replicas:
        replica.deployment.secret("openai", {"api_key": f"sk-{replica.name}-2"})
    seen = len(stage.written)
    async with first.daemon.client() as client:
        told = (await client.get("/readyz")).json()
        assert told["ok"] is True
        assert "reached before, and now: " in told["checks"]["coordination"]
        assert (await client.get("/livez")).status_code == 200
    assert len(stage.written) == seen
    for replica in stage.replicas:
        replica.way.mend()
    leader = await stage.leader()
    await until(lambda: len(stage.written) >= seen + CONNECTIONS)
    assert {who for _, who in stage.written[seen:]} == {leader.name}


async def test_a_deleted_lease_is_created_again(stage: Stage) -> None:
    first = await stage.enter("a")
    await stage.leader()
    await stage.cluster.delete()
    await first.daemon.event("leader.deposed")
    await until(lambda: first.leads)
    assert await stage.cluster.holder() == "a"


async def test_a_stolen_lease_is_followed_and_taken_over_when_it_ends(stage: Stage) -> None:
    first = await stage.enter("a")
    await stage.leader()
    await stage.cluster.steal("somebody", 3)
    deposed = await first.daemon.event("leader.deposed")
    assert deposed["reason"] == "somebody holds it now"
    stolen = monotonic()
    await until(lambda: first.leads)
    assert monotonic() - stolen > 2


async def renewed(cluster: Cluster, before: dict[str, Any] | None) -> bool:
    now = await cluster.lease()
    assert now is not None
    assert before is not None
    return bool(now["spec"]["renewTime"] != before["spec"]["renewTime"])


async def test_changes_of_its_metadata_disturb_nobody(stage: Stage) -> None:
    first = await stage.enter("a")
    await stage.leader()
    for _ in range(5):
        before = await stage.cluster.lease()
        await stage.cluster.touch()
        await until_so(partial(renewed, stage.cluster, before), DURATION)
    assert first.leads
    assert not [e for e in first.daemon.events if e["event"] == "leader.deposed"]


async def test_a_follower_answers_and_refuses_to_rotate(stage: Stage) -> None:
    await stage.enter("a", http={"token": {"file": str(stage.cluster.token_file)}})
    leader = await stage.leader()
    follower = await stage.enter("b", http={"token": {"file": str(stage.cluster.token_file)}})
    await follower.daemon.event("daemon.ready")
    await follower.daemon.event("leader.follows", holder="a")
    headers = {"Authorization": f"Bearer {stage.cluster.token_file.read_text()}"}
    async with follower.daemon.client() as client:
        refused = await client.post("/api/v1/rotations/openai/run", headers=headers)
        assert refused.status_code == 503
        assert "a leads" in refused.json()["error"]
        assert (await client.get("/readyz")).json()["checks"]["coordination"] == "a leads"
        shown = (await client.get("/metrics")).text
        assert "rotator_leader 0.0" in shown
        lease = f"Lease default/{stage.cluster.name}"
        assert f'rotator_coordination_info{{lease="{lease}"}} 1.0' in shown
        assert "rotator_run_last_timestamp_seconds{" not in shown, "the leader's runs"
    async with leader.daemon.client() as client:
        assert "rotator_leader 1.0" in (await client.get("/metrics")).text
        told = (await client.get("/readyz")).json()["checks"]["coordination"]
        assert told == "this process leads"


async def test_a_new_leader_adopts_where_it_is_configured(stage: Stage) -> None:
    for name in "ab":
        await stage.enter(name, ledger={"on_unknown": "adopt"})
    first = await stage.leader()
    await first.daemon.event("run.finished", result="succeeded")
    assert stage.written == []
    first.signal(signal.SIGKILL)
    second = await stage.leader(first)
    await second.daemon.event("run.finished", result="succeeded")
    assert stage.written == []
    second.deployment.secret("openai", {"api_key": f"sk-{second.name}-2"})
    await until(lambda: len(stage.written) == CONNECTIONS)


async def test_a_command_leads_for_its_own_time_or_not_at_all(stage: Stage) -> None:
    way = await stage.cluster.way()
    command = await stage.deployment("command", way)
    stage.replicas.append(Replica("command", command, way, Daemon(None)))  # type: ignore[arg-type] # it has no daemon
    done = await command.rotator("rotate", "-o", "json")
    assert done.json()[0]["rotated"] == CONNECTIONS
    assert await stage.cluster.holder() == "", "given back"
    assert f"waiting for Lease default/{stage.cluster.name}" in done.err, "a Lease that it made"
    stage.replicas.clear()

    await stage.enter("a")
    await stage.leader()
    refused = await command.rotator("rotate")
    assert refused.status == 1
    assert refused.err == (
        "Error: this process does not lead, and only the leader rotates; a leads: start it there, "
        "by POST /api/v1/rotations/NAME/run\n"
    )
    planned = await command.rotator("plan")
    assert planned.status == 0, "to look is free"
    checked = await command.rotator("check", "--online")
    assert f"read Lease default/{stage.cluster.name} (held by a): works" in checked.out
