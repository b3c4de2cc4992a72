"""The roll-out in one target: who goes first, who goes together, and when it stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

import pytest

from rotator.errors import Cause, TargetUnavailable
from rotator.model.plan import Change, Verdict
from rotator.model.record import Stage
from rotator.model.rule import OnFailure, RolloutPolicy, VerificationPolicy
from rotator.model.run import Result
from rotator.rotation import effects as fx
from rotator.rotation.decide import decide, decide_leased
from rotator.rotation.effects import Effect, Moment
from rotator.rotation.lane import Failure, Lane, exceeded, risk
from rotator.rotation.steps import End, Terms
from tests.unit.rotation.simulation import Asked, Simulation, cloud
from tests.unit.rotation.values import REF, at, connection, credential, record

KINDS = ("fresh", "verified", "failed", "put", "intended", "refused", "unverified")
"""What a plan can hold that is to be touched: updates by the record before, and a look alone."""
RISK = {"failed": 0, "put": 0, "intended": 1, "refused": 2, "verified": 4, "fresh": 4}
TERMS = Terms(
    "run-1", "openai", VerificationPolicy(timeout=30.0, interval=2.0, stable=2), reapply_drift=True
)
ROLLOUTS = [
    RolloutPolicy(canary=canary, batch=batch) for canary in (0, 1, 2, 3) for batch in (None, 1, 2)
]


def change(kind: str, name: str) -> Change:
    listed = connection(name)
    if kind == "fresh":
        return decide(listed, credential(), REF, None)
    if kind == "unverified":
        return decide(listed, credential(), REF, record(Stage.PUT, name=name))
    before = record(Stage(kind), name=name, fingerprint="old")
    return decide(listed, credential(), REF, before)


def plans(size: int, kinds: Iterable[str]) -> Iterator[tuple[Change, ...]]:
    """Every plan over so many connections."""
    names = [f"c{number}" for number in range(size)]
    made = {(kind, name): change(kind, name) for kind in kinds for name in names}
    for chosen in product(kinds, repeat=size):
        yield tuple(made[kind, name] for kind, name in zip(chosen, names, strict=True))


SMALL_PLANS = [*plans(3, KINDS), *plans(5, ("fresh", "failed", "unverified"))]


@dataclass
class Stages:
    """A lane whose every update works at once, and what it touched in each stage."""

    lane: Lane
    now: float = 0.0
    stages: list[list[str]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def run(self) -> Stages:
        effects = self._advance()
        for _ in range(1000):
            if self.lane.done:
                return self
            effects = self._round(effects)
        raise AssertionError("a lane ends")

    def _advance(self) -> list[Effect]:
        return self.lane.advance(Moment(at(self.now), self.now))

    def _handle(self, event: fx.Event) -> list[Effect]:
        return self.lane.handle(event, Moment(at(self.now), self.now))

    def _round(self, effects: list[Effect]) -> list[Effect]:
        follows: list[Effect] = []
        for effect in effects:
            match effect:
                case fx.Write(key, _):
                    follows += self._handle(fx.Written(key))
                case fx.Send(key, _, _):
                    self.sent.append(key[1])
                    follows += self._handle(fx.Answered(key, "9"))
                case fx.Look(target, names):
                    touched = {n for n in names if self.lane.attempts[n].end is None}
                    new = sorted(touched - {n for stage in self.stages for n in stage})
                    if new:
                        self.stages.append(new)
                    found = {n: connection(n, version=self._version(n)) for n in names}
                    follows += self._handle(fx.Seen(target, names, found, self.now))
                case _:
                    pass
        if not follows and not self.lane.done:
            due = self.lane.wake_at
            assert due is not None, "a lane that is not done waits for something"
            self.now = max(self.now, due)
            follows = self._advance()
        return follows

    def _version(self, name: str) -> str:
        return "9" if self.lane.attempts[name].change.update else "5"


def lane(
    changes: Iterable[Change],
    policy: RolloutPolicy,
    places: int = 100,
    failed: Iterable[Failure] = (),
) -> Lane:
    return Lane.of("prod", changes, policy, TERMS, places, list(failed))


def kind_of(one: Change) -> str:
    if one.verify_only:
        return "unverified"
    return str(one.record.stage) if one.record else "fresh"


def test_the_kinds_are_what_they_say() -> None:
    for kind in KINDS:
        one = change(kind, "a")
        assert kind_of(one) == kind
        assert one.update is (kind != "unverified")


class TestRisk:
    def test_who_may_hold_a_bad_credential_goes_first_then_by_name(self) -> None:
        kinds = [kind for kind in KINDS if kind != "unverified"]
        some = [change(kind, name) for name in ("b", "a") for kind in kinds]
        order = [(RISK[kind_of(one)], one.connection.name) for one in sorted(some, key=risk)]
        assert order == sorted(order)

    def test_the_order_in_which_connections_are_listed_is_of_no_account(self) -> None:
        for plan in SMALL_PLANS[::7]:
            backwards = list(reversed(plan))
            assert sorted(plan, key=risk) == sorted(backwards, key=risk)

    @pytest.mark.parametrize("stage", Stage)
    def test_a_record_says_nothing_of_a_connection_that_was_made_again(self, stage: Stage) -> None:
        known = record(stage, name="a", uid="uid-2")
        again = decide(connection("a"), credential(), REF, known)
        assert (again.verdict, again.record) == (Verdict.NEW, known)
        assert risk(again) == risk(change("fresh", "a"))

    def test_a_bad_credential_stays_where_it_is_when_its_canary_was_made_again(self) -> None:
        """The new canary, which holds it, goes before one of the old canary's name."""
        sim = Simulation(cloud(("prod", "a"), ("prod", "b"), ("prod", "c")))
        sim.start("bad")
        while not sim.at_stage(Stage.PUT):
            sim.step()
        del sim.cloud.held["prod", "a"]
        sim.cloud.add(("prod", "a"), "by hand")
        while ("prod", "b") not in sim.at_stage(Stage.PUT):
            assert sim.step()
        sim.kill()
        assert sim.holding("bad") == {("prod", "b")}
        sim.run("bad again")
        assert sim.holding("bad") == {("prod", "b")}


@pytest.mark.parametrize("policy", ROLLOUTS, ids=lambda r: f"canary={r.canary},batch={r.batch}")
class TestStages:
    def test_everything_is_sent_once_and_settled_once(self, policy: RolloutPolicy) -> None:
        for plan in SMALL_PLANS[::3]:
            made = Stages(lane(plan, policy)).run()
            updates = [one.connection.name for one in plan if one.update]
            assert Counter(made.sent) == Counter(updates)
            assert all(a.end is End.WORKS for a in made.lane.attempts.values())

    def test_the_first_holds_the_unverified_and_the_canaries(self, policy: RolloutPolicy) -> None:
        for plan in SMALL_PLANS[::3]:
            first = set(Stages(lane(plan, policy)).run().stages[0])
            unverified = {one.connection.name for one in plan if one.verify_only}
            updates = sorted((one for one in plan if one.update), key=risk)
            if policy.canary:
                most = max(0, policy.canary - len(unverified))
            else:
                most = policy.batch or len(updates)
            if not unverified and not most:
                continue
            assert first == unverified | {one.connection.name for one in updates[:most]}

    def test_every_later_one_holds_a_full_batch_in_order(self, policy: RolloutPolicy) -> None:
        for plan in SMALL_PLANS[::3]:
            made = Stages(lane(plan, policy)).run()
            later = made.stages[1:]
            size = policy.batch or len(plan)
            assert all(len(stage) == size for stage in later[:-1])
            assert all(len(stage) <= size for stage in later[-1:])
            updates = sorted((one for one in plan if one.update), key=risk)
            order = [name for stage in made.stages for name in stage]
            place = {name: number for number, stage in enumerate(made.stages) for name in stage}
            assert sorted(order) == sorted(one.connection.name for one in plan)
            at_stages = [place[one.connection.name] for one in updates]
            assert at_stages == sorted(at_stages)


class TestPlaces:
    def test_no_more_are_in_flight_and_a_quarter_more_have_their_intent_written(self) -> None:
        plan = [change("fresh", f"c{number:02}") for number in range(20)]
        made = lane(plan, RolloutPolicy(canary=0), places=8)
        now = Moment(at(0), 0.0)
        writes = made.advance(now)
        assert len(writes) == 10
        assert all(isinstance(effect, fx.Write) for effect in writes)
        out = [made.handle(fx.Written(("prod", f"c{n:02}")), now) for n in range(10)]
        sends = [effect for effects in out for effect in effects if isinstance(effect, fx.Send)]
        assert [send.key[1] for send in sends] == [f"c{n:02}" for n in range(8)]

    def test_an_answer_keeps_its_place_until_it_is_on_record(self) -> None:
        plan = [change("fresh", name) for name in ("a", "b")]
        made = lane(plan, RolloutPolicy(canary=0), places=1)
        now = Moment(at(0), 0.0)
        made.advance(now)
        (send,) = made.handle(fx.Written(("prod", "a")), now)
        assert isinstance(send, fx.Send)
        effects = made.handle(fx.Answered(("prod", "a"), "6"), now)
        assert not any(isinstance(effect, fx.Send) for effect in effects)
        effects = made.handle(fx.Written(("prod", "a")), now)
        assert [effect.key[1] for effect in effects if isinstance(effect, fx.Write)] == ["b"]


class TestHalting:
    @pytest.mark.parametrize(
        ("failures", "policy", "stop"),
        [
            (0, RolloutPolicy(), False),
            (1, RolloutPolicy(), True),
            (1, RolloutPolicy(max_failures=1), False),
            (2, RolloutPolicy(max_failures=1), True),
            (99, RolloutPolicy(on_failure=OnFailure.CONTINUE), False),
            (99, RolloutPolicy(on_failure=OnFailure.CONTINUE, max_failures=1), False),
        ],
    )
    def test_after_so_many_failures(self, failures: int, policy: RolloutPolicy, stop: bool) -> None:
        assert exceeded(failures, policy) is stop

    def test_names_what_failed_and_leaves_the_others(self) -> None:
        sim = Simulation(cloud(*[("prod", name) for name in "abc"]), RolloutPolicy(canary=2))
        sim.run("bad")
        assert sim.machine is not None
        made = sim.machine.lanes["prod"]
        assert made.over == "stopped after a was rejected (INVALID_AUTH)"
        assert [failure.connection for failure in made.failed] == ["a", "b"]
        assert made.failures == 2
        assert made.attempts["c"].end is End.LEFT
        assert made.attempts["c"].reason == f"not touched: {made.over}"

    def test_what_was_sent_with_it_is_verified_to_its_end(self) -> None:
        sim = Simulation(
            cloud(("prod", "a"), ("prod", "b"), phase_lag=0.5), RolloutPolicy(canary=2)
        )
        sim.start("new")
        while len(sim.at_stage(Stage.PUT)) < 2:
            sim.step()
        sim.cloud.held["prod", "a"].phases.append((sim.cloud.now + 0.1, "INVALID_AUTH"))
        sim.finish()
        assert sim.results() == {("prod", "a"): Result.FAILED, ("prod", "b"): Result.ROTATED}

    def test_a_failure_before_anything_is_touched_stops_everything(self) -> None:
        broken = Failure("x", "is rejected (INVALID_AUTH)", Cause.REJECTED)
        made = lane([change("fresh", "a")], RolloutPolicy(), failed=[broken])
        (settle,) = made.advance(Moment(at(0), 0.0))
        assert isinstance(settle, fx.Settle)
        assert made.done
        assert made.over == "stopped after x is rejected (INVALID_AUTH)"

    def test_a_canary_that_was_deleted_is_replaced(self) -> None:
        sim = Simulation(cloud(*[("prod", name) for name in "abcd"]))
        sim.start("bad")
        while not sim.at_stage(Stage.PUT):
            sim.step()
        del sim.cloud.held["prod", "a"]
        sim.finish()
        assert sim.holding("bad") == {("prod", "b")}

    def test_a_canary_that_failed_and_may_replaces_none(self) -> None:
        names = "abcd"
        policy = RolloutPolicy(canary=2, max_failures=1, batch=1)
        sim = Simulation(cloud(*[("prod", name) for name in names]), policy)
        sim.start("new")
        while not sim.at_stage(Stage.PUT):
            sim.step()
        sim.cloud.held["prod", "a"].phases.append((sim.cloud.now, "INVALID_AUTH"))
        sim.finish()
        assert sim.results()["prod", "a"] is Result.FAILED
        assert {sim.results()["prod", name] for name in "bcd"} == {Result.ROTATED}

    def test_of_a_plan_that_was_already_proven_the_first_stage_holds_no_canary(self) -> None:
        plan = [change("unverified", "a"), change("fresh", "b"), change("fresh", "c")]
        made = Stages(lane(plan, RolloutPolicy(canary=1))).run()
        assert made.stages == [["a"], ["b", "c"]]


class TestCanariesSeenAgain:
    def test_one_that_turns_bad_late_stops_the_batches_that_follow(self) -> None:
        sim = Simulation(
            cloud(*[("prod", name) for name in "abcde"], phase_lag=3.0), RolloutPolicy(batch=1)
        )
        sim.run("bad")
        assert sim.holding("bad") == {("prod", "a"), ("prod", "b")}
        assert sim.results()["prod", "a"] is Result.FAILED
        assert sim.counts_are_right()

    def test_what_turns_bad_at_the_end_is_a_failure_after_all(self) -> None:
        policy = RolloutPolicy(canary=0, batch=1)
        sim = Simulation(cloud(("prod", "a"), ("prod", "b")), policy)
        sim.start("new")
        while ("prod", "a") not in sim.at_stage(Stage.VERIFIED):
            sim.step()
        sim.cloud.held["prod", "a"].phases.append((sim.cloud.now + 1.0, "INVALID_AUTH"))
        sim.finish()
        assert sim.results() == {("prod", "a"): Result.FAILED, ("prod", "b"): Result.ROTATED}
        assert sim.settled_twice() == []
        assert sim.counts_are_right()

    @staticmethod
    def unreachable_after_the_canary(policy: RolloutPolicy) -> Simulation:
        """A canary that works, and looks that fail from then on."""
        sim = Simulation(cloud(*[("prod", name) for name in "abc"]), policy)
        sim.start("new")
        while ("prod", "a") not in sim.at_stage(Stage.VERIFIED):
            sim.step()
        sim.pass_time(0.1)
        for _ in range(10_000):
            looks = [n for n, effect in enumerate(sim.pending) if isinstance(effect, Asked)]
            if looks:
                sim.fail(looks[0])
            elif not sim.step():
                return sim
        raise AssertionError("a run ends")

    def test_where_they_can_not_be_looked_at_nothing_more_is_put(self) -> None:
        sim = self.unreachable_after_the_canary(RolloutPolicy(batch=1, max_failures=1))
        assert sim.machine is not None
        made = sim.machine.lanes["prod"]
        assert sim.results() == {
            ("prod", "a"): Result.ROTATED,
            ("prod", "b"): Result.FAILED,
            ("prod", "c"): Result.SKIPPED,
        }
        assert made.over == "stopped, since what works could not be looked at once more"
        assert isinstance(made.trouble, TargetUnavailable)
        assert sim.machine.summary().cause is Cause.TARGET


class TestStopping:
    @staticmethod
    def stopped_when(stage: Stage, policy: RolloutPolicy | None = None) -> Simulation:
        sim = Simulation(
            cloud(*[("prod", name) for name in "abc"]), policy or RolloutPolicy(canary=2)
        )
        sim.start("new")
        while not sim.at_stage(stage):
            sim.step()
        sim.stop()
        return sim

    def test_what_is_being_verified_is_left(self) -> None:
        sim = self.stopped_when(Stage.VERIFIED, RolloutPolicy(batch=1))
        while len(sim.cloud.writes) < 2 and sim.step():
            pass
        sim.finish()
        assert sim.results()["prod", "a"] is Result.ROTATED
        assert sim.results()["prod", "c"] is Result.SKIPPED

    def test_what_is_in_flight_ends_and_is_on_record(self) -> None:
        sim = self.stopped_when(Stage.INTENDED)
        sim.finish()
        assert set(sim.results().values()) == {Result.SKIPPED}
        assert sim.machine is not None
        assert sim.machine.lanes["prod"].stopped
        sim.run("new")
        assert sim.at_stage(Stage.VERIFIED) == sim.cloud.held.keys()

    def test_what_was_answered_while_stopping_is_left_once_that_is_on_record(self) -> None:
        sim = Simulation(cloud(("prod", "a"), ("prod", "b")), RolloutPolicy(canary=2))
        sim.start("new")
        while len(sim.cloud.writes) < 2:
            sim.step()
        sim.stop()
        sim.finish()
        assert sim.at_stage(Stage.PUT) == sim.cloud.held.keys()
        assert set(sim.results().values()) == {Result.SKIPPED}

    @pytest.mark.parametrize("applied", [True, False])
    def test_what_is_lost_while_stopping_stays_intended(self, applied: bool) -> None:
        sim = Simulation(cloud(("prod", "a")))
        sim.start("new")
        while not (sim.pending and isinstance(sim.pending[0], fx.Send)):
            sim.step()
        sim.stop()
        sim.carry_out(0, lambda send: sim.lost(send, applied=applied))
        sim.finish()
        assert sim.at_stage(Stage.INTENDED) == {("prod", "a")}
        assert sim.asked_looks == 0

    def test_what_conflicts_while_stopping_is_taken_back(self) -> None:
        sim = Simulation(cloud(("prod", "a")))
        sim.book.records["prod", "a"] = known = record(
            Stage.VERIFIED, name="a", fingerprint="old", version="11", uid="uid-1"
        )
        sim.start("new")
        while not (sim.pending and isinstance(sim.pending[0], fx.Send)):
            sim.step()
        sim.stop()
        sim.cloud.write(("prod", "a"), "by hand")
        sim.finish()
        assert sim.book.records["prod", "a"] == known
        assert sim.asked_looks == 0

    def test_a_doubt_is_not_looked_into(self) -> None:
        sim = Simulation(cloud(("prod", "a")))
        sim.start("new")
        while not (sim.pending and isinstance(sim.pending[0], fx.Send)):
            sim.step()
        sim.carry_out(0, lambda send: sim.lost(send, applied=True))
        sim.tell()
        sim.stop()
        assert sim.machine is not None
        assert sim.machine.done
        sim.finish()
        assert sim.at_stage(Stage.INTENDED) == {("prod", "a")}
        assert sim.results() == {("prod", "a"): Result.SKIPPED}

    def test_a_credential_that_comes_too_late_is_not_put(self) -> None:
        plan = [decide_leased(connection("a"), REF, None, "its lease has ended")]
        made = lane(plan, RolloutPolicy())
        now = Moment(at(0), 0.0)
        made.advance(now)
        made.stop("told to stop", now)
        (settle,) = made.handle(fx.Issued(("prod", "a"), credential()), now)
        assert isinstance(settle, fx.Settle)
        assert made.attempts["a"].reason == "not touched: told to stop"
        assert made.done

    def test_a_process_that_may_not_write_any_more_stops(self) -> None:
        sim = Simulation(cloud(("prod", "a"), ("prod", "b")), RolloutPolicy(canary=2))
        sim.start("new")
        while not (sim.pending and isinstance(sim.pending[0], fx.Send)):
            sim.step()
        sim.carry_out(0, sim.withheld)
        sim.finish()
        assert sim.machine is not None
        made = sim.machine.lanes["prod"]
        assert (made.over, made.stopped) == ("this process may not write any more", True)
        assert made.attempts["a"].reason == "not touched: this process may not write any more"
        assert sim.machine.summary().reason.startswith("this process may not write any more; ")

    def test_what_works_is_not_looked_at_once_more(self) -> None:
        sim = self.stopped_when(Stage.VERIFIED, RolloutPolicy(canary=1))
        looks = sim.asked_looks
        sim.finish()
        assert sim.asked_looks == looks


def test_nothing_to_do_is_done_at_once() -> None:
    made = lane([], RolloutPolicy())
    assert made.advance(Moment(at(0), 0.0)) == []
    assert made.done
    assert made.wake_at is None
    assert made.advance(Moment(at(1), 1.0)) == []


def test_looks_are_requests_for_all_that_is_due_and_the_canaries_along() -> None:
    sim = Simulation(cloud(*[("prod", name) for name in "abc"]), RolloutPolicy(batch=1))
    sim.start("new")
    while ("prod", "b") not in sim.at_stage(Stage.PUT):
        sim.step()
    asked: list[frozenset[str]] = []
    while ("prod", "b") not in sim.at_stage(Stage.VERIFIED):
        asked += [e.look.names for e in sim.pending[:1] if isinstance(e, Asked)]
        sim.step()
    assert set(asked) == {frozenset({"a", "b"})}


def test_the_last_look_is_at_everything_so_that_the_end_costs_none() -> None:
    sim = Simulation(cloud(*[("prod", name) for name in "abcd"]), RolloutPolicy(batch=2))
    sim.run("new")
    one_stage = Simulation(cloud(("prod", "a")))
    one_stage.run("new")
    assert sim.asked_looks <= 3 * one_stage.asked_looks
    assert sim.holding("new") == sim.cloud.held.keys()
