"""A roll-out over several targets: what counts for all of them, and how it ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.errors import Cause
from rotator.model.plan import Change, Verdict
from rotator.model.record import Stage
from rotator.model.rule import OnFailure, RolloutPolicy
from rotator.model.run import Result, RunResult
from rotator.rotation import effects as fx
from rotator.rotation.decide import decide, invalid
from rotator.rotation.effects import Effect, Key, Moment
from rotator.rotation.rollout import RollOut
from tests.unit.rotation.simulation import Asked, Simulation, cloud
from tests.unit.rotation.values import REF, at, connection, credential, record, rule

NOW = Moment(at(0), 0.0)
TARGETS = ("east", "west")


def fresh(name: str = "c1", target: str = "east", fingerprint: str = "new") -> Change:
    return decide(connection(name, target=target), credential(fingerprint), REF, None)


def unchanged(name: str = "c2", target: str = "east") -> Change:
    known = record(Stage.VERIFIED, name=name, target=target)
    return decide(connection(name, target=target), credential(), REF, known)


def warned(name: str = "c3", target: str = "east") -> Change:
    known = record(Stage.VERIFIED, name=name, target=target)
    drifted = connection(name, target=target, version="9")
    return decide(drifted, credential(), REF, known, reapply_drift=False)


def broken(name: str = "c4", target: str = "east", fingerprint: str = "new") -> Change:
    known = record(Stage.VERIFIED, name=name, target=target, fingerprint=fingerprint)
    refused = connection(name, target=target, phase="INVALID_AUTH")
    return decide(refused, credential(fingerprint), REF, known)


def unfit(name: str = "c5", target: str = "east") -> Change:
    return invalid(connection(name, target=target), "no such field")


def adopted(name: str = "c6", target: str = "east") -> Change:
    return decide(connection(name, target=target), credential(), REF, None, adopt_unknown=True)


def machine(*changes: Change, places: int = 4, **policy: object) -> RollOut:
    made = rule(targets=TARGETS, rollout=RolloutPolicy(**policy))  # type: ignore[arg-type]
    return RollOut.of(changes, made, "run-1", dict.fromkeys(TARGETS, places))


def settled(effects: list[Effect]) -> list[fx.Settle]:
    return [effect for effect in effects if isinstance(effect, fx.Settle)]


def results(effects: list[Effect]) -> dict[Key, Result]:
    return {
        (each.outcome.target, each.outcome.connection): each.outcome.result
        for settle in settled(effects)
        for each in settle.settlements
    }


def two_targets(rollout: RolloutPolicy | None = None, each: int = 3) -> Simulation:
    places = [(target, f"c{number}") for target in TARGETS for number in range(each)]
    return Simulation(cloud(*places), rollout or RolloutPolicy())


class TestUntouched:
    def test_every_connection_of_a_plan_has_an_outcome(self) -> None:
        changes = [unchanged(), warned(), broken(fingerprint="else"), unfit(), adopted()]
        made = machine(*changes)
        (settle,) = made.begin(NOW)
        assert made.done
        assert results([settle]) == {
            ("east", "c2"): Result.UNCHANGED,
            ("east", "c3"): Result.SKIPPED,
            ("east", "c4"): Result.FAILED,
            ("east", "c5"): Result.FAILED,
            ("east", "c6"): Result.UNCHANGED,
        }

    def test_reasons_causes_and_records(self) -> None:
        changes = [unchanged(), warned(), broken(fingerprint="else"), unfit(), adopted()]
        (settle,) = machine(*changes).begin(NOW)
        assert isinstance(settle, fx.Settle)
        reasons = {each.outcome.connection: each.outcome.reason for each in settle.settlements}
        assert reasons["c2"] == ""
        assert reasons["c3"] == changes[1].reason
        assert reasons["c4"] == changes[2].reason
        assert reasons["c5"] == "no such field"
        causes = {event.outcome.connection: event.cause for event in settle.events}
        assert causes == {
            "c2": None,
            "c3": None,
            "c4": Cause.REJECTED,
            "c5": Cause.CREDENTIAL,
            "c6": None,
        }
        kept = {each.outcome.connection: each.record for each in settle.settlements}
        assert kept["c6"] is not None
        assert (kept["c6"].stage, kept["c6"].rotation) == (Stage.VERIFIED, "openai")
        assert kept["c6"].run_id == "run-1"
        outcomes = {each.outcome.connection: each.outcome for each in settle.settlements}
        assert outcomes["c2"].fingerprint == "new"
        assert outcomes["c2"].run_id == "run-1"
        assert outcomes["c6"].fingerprint == "new"
        assert outcomes["c5"].fingerprint is None
        assert {outcome.at for outcome in outcomes.values()} == {at(0)}

    def test_a_plan_of_nothing_is_done(self) -> None:
        made = machine()
        assert made.begin(NOW) == []
        assert made.done
        assert made.wake_at is None
        assert (made.summary().result, made.summary().counts) == (RunResult.SUCCEEDED, {})

    def test_they_are_settled_before_anything_is_sent(self) -> None:
        settle, write = machine(unchanged(), fresh()).begin(NOW)
        assert isinstance(settle, fx.Settle)
        assert isinstance(write, fx.Write)


class TestFailedBefore:
    """What counts against `max_failures` before anything is touched."""

    @pytest.mark.parametrize(
        ("before", "stops"),
        [
            (unfit(), True),
            (broken(), True),
            (broken(fingerprint="else"), False),
            (unfit(target="west"), False),
            (broken(target="west"), False),
            (warned(), False),
        ],
        ids=[
            "no credential",
            "the same is refused",
            "another is refused",
            "no credential elsewhere",
            "refused elsewhere",
            "drift",
        ],
    )
    def test_stops_its_own_target(self, before: Change, stops: bool) -> None:
        effects = machine(before, fresh()).begin(NOW)
        assert any(isinstance(effect, fx.Write) for effect in effects) is not stops
        assert (results(effects).get(("east", "c1")) is Result.SKIPPED) is stops

    def test_unless_so_many_may_fail(self) -> None:
        effects = machine(unfit(), fresh(), max_failures=1).begin(NOW)
        assert any(isinstance(effect, fx.Write) for effect in effects)

    def test_says_which_in_words(self) -> None:
        made = machine(unfit(), fresh())
        made.begin(NOW)
        summary = made.summary()
        reason = "Stopped after c5 failed (no such field); 1 other was not touched"
        assert (summary.result, summary.reason) == (RunResult.FAILED, reason)
        assert summary.cause is Cause.CREDENTIAL
        made = machine(broken(), fresh(), fresh("c9"))
        made.begin(NOW)
        reason = "Stopped after c4 is rejected (INVALID_AUTH); 2 others were not touched"
        assert made.summary().reason == reason

    def test_where_nothing_is_sent_at_all_it_still_fails_the_run(self) -> None:
        made = machine(unchanged(), broken(), unfit())
        made.begin(NOW)
        summary = made.summary()
        assert summary.result is RunResult.FAILED
        assert summary.reason == "c4 is rejected (INVALID_AUTH), and 1 more failed"
        assert summary.cause is Cause.REJECTED
        assert summary.counts == {"unchanged": 1, "failed": 2}

    def test_in_a_target_that_goes_on_it_is_named_once(self) -> None:
        made = machine(unfit(), fresh(), max_failures=1)
        made.begin(NOW)
        assert made.summary().reason == "c5 failed (no such field)"

    def test_what_stopped_nothing_is_named_where_all_else_went_well(self) -> None:
        sim = two_targets()
        made = sim.start("new")
        sim.finish()
        assert made.summary().reason == ""
        mixed = machine(broken("c4", "west", fingerprint="else"), fresh("c1", "west"))
        mixed.begin(NOW)
        assert mixed.summary().reason == "c4 is rejected (INVALID_AUTH)"
        assert mixed.summary().result is RunResult.FAILED


class TestTargets:
    def test_each_has_its_own_stages(self) -> None:
        effects = machine(fresh("c1", "west"), fresh("c1", "east"), fresh("c2", "east")).begin(NOW)
        keys = [effect.key for effect in effects if isinstance(effect, fx.Write)]
        assert keys == [("east", "c1"), ("west", "c1")]

    def test_each_has_its_own_places(self) -> None:
        made = rule(targets=TARGETS, rollout=RolloutPolicy(canary=0))
        changes = [fresh(f"c{n}", target) for n in range(9) for target in TARGETS]
        effects = RollOut.of(changes, made, "run-1", {"east": 1, "west": 4}).begin(NOW)
        targets = [effect.key[0] for effect in effects if isinstance(effect, fx.Write)]
        assert (targets.count("east"), targets.count("west")) == (1, 5)

    def test_a_sick_one_holds_back_no_other(self) -> None:
        sim = two_targets()
        sim.start("new")
        while not sim.at_stage(Stage.PUT):
            sim.step()
        sim.cloud.held["east", "c0"].phases.append((sim.cloud.now, "INVALID_AUTH"))
        sim.finish()
        assert sim.holding("new", "east") == {("east", "c0")}
        assert sim.holding("new", "west") == {("west", f"c{n}") for n in range(3)}
        assert sim.machine is not None
        summary = sim.machine.summary()
        reason = "stopped after c0 was rejected (INVALID_AUTH); 2 others were not touched"
        assert summary.reason == f"target east: {reason}"
        assert summary.result is RunResult.FAILED
        assert summary.cause is Cause.REJECTED
        assert summary.counts == {"failed": 1, "skipped": 2, "rotated": 3}

    def test_a_stop_that_leaves_nothing_names_what_failed(self) -> None:
        sim = two_targets(each=1)
        sim.run("bad")
        assert sim.machine is not None
        reason = "target east: c0 was rejected (INVALID_AUTH)"
        assert sim.machine.summary().reason == f"{reason}; {reason.replace('east', 'west')}"

    def test_wakes_for_the_one_that_is_due_first(self) -> None:
        sim = two_targets(each=1)
        sim.start("new")
        while len(sim.at_stage(Stage.PUT)) < 2:
            sim.step()
        while sim.arrived or sim.pending:
            sim.step()
        assert sim.machine is not None
        lanes = sim.machine.lanes
        assert sim.machine.wake_at == min(
            at for lane in lanes.values() if (at := lane.wake_at) is not None
        )


class TestTotal:
    """`max_failures_total` holds for all targets together."""

    def test_stops_all_of_them(self) -> None:
        policy = RolloutPolicy(canary=0, batch=1, max_failures=9, max_failures_total=1)
        sim = two_targets(policy)
        sim.run("bad")
        assert sim.machine is not None
        failed = [key for key, result in sim.results().items() if result is Result.FAILED]
        assert len(failed) <= 3
        why = "stopped after 2 connections failed in all targets together"
        assert {lane.over for lane in sim.machine.lanes.values()} == {why}
        assert sim.counts_are_right()

    @pytest.mark.parametrize(
        "policy",
        [
            RolloutPolicy(canary=0, max_failures=9, max_failures_total=6),
            RolloutPolicy(canary=0, max_failures=9),
            RolloutPolicy(canary=0, max_failures_total=1, on_failure=OnFailure.CONTINUE),
        ],
        ids=["no more than that", "no such limit", "continues"],
    )
    def test_stops_nothing(self, policy: RolloutPolicy) -> None:
        sim = two_targets(policy)
        sim.run("bad")
        assert sim.holding("bad") == sim.cloud.held.keys()
        assert sim.machine is not None
        assert {lane.over for lane in sim.machine.lanes.values()} == {""}

    def test_leaves_one_that_has_ended_as_it_is(self) -> None:
        policy = RolloutPolicy(canary=0, batch=1, max_failures=0, max_failures_total=0)
        sim = Simulation(cloud(("east", "c0"), ("west", "c0"), ("west", "c1")), policy)
        sim.start("new")
        while ("east", "c0") not in sim.at_stage(Stage.VERIFIED):
            sim.step()
        assert sim.machine is not None
        assert sim.machine.lanes["east"].done
        sim.cloud.held["west", "c0"].phases.append((sim.cloud.now, "INVALID_AUTH"))
        sim.finish()
        assert sim.machine.lanes["east"].over == ""
        assert sim.results()["east", "c0"] is Result.ROTATED


class TestStopping:
    def test_says_how_many_are_left(self) -> None:
        sim = two_targets()
        sim.start("new")
        sim.stop()
        sim.finish()
        assert sim.machine is not None
        summary = sim.machine.summary()
        assert summary.result is RunResult.INTERRUPTED
        assert summary.reason == "told to stop; 6 left for the next run"
        assert (summary.counts, summary.cause) == ({"skipped": 6}, None)

    def test_before_it_begins_leaves_everything(self) -> None:
        made = machine(unchanged(), fresh())
        effects = [*made.stop(NOW), *made.begin(NOW)]
        assert results(effects) == {
            ("east", "c1"): Result.SKIPPED,
            ("east", "c2"): Result.UNCHANGED,
        }
        assert made.done

    def test_once_all_is_done_changes_nothing(self) -> None:
        sim = two_targets(each=1)
        sim.run("new")
        sim.stop()
        assert sim.pending == []
        assert sim.machine is not None
        assert sim.machine.summary().result is RunResult.SUCCEEDED

    def test_with_nothing_left_it_succeeded(self) -> None:
        sim = two_targets(RolloutPolicy(canary=0), each=1)
        sim.start("new")
        while len(sim.at_stage(Stage.VERIFIED)) < 2:
            sim.step()
        sim.stop()
        sim.finish()
        assert sim.machine is not None
        assert sim.machine.summary().result is RunResult.SUCCEEDED


class TestOneTransaction:
    def test_what_ends_together_is_settled_together(self) -> None:
        made = machine(unchanged(), unfit(), fresh())
        (settle,) = made.begin(NOW)
        assert results([settle]) == {
            ("east", "c1"): Result.SKIPPED,
            ("east", "c2"): Result.UNCHANGED,
            ("east", "c5"): Result.FAILED,
        }
        assert isinstance(settle, fx.Settle)
        assert [event.outcome for event in settle.events] == [
            each.outcome for each in settle.settlements
        ]

    def test_in_the_place_of_the_first_so_that_no_later_write_overtakes_it(self) -> None:
        sim = Simulation(
            cloud(*[("prod", f"c{n}") for n in range(4)]), RolloutPolicy(canary=2, batch=2)
        )
        sim.start("new")
        while len(sim.at_stage(Stage.PUT)) < 2:
            sim.step()
        while not (sim.arrived and isinstance(sim.arrived[0], fx.Seen) and sim.cloud.now > 2):
            sim.step()
        sim.tell()
        kinds = [type(effect).__name__ for effect in sim.pending]
        assert kinds == ["Settle", "Write", "Write"]

    def test_a_settlement_of_what_worked_and_is_refused_now_counts_once(self) -> None:
        sim = Simulation(
            cloud(*[("prod", f"c{n}") for n in range(3)], phase_lag=3.0), RolloutPolicy(batch=1)
        )
        sim.run("bad")
        assert sim.machine is not None
        assert sim.machine.summary().counts == {"failed": 1, "rotated": 1, "skipped": 1}


class TestSummary:
    def test_a_success_says_nothing_but_numbers(self) -> None:
        sim = two_targets()
        sim.run("new")
        assert sim.machine is not None
        summary = sim.machine.summary()
        assert (summary.result, summary.reason, summary.cause) == (RunResult.SUCCEEDED, "", None)
        assert summary.counts == {"rotated": 6}

    def test_failures_that_stopped_nothing_are_listed(self) -> None:
        sim = Simulation(
            cloud(*[("prod", f"c{n}") for n in range(3)]),
            RolloutPolicy(on_failure=OnFailure.CONTINUE),
        )
        sim.run("bad")
        assert sim.machine is not None
        reason = "c0 was rejected (INVALID_AUTH), and 2 more failed"
        assert sim.machine.summary().reason == reason

    @pytest.mark.parametrize("targets", [("east",), TARGETS])
    def test_looks_that_failed_at_the_end_fail_the_run(self, targets: tuple[str, ...]) -> None:
        places = [(target, name) for target in targets for name in ("a", "b")]
        sim = Simulation(cloud(*places), RolloutPolicy(canary=0, batch=1))
        sim.start("new")
        while len(sim.at_stage(Stage.VERIFIED)) < len(places) / 2:
            sim.step()
        machine = sim.machine
        assert machine is not None
        while sim.running:
            failing = [
                number
                for number, effect in enumerate(sim.pending)
                if isinstance(effect, Asked) and "a" in effect.look.names
            ]
            if failing:
                sim.fail(failing[0])
            else:
                sim.step()
        summary = machine.summary()
        assert summary.result is RunResult.FAILED
        where = "" if len(targets) == 1 else "target east: "
        why = f"{where}what works could not be looked at once more: target east: can't connect"
        assert summary.reason.startswith(why)
        assert summary.cause is Cause.TARGET

    def test_the_cause_is_that_of_the_first_failure(self) -> None:
        made = machine(unfit(target="west"), broken(), fresh(), fresh("c1", "west"))
        made.begin(NOW)
        assert made.summary().cause is Cause.REJECTED


def test_a_gone_connection_fails_nothing() -> None:
    sim = two_targets(each=2)
    sim.start("new")
    del sim.cloud.held["east", "c0"]
    sim.finish()
    assert sim.results()["east", "c0"] is Result.SKIPPED
    assert sim.holding("new") == sim.cloud.held.keys()
    assert sim.machine is not None
    assert sim.machine.summary().result is RunResult.SUCCEEDED


def test_another_connection_of_that_name_fails_the_run_and_stops_nothing() -> None:
    sim = two_targets(each=2)
    sim.start("new")
    del sim.cloud.held["east", "c0"]
    sim.cloud.add(("east", "c0"))
    sim.finish()
    assert sim.results()["east", "c0"] is Result.FAILED
    assert sim.holding("new") == sim.cloud.held.keys() - {("east", "c0")}
    assert sim.machine is not None
    summary = sim.machine.summary()
    assert summary.result is RunResult.FAILED
    assert "deleted and made again during the run" in summary.reason


def test_the_kinds_are_what_they_say() -> None:
    verdicts = [one().verdict for one in (unchanged, warned, broken, unfit, adopted)]
    assert verdicts == [
        Verdict.UNCHANGED,
        Verdict.DRIFTED,
        Verdict.BROKEN,
        Verdict.INVALID,
        Verdict.ADOPTED,
    ]
    assert not any(one().touched for one in (unchanged, warned, broken, unfit, adopted))
    assert fresh().touched
    assert replace(fresh(), update=False).touched is False
