"""Attacks on the roll-out that once succeeded: each test states what it promises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from rotator.clock import SystemClock
from rotator.errors import TargetError, TargetRefused, TargetUnavailable
from rotator.leases import policy
from rotator.model.connection import Connection
from rotator.model.credential import Credential
from rotator.model.lease import HeldLease, LeaseState
from rotator.model.plan import Change
from rotator.model.record import Record, Stage
from rotator.model.rule import RolloutPolicy, VerificationPolicy
from rotator.model.run import Result, Settlement
from rotator.rotation import effects as fx
from rotator.rotation.decide import decide, invalid
from rotator.rotation.drive import drive
from rotator.rotation.rollout import RollOut
from tests.unit.rotation.simulation import Asked, Simulation, cloud
from tests.unit.rotation.values import NOON, REF, connection, credential, record, rule

TARGET = "prod"
DENIED = TargetRefused(TARGET, "listing its connections: refused", status=403)


def keys(count: int) -> list[tuple[str, str]]:
    return [(TARGET, f"c{n:02}") for n in range(count)]


def first_look(sim: Simulation) -> bool:
    """Whether the next thing to be carried out is a look."""
    return not sim.arrived and bool(sim.pending) and isinstance(sim.pending[0], Asked)


def answer_look(sim: Simulation, found: Mapping[str, Connection] | TargetError) -> None:
    """The look that is next is answered with this."""
    asked: Any = sim.pending.pop(0)  # first_look said so
    look = asked.look
    sim.asked_looks += 1
    sim.arrived.append(fx.Seen(look.target, look.names, found, asked.at))


def until(sim: Simulation, reached: Callable[[], bool], most: int = 5_000) -> None:
    for _ in range(most):
        if reached():
            return
        assert sim.step(), "it comes so far"
    raise AssertionError("it comes so far")


def holds(sim: Simulation, name: str) -> str:
    return sim.cloud.held[TARGET, name].fingerprint


# Looks


def test_a_look_that_fails_where_one_more_would_settle_it_is_not_repeated_without_a_pause() -> None:
    sim = Simulation(cloud(*keys(1)))
    sim.start("new")
    # Seen usable once; the look that would confirm it, and all that follow, are refused at once.
    until(sim, lambda: sim.asked_looks == 1 and first_look(sim))
    began, before = sim.cloud.now, sim.asked_looks
    for _ in range(2_000):
        if first_look(sim):
            answer_look(sim, DENIED)
        elif not sim.step():
            break
        if sim.cloud.now > began + 10.0:
            break
    assert sim.asked_looks - before <= 10, "about one look for each interval of 2 s"


def test_a_replica_that_lags_behind_is_not_asked_again_without_a_pause() -> None:
    sim = Simulation(cloud(*keys(1)))
    sim.start("new")
    until(sim, lambda: sim.asked_looks == 1 and first_look(sim))
    began, before = sim.cloud.now, sim.asked_looks
    sim.cloud.lag = 1_000.0
    for _ in range(2_000):
        if not sim.step() or sim.cloud.now > began + 10.0:
            break
    assert sim.asked_looks - before <= 10, "about one look for each interval of 2 s"


def test_two_misses_in_one_moment_do_not_make_a_connection_count_as_deleted() -> None:
    """A list that shifts, or a replica that doesn't know it yet, costs one look at the most."""
    sim = Simulation(cloud(*keys(5)))
    sim.start("bad")
    sim.wanted = "bad"
    first = sim.cloud.held[TARGET, "c00"]
    first.phases = [(float("-inf"), "READY")]
    sim.cloud.phase_lag = 1.9
    until(sim, lambda: sim.asked_looks == 1 and first_look(sim))
    began = sim.cloud.now
    for _ in range(2_000):
        if first_look(sim) and sim.cloud.now < began + 0.5:
            answer_look(sim, {})
        elif not sim.step():
            break
    assert len(sim.holding("bad")) <= 1, "the canary and nothing else"


def test_a_connection_that_flaps_ends_in_the_time_that_it_has() -> None:
    sim = Simulation(cloud(*keys(1), fingerprint="bad-before"))
    sim.start("new")
    looks = 0
    while sim.machine is not None and not sim.machine.done and sim.cloud.now < 3_000.0:
        if first_look(sim):
            looks += 1
            phase = "READY" if looks % 2 else "INVALID_AUTH"
            sim.cloud.held[TARGET, "c00"].phases = [(float("-inf"), phase)]
        sim.step()
    assert sim.cloud.now < 120.0, "with a timeout of 30 s"


# Deletions


def test_a_connection_that_is_deleted_after_a_lost_answer_does_not_halt_the_others() -> None:
    sim = Simulation(cloud(*keys(3)))
    sim.start("new")
    until(sim, lambda: bool(sim.pending) and isinstance(sim.pending[0], fx.Send))
    sim.carry_out(0, lambda send: sim.lost(send, applied=False))
    until(sim, lambda: bool(sim.pending) and isinstance(sim.pending[0], fx.Send))
    del sim.cloud.held[TARGET, "c00"]
    sim.finish()
    assert holds(sim, "c01") == holds(sim, "c02") == "new"
    assert sim.results()[TARGET, "c00"] is Result.SKIPPED


def test_a_connection_that_is_deleted_after_a_conflict_does_not_halt_the_others() -> None:
    sim = Simulation(cloud(*keys(3)))
    sim.start("new")
    until(sim, lambda: bool(sim.pending) and isinstance(sim.pending[0], fx.Send))
    sim.cloud.write((TARGET, "c00"), "by hand")
    until(sim, lambda: not any(isinstance(each, fx.Send) for each in sim.pending))
    until(sim, lambda: bool(sim.pending) and isinstance(sim.pending[0], fx.Send))
    del sim.cloud.held[TARGET, "c00"]
    sim.finish()
    assert holds(sim, "c01") == holds(sim, "c02") == "new"


def test_a_deletion_that_reads_show_late_does_not_halt_the_others() -> None:
    sim = Simulation(cloud(*keys(3)))
    sim.start("new")
    until(sim, lambda: bool(sim.pending) and isinstance(sim.pending[0], fx.Send))
    ghost = sim.cloud.shown((TARGET, "c00"))
    assert ghost is not None
    deleted_at = sim.cloud.now
    del sim.cloud.held[TARGET, "c00"]
    for _ in range(2_000):
        late = first_look(sim) and sim.cloud.now < deleted_at + 1.0
        if late and "c00" in sim.pending[0].look.names:  # type: ignore[union-attr]
            answer_look(sim, {"c00": ghost})
        elif not sim.step():
            break
    assert holds(sim, "c01") == holds(sim, "c02") == "new"


def test_a_connection_that_is_there_again_is_not_on_record_as_gone() -> None:
    """What is on record as gone is asked for by name no more, and shown on no page."""
    sim = Simulation(cloud(*keys(1)))
    sim.start("bad")
    for _ in range(2_000):
        if first_look(sim):
            answer_look(sim, {})
        elif not sim.step():
            break
    sim.cloud.now += 60.0
    sim.run("bad")
    found = sim.book.records[TARGET, "c00"]
    assert found.stage is Stage.FAILED
    assert found.gone_at is None


# Stopping


def test_a_404_to_what_was_in_flight_when_the_stop_came_does_not_keep_the_process() -> None:
    sim = Simulation(cloud(*keys(3)))
    sim.start("new")
    until(sim, lambda: bool(sim.pending) and isinstance(sim.pending[0], fx.Send))
    sim.stop()
    began = sim.cloud.now
    sim.carry_out(0, lambda send: fx.Refused(send.key, TargetRefused(TARGET, "no", status=404)))
    for _ in range(2_000):
        if first_look(sim):
            answer_look(sim, TargetUnavailable(TARGET, "it does not answer"))
        elif not sim.step():
            break
    assert sim.cloud.now - began < 1.0, "what is in flight has ended"


async def test_a_stop_does_not_wait_for_a_look_whose_answer_nobody_needs() -> None:
    class Hanging:
        async def update(self, connection: Connection, credential: Credential) -> str | None:
            return "6"

        async def look(self, names: Collection[str]) -> Mapping[str, Connection]:
            await asyncio.Event().wait()
            return {}

    class Ledger:
        async def write(self, record: Record) -> None:
            pass

        async def settle(self, settlements: Collection[Settlement]) -> None:
            pass

    context: Any = SimpleNamespace(
        targets={TARGET: Hanging()}, ledger=Ledger(), clock=SystemClock(), observe=lambda _: None
    )
    change = decide(connection(), credential(), REF, None)
    verification = VerificationPolicy(timeout=1.0, interval=1.0)
    machine = RollOut.of([change], rule(verification=verification), "run-1", {TARGET: 1})

    async def make(_: Change) -> Credential:
        raise AssertionError("nothing is leased")

    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, stop.set)
    driven = asyncio.ensure_future(drive(machine, context, make, stop))
    await asyncio.wait([driven], timeout=1.5)
    assert machine.done
    ended = driven.done()
    driven.cancel()
    await asyncio.wait([driven])
    assert ended, "the roll-out is done, and its driver is not"


def test_a_stop_keeps_the_version_that_a_look_showed() -> None:
    """Else the next run takes whatever is newer for ours: here what somebody wrote meanwhile."""
    sim = Simulation(cloud(*keys(1), tells=False))
    sim.start("new")
    until(sim, lambda: sim.asked_looks == 1 and not sim.arrived)
    sim.stop()
    sim.finish()
    sim.cloud.write((TARGET, "c00"), "by hand")
    sim.run("new")
    assert sim.claims() == []
    assert holds(sim, "c00") == "new"


# Versions that are words


def test_a_replica_that_lags_behind_the_last_two_updates_makes_no_drift() -> None:
    sim = Simulation(cloud(*keys(1), opaque=True))
    sim.cloud.now = 100.0
    sim.run("new")
    sim.cloud.now += 5.0
    sim.run("newer")
    sim.cloud.lag = sim.cloud.now - 99.0  # a replica that shows how it was before both
    assert not any(change.touched for change in sim.plan("newer"))


def test_a_replica_that_lags_behind_the_last_update_proves_nothing_of_the_next() -> None:
    """Versions are words, and answers tell none: then what the ledger knows to be old is all."""
    sim = Simulation(cloud(*keys(5), opaque=True, tells=False))
    sim.cloud.now = 100.0
    sim.run("new")
    sim.cloud.now += 5.0
    sim.start("bad")
    sim.cloud.lag = 30.0  # looks are answered by another replica than the list was
    for _ in range(500):
        if not sim.step():
            break
    assert sim.claims() == []
    assert len(sim.holding("bad")) <= 1, "the canary and nothing else"


# How far a bad credential comes


def test_a_canary_that_is_refused_is_no_proof_for_all_the_others() -> None:
    """One failure is permitted: not forty."""
    sim = Simulation(cloud(*keys(40)), RolloutPolicy(canary=1, max_failures=1))
    sim.run("bad")
    assert len(sim.holding("bad")) <= 2


def test_a_lease_that_an_earlier_run_made_is_no_proof_for_one_that_this_run_makes() -> None:
    sim = Simulation(cloud(*keys(5)))
    sim.start("new", leased=True)
    until(sim, lambda: bool(sim.at_stage(Stage.PUT)))
    sim.kill()
    sim.cloud.now += 10.0
    # c00 lives on a lease that works, and is only verified; the others get a fresh one, a bad one.
    sim.start("new", leased=True)
    sim.wanted = "bad"
    sim.finish()
    assert len(sim.holding("bad")) <= 1, "the canary and nothing else"


def test_invalid_connections_of_a_target_without_updates_count_against_all_targets() -> None:
    east = [("east", f"c{n}") for n in range(4)]
    sim = Simulation(
        cloud(*east), RolloutPolicy(canary=0, batch=1, max_failures=9, max_failures_total=1)
    )
    sim.cloud.add(("west", "c0"))
    shown = sim.cloud.shown(("west", "c0"))
    assert shown is not None
    del sim.cloud.held["west", "c0"]
    changes = (*sim.plan("bad"), invalid(shown, "the secret lacks a field"))
    made = rule(rollout=sim.rollout, verification=sim.verification, targets=("east", "west"))
    sim.runs, sim.machine = 1, RollOut.of(changes, made, "run-1", {"east": 1, "west": 1})
    sim._take(sim.machine.begin(sim.now))
    sim.finish()
    assert len(sim.holding("bad")) == 1, "one invalid and one refused are more than one failure"


def test_a_canary_that_was_made_again_does_not_go_before_the_one_that_holds_what_failed() -> None:
    """Its record is of the connection that was deleted: what took its name never held it."""
    sim = Simulation(cloud(*keys(3)))
    sim.start("bad")
    until(sim, lambda: first_look(sim))
    del sim.cloud.held[TARGET, "c00"]
    sim.cloud.add((TARGET, "c00"), "by hand")
    sim.finish()
    assert sim.holding("bad") == {(TARGET, "c01")}
    sim.cloud.now += 60.0
    sim.run("bad")
    assert len(sim.holding("bad")) <= 1, "the canary and nothing else"


# Leases


def test_a_lease_that_a_connection_may_live_on_stays_until_another_is_verified() -> None:
    """L1 worked; L2 was put, and its endpoint could not be reached; the update to L3 is refused."""
    sim = Simulation(cloud(*keys(1)))
    sim.run("L1", leased=True)
    sim.start("L2", leased=True)
    while sim.machine is not None and not sim.machine.done:
        sim.cloud.held[TARGET, "c00"].phases = [(float("-inf"), "UNREACHABLE")]
        assert sim.step()
    assert holds(sim, "c00") == "L2"
    sim.cloud.now += 10.0
    sim.start("L3", leased=True)
    until(sim, lambda: bool(sim.pending) and isinstance(sim.pending[0], fx.Send))
    sim.carry_out(0, sim.refused)
    sim.finish()
    assert holds(sim, "c00") == "L2"
    record = sim.book.records[TARGET, "c00"]
    assert "version of L2" in record.leases, "the lease that is in place is not retired"


# Secrets


def test_a_detail_that_may_echo_the_former_credential_is_not_kept() -> None:
    """A status that lags shows what the endpoint said of the credential before."""
    sim = Simulation(cloud(*keys(1), fingerprint="bad-old"))
    sim.start("bad-2")
    while sim.machine is not None and not sim.machine.done:
        if first_look(sim):
            shown = sim.cloud.shown((TARGET, "c00"))
            assert shown is not None
            answer_look(sim, {"c00": replace(shown, detail="Incorrect key: value-of-bad-old")})
        else:
            assert sim.step()
    sim.finish()
    assert not any("value-of-bad-old" in outcome.reason for outcome in sim.book.outcomes)


def test_the_repr_of_a_connection_has_no_detail() -> None:
    assert "sk-secret" not in repr(connection(detail="Incorrect API key provided: sk-secret"))


# Drift


def test_where_drift_is_only_reported_a_repair_by_hand_is_not_overwritten() -> None:
    sim = Simulation(cloud(*keys(1)), reapply_drift=False)
    sim.run("bad")
    sim.cloud.now += 10.0
    sim.cloud.write((TARGET, "c00"), "by hand")
    sim.cloud.now += 10.0
    sim.run("bad")
    assert holds(sim, "c00") == "by hand"


def test_a_replica_that_lags_behind_the_last_update_is_nobody_elses_write() -> None:
    sim = Simulation(cloud(*keys(1), opaque=True))
    sim.cloud.now = 100.0
    sim.run("new")
    sim.cloud.now += 5.0
    before = len(sim.cloud.writes)
    sim.start("newer")
    sim.cloud.lag = 20.0
    for _ in range(500):
        if not sim.step():
            break
    assert len(sim.cloud.writes) - before == 1
    assert sim.results()[TARGET, "c00"] is Result.ROTATED


def test_a_lease_of_a_connection_that_was_deleted_long_ago_is_given_up() -> None:
    """Only the run that finds it gone passes it to `unused`; after that it is needed for ever."""
    gone = replace(
        record(Stage.VERIFIED, name="c1", secret_version="L1"),
        verified_version="L1",
        gone_at=NOON,
    )
    kept = replace(record(Stage.VERIFIED, name="c2", secret_version="L2"), verified_version="L2")
    asked = HeldLease("", REF, "openai", "run-1", LeaseState.LIVE, NOON, 3600, True, None, "m")
    leases = [replace(asked, id="L1"), replace(asked, id="L2")]
    unused = policy.unused(leases, [gone, kept], NOON)
    assert [lease.id for lease in unused] == ["L1"]


def test_a_target_that_was_halted_is_not_reported_as_a_mere_interruption() -> None:
    """Its failure would be in no reason, and the run would be resumed as if nothing had failed."""
    east, west = [("east", f"c{n}") for n in range(5)], ("west", "c0")
    sim = Simulation(cloud(*east, west))
    sim.start("bad")
    sim.cloud.phase_lag = 0.0
    while not sim.machine.lanes["east"].done:  # type: ignore[union-attr]
        sim.cloud.held[west].phases = [(float("-inf"), "UNREACHABLE")]
        assert sim.step()
    sim.stop()
    sim.finish()
    assert sim.machine is not None
    summary = sim.machine.summary()
    assert "c0 was rejected" in summary.reason
    assert summary.cause is not None
