"""What the daemon shows of itself, from what it knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotator.config.load import load
from rotator.config.models import Config, LeaseCoordination
from rotator.confluent.phases import condition
from rotator.coordination.elector import Elector, elector
from rotator.coordination.term import Term
from rotator.daemon.compose import SourcePool, open_context, open_ledger
from rotator.daemon.health import CLOCKS_PARTED, STALLED_AFTER, Clocks, Contacts
from rotator.daemon.runner import Runner
from rotator.daemon.snapshots import Snapshots
from rotator.daemon.views.connections import ConnectionViews
from rotator.daemon.views.health import HealthViews
from rotator.daemon.views.leader import Leader
from rotator.daemon.views.sources import SourceViews
from rotator.ledger import FingerprintKey, SqlLedger
from rotator.model.connection import Connection
from rotator.model.events import Listed, RequestAnswered, SourceRead, TokenSeen
from rotator.model.record import Record, Stage
from rotator.model.run import Outcome, Result, Settlement
from rotator.observe.listings import Listings
from tests.support.deployment import Deployment
from tests.support.kubernetes import FakeKubernetes, kubernetes_running, rotator_role
from tests.support.leasing import MovedClock
from tests.support.waiting import until


@dataclass(frozen=True, slots=True)
class Shown:
    """The views of a daemon, and what they show."""

    ledger: SqlLedger
    runner: Runner
    contacts: Contacts
    listings: Listings
    health: HealthViews
    connections: ConnectionViews
    sources: SourceViews
    leader: Leader


MakeState = Callable[[Elector | None], Shown]


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = Deployment(tmp_path, "http://127.0.0.1:1")
    made.rotation["max_age"] = "30d"
    (tmp_path / "rotator.yaml").write_text(yaml.safe_dump(made.document))
    return load(tmp_path / "rotator.yaml")


@pytest.fixture
async def opened(
    config: Config, clock: MovedClock
) -> AsyncIterator[tuple[SqlLedger, FingerprintKey]]:
    async with open_ledger(config.ledger, clock) as opened:
        yield opened


@pytest.fixture
def ledger(opened: tuple[SqlLedger, FingerprintKey]) -> SqlLedger:
    return opened[0]


@pytest.fixture
async def state_of(
    config: Config, clock: MovedClock, opened: tuple[SqlLedger, FingerprintKey]
) -> AsyncIterator[MakeState]:
    contacts = Contacts(clock.monotonic())
    ledger, key = opened
    pool = SourcePool(key, contacts, clock)
    snapshots = Snapshots(lambda new: open_context(new, ledger, pool, contacts, clock))
    await snapshots.replace(config)

    def make(candidate: Elector | None) -> Shown:
        runner = Runner(snapshots.borrow, clock, asyncio.Event())
        leader, listings = Leader(runner, candidate), Listings()
        return Shown(
            ledger,
            runner,
            contacts,
            listings,
            HealthViews(snapshots, ledger, contacts, Clocks.of(clock), leader),
            ConnectionViews(snapshots, ledger, listings),
            SourceViews(snapshots, ledger, contacts),
            leader,
        )

    yield make
    await snapshots.aclose()


@pytest.fixture
def server() -> Iterator[FakeKubernetes]:
    with kubernetes_running() as running:
        yield running


@pytest.fixture
def candidate(server: FakeKubernetes, clock: MovedClock, tmp_path: Path) -> Elector:
    (tmp_path / "token").write_text(server.account("pod-a", rotator_role()))
    section = {
        "kind": "lease",
        "namespace": "default",
        "identity": "pod-a",
        "url": server.url,
        "token_file": tmp_path / "token",
    }
    return elector(LeaseCoordination.model_validate(section), clock)


def reached_all(state: Shown) -> None:
    state.contacts(RequestAnswered("sandbox", "GET", "200", 0.1))
    state.contacts(SourceRead("mounted", "read", "ok", 0.1))


async def test_livez_fails_where_a_restart_would_help(
    state_of: MakeState, clock: MovedClock
) -> None:
    state = state_of(None)
    fine = {"scheduler": "ok", "leases": "ok", "clocks": "ok"}
    assert (state.health.livez().ok, state.health.livez().checks) == (True, fine)
    clock.jump = -(CLOCKS_PARTED + 10)
    assert state.health.livez().checks == {
        **fine,
        "clocks": "the time of day jumped by 310 s since the start",
    }
    assert not state.health.livez().ok
    clock.jump = 0
    clock.ahead = STALLED_AFTER + 1
    assert not state.health.livez().ok
    assert state.health.livez().checks["scheduler"] == "stalled"


async def test_livez_fails_where_the_election_hangs(
    state_of: MakeState, candidate: Elector, clock: MovedClock
) -> None:
    state = state_of(candidate)
    candidate.turned_at = clock.monotonic()
    assert state.health.livez().checks["election"] == "ok"
    clock.ahead = candidate.overdue + 1
    state.contacts.beat(clock.monotonic())
    assert state.health.livez().checks == {
        "scheduler": "ok",
        "leases": "ok",
        "clocks": "ok",
        "election": "stalled",
    }
    assert not state.health.livez().ok


async def test_readyz_says_what_is_missing(state_of: MakeState) -> None:
    state = state_of(None)
    told = await state.health.readyz()
    assert not told.ok
    assert told.checks == {
        "configuration": "ok",
        "ledger": "ok",
        "target sandbox": "not reached yet",
        "source mounted": "not reached yet",
    }
    reached_all(state)
    assert (await state.health.readyz()).ok


async def test_readyz_knows_who_leads(
    state_of: MakeState, candidate: Elector, server: FakeKubernetes
) -> None:
    state = state_of(candidate)
    reached_all(state)
    told = await state.health.readyz()
    assert (told.ok, told.checks["coordination"]) == (False, "not known yet who leads")

    server.account("pod-a", ())
    loop = asyncio.create_task(candidate.run())
    try:
        await until(lambda: candidate.trouble is not None)
        told = await state.health.readyz()
        assert not told.ok
        assert "its Role needs the verbs get and update" in told.checks["coordination"]
    finally:
        loop.cancel()
        await candidate.api.aclose()


async def test_a_follower_is_ready_and_so_is_the_leader(
    state_of: MakeState, candidate: Elector, server: FakeKubernetes, clock: MovedClock
) -> None:
    server.put({"holderIdentity": "pod-b", "leaseDurationSeconds": 15}, {})
    state = state_of(candidate)
    reached_all(state)
    loop = asyncio.create_task(candidate.run())
    try:
        await until(lambda: candidate.reached)
        told = await state.health.readyz()
        assert (told.ok, told.checks["coordination"]) == (True, "pod-b leads")
        state.runner.term = Term(clock)
        assert (await state.health.readyz()).checks["coordination"] == "this process leads"
    finally:
        loop.cancel()
        await candidate.api.aclose()


def record(name: str, clock: MovedClock, **changes: Any) -> Record:
    at = clock.now()
    made = Record(
        "sandbox", name, "openai", Stage.VERIFIED, "f", "v1", "2", "1", "run-1", at,
        phase="READY", rotated_at=at, verified_at=at,
    )  # fmt: skip
    return replace(made, **changes)


def listed(state: Shown, *names: str, rotation: str = "openai", phase: str = "READY") -> None:
    endpoint = "mongodb+srv://user:canary@e.example/x@y"
    found = (
        Connection("sandbox", name, "OPENAI", endpoint, phase, condition(phase)) for name in names
    )
    state.listings(Listed(rotation, frozenset({"sandbox"}), tuple(found)))


async def test_connections_are_those_on_record_and_those_seen(
    state_of: MakeState, ledger: SqlLedger, clock: MovedClock
) -> None:
    state = state_of(None)
    for name, error in (("known", None), ("gone", None), ("broken", "INVALID_AUTH: 401")):
        await state.ledger.write(record(name, clock, error=error))
    before = {view.connection: view for view in await state.connections.connections()}
    assert set(before) == {"known", "gone", "broken"}, "before a look nobody knows what is gone"
    assert before["known"].type is None

    listed(state, "known", "new", "broken", phase="PENDING")
    listed(state, "known", rotation="another")
    views = {view.connection: view for view in await state.connections.connections()}
    assert set(views) == {"known", "new", "broken"}
    assert (views["known"].rotation, views["known"].phase) == ("openai", "PENDING")
    assert (views["known"].type, views["known"].stage) == ("OPENAI", "verified")
    assert views["known"].endpoint == "mongodb+srv://…@e.example/x@y"
    new = views["new"]
    assert (new.stage, new.rotated_at, new.rotation) == ("unknown", None, "openai")
    assert not new.needs_attention
    assert views["broken"].needs_attention
    assert not views["known"].too_old
    clock.ahead = 31 * 86_400
    views = {view.connection: view for view in await state.connections.connections()}
    assert views["known"].too_old
    assert views["known"].needs_attention
    assert not views["new"].too_old, "nobody knows how old what it has is"


async def test_a_bad_credential_tells_when_it_was_put(
    state_of: MakeState, ledger: SqlLedger, clock: MovedClock
) -> None:
    at = clock.now()
    bad = record("a", clock, stage=Stage.FAILED, put_at=at, rotated_at=None, verified_at=None)
    await ledger.write(bad)
    (view,) = await state_of(None).connections.connections()
    assert (view.stage, view.put_at, view.verified) == ("failed", at, False)


async def test_what_is_known_to_be_gone_is_not_shown_unless_it_is_back(
    state_of: MakeState, ledger: SqlLedger, clock: MovedClock
) -> None:
    state = state_of(None)
    await ledger.write(record("a", clock, put_at=clock.now(), gone_at=clock.now()))
    assert await state.connections.connections() == []
    listed(state, "a")
    (view,) = await state.connections.connections()
    assert (view.stage, view.put_at) == ("unknown", None), "it was made again, and nothing was put"


async def test_what_a_connection_went_through(
    state_of: MakeState, ledger: SqlLedger, clock: MovedClock
) -> None:
    state = state_of(None)
    done = Outcome("run-1", "openai", "sandbox", "a", Result.ROTATED, "READY", clock.now())
    for outcome in (done, replace(done, target="other"), replace(done, run_id="run-2")):
        await state.ledger.settle([Settlement(None, outcome)])
    assert [each.run_id for each in await state.connections.outcomes("sandbox", "a")] == [
        "run-2",
        "run-1",
    ]
    assert await state.connections.outcomes("sandbox", "*") == (), "a name is no glob here"


async def test_sources_as_they_answered(state_of: MakeState, clock: MovedClock) -> None:
    state = state_of(None)
    (source,) = await state.sources.sources()
    assert (source.name, source.kind, source.ok_at, source.failing_since) == (
        "mounted",
        "file",
        None,
        None,
    )
    state.contacts(SourceRead("mounted", "read", "ok", 0.1))
    ends_at = clock.now()
    state.contacts(TokenSeen("mounted", ends_at))
    state.contacts(SourceRead("mounted", "read", "unavailable", 0.1, "it is sealed"))
    (source,) = await state.sources.sources()
    assert source.ok_at is not None
    assert source.failing_since is not None
    assert (source.reason, source.token_ends_at) == ("it is sealed", ends_at)


async def test_who_leads(state_of: MakeState, candidate: Elector) -> None:
    assert state_of(None).leader.name() is None
    assert state_of(candidate).leader.name() == "", "nobody is known to"
