"""Runs that die after every possible effect, and are continued by the next run.

It is the shipped roll-out that is cut: the simulation carries its effects out, until it is killed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import count

import pytest

from rotator.model.record import Stage
from rotator.model.rule import RolloutPolicy
from rotator.rotation.effects import Key
from tests.unit.rotation.simulation import Fault, Simulation, cloud
from tests.unit.rotation.values import record

TARGETS = ("east", "west")
PLACES = [("east", "c1"), ("east", "c2"), ("west", "c1"), ("west", "c2"), ("west", "c3")]
FEWER = [("east", "c1"), ("east", "c2"), ("west", "c1")]

ROLLOUTS = pytest.mark.parametrize(
    "rollout",
    [
        RolloutPolicy(),
        RolloutPolicy(canary=0),
        RolloutPolicy(canary=2, batch=1),
        RolloutPolicy(batch=2),
        RolloutPolicy(canary=0, batch=2, max_failures=1),
    ],
    ids=lambda r: f"canary={r.canary},batch={r.batch}",
)
CLOUDS = pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="answers tell versions"),
        pytest.param({"opaque": True, "lag": 0.3}, id="versions are words, reads lag"),
        pytest.param({"tells": False, "lag": 3.0}, id="answers tell nothing, reads lag"),
        pytest.param({"tells": False, "opaque": True}, id="answers tell nothing, words"),
        pytest.param({"checks": False, "lag": 8.0}, id="no version is checked, reads lag long"),
    ],
)
Settings = Mapping[str, float | bool]


def world(
    settings: Settings,
    rollout: RolloutPolicy,
    connections: Iterable[Key] = PLACES,
    *,
    places: int = 4,
    faults: Mapping[Key, Fault] | None = None,
) -> Simulation:
    """Two targets; `c2` was rotated before, the others by hand."""
    made = replace(cloud(), **settings)  # type: ignore[arg-type] # its own fields, see CLOUDS
    for key in connections:
        made.add(key)
    sim = Simulation(made, rollout, places=places, faults=dict(faults or {}))
    for (target, name), held in made.held.items():
        if name == "c2":
            sim.book.records[target, name] = record(
                Stage.VERIFIED,
                name=name,
                target=target,
                fingerprint="old",
                version=made.named(held.version),
                before=None,
                uid=held.uid,
            )
    return sim


def cut_runs(
    make: Callable[[], Simulation], wanted: str, *, every: int = 1, force: bool = False
) -> Iterator[Simulation]:
    """A world for every effect after which a run can be killed, and one where it has ended."""
    for effects in count(0, every):
        after = make()
        cut = after.die_after(wanted, effects, force=force)
        yield after
        if not cut:
            return


def twice_cut_runs(
    make: Callable[[], Simulation], wanted: str, *, every: int = 1, force: bool = False
) -> Iterator[Simulation]:
    """As `cut_runs`, where the run that follows is killed after every effect too."""
    for effects in count(0, every):
        cut = True

        def make_cut(effects: int = effects) -> Simulation:
            nonlocal cut
            after = make()
            cut = after.die_after(wanted, effects, force=force)
            return after

        yield from cut_runs(make_cut, wanted, every=every, force=force)
        if not cut:
            return


@ROLLOUTS
@CLOUDS
class TestContinued:
    @pytest.mark.parametrize("places", [1, 4])
    def test_ends_as_if_it_had_not_been_cut(
        self, rollout: RolloutPolicy, settings: Settings, places: int
    ) -> None:
        whole = world(settings, rollout, places=places)
        whole.run("new")
        assert whole.holding("new") == set(PLACES)
        assert whole.at_stage(Stage.VERIFIED) == set(PLACES)
        for after in cut_runs(lambda: world(settings, rollout, places=places), "new"):
            after.run("new")
            assert after.state() == whole.state()
            assert not any(change.touched for change in after.plan("new"))

    def test_repeats_only_what_was_in_flight(
        self, rollout: RolloutPolicy, settings: Settings
    ) -> None:
        for after in cut_runs(lambda: world(settings, rollout, places=2), "new"):
            in_flight = after.at_stage(Stage.INTENDED)
            after.run("new")
            times = Counter(key for key, _ in after.cloud.writes)
            assert {key for key, count in times.items() if count > 1} <= in_flight
            assert times.keys() == set(PLACES)

    def test_takes_up_a_secret_that_changed_meanwhile(
        self, rollout: RolloutPolicy, settings: Settings
    ) -> None:
        whole = world(settings, rollout)
        whole.run("newer")
        for after in cut_runs(lambda: world(settings, rollout), "new"):
            after.run("newer")
            assert after.claims() == []
            assert after.state() == whole.state()

    @pytest.mark.parametrize("fault", Fault)
    def test_gets_over_an_answer_that_was_refused_or_lost(
        self, rollout: RolloutPolicy, settings: Settings, fault: Fault
    ) -> None:
        whole = world(settings, rollout)
        whole.run("new")
        faults = {("east", "c2"): fault, ("west", "c3"): fault}
        for after in cut_runs(lambda: world(settings, rollout, faults=faults), "new", every=2):
            after.run("new")
            after.run("new")
            assert after.state() == whole.state()


@CLOUDS
@pytest.mark.parametrize(
    "rollout",
    [RolloutPolicy(), RolloutPolicy(canary=0, batch=2)],
    ids=["canary=1,batch=None", "canary=0,batch=2"],
)
def test_a_run_that_is_cut_twice_ends_as_if_it_had_not_been(
    rollout: RolloutPolicy, settings: Settings
) -> None:
    whole = world(settings, rollout, FEWER)
    whole.run("new")
    for after in twice_cut_runs(lambda: world(settings, rollout, FEWER), "new"):
        after.run("new")
        assert after.state() == whole.state()


FAULTS: list[dict[Key, Fault]] = [{}, *({("east", "c2"): fault} for fault in Fault)]


@CLOUDS
@pytest.mark.parametrize("canaries", [1, 2])
@pytest.mark.parametrize("force", [False, True], ids=["", "forced"])
class TestBadCredential:
    """It reaches the canaries of each target, however often it is tried, and wherever it dies."""

    def test_stays_with_the_first_canaries_over_runs_that_die(
        self, settings: Settings, canaries: int, force: bool
    ) -> None:
        rollout = RolloutPolicy(canary=canaries)
        for after in twice_cut_runs(lambda: world(settings, rollout), "bad", every=2, force=force):
            for _ in range(2):
                after.run("bad", force=force)
            only_canaries_were_reached(after, canaries)

    def test_spoils_no_connection_that_came_meanwhile(
        self, settings: Settings, canaries: int, force: bool
    ) -> None:
        rollout = RolloutPolicy(canary=canaries)
        for faults in FAULTS:
            for after in cut_runs(
                partial(world, settings, rollout, faults=faults), "bad", force=force
            ):
                begun = {target: after.reached_by("bad", target) for target in TARGETS}
                for target in TARGETS:
                    after.cloud.add((target, "b0"), "by hand")
                for _ in range(3):
                    after.run("bad", force=force)
                only_canaries_were_reached(after, canaries)
                for target in TARGETS:
                    if len(begun[target]) == canaries:
                        assert after.cloud.held[target, "b0"].fingerprint == "by hand"

    def test_goes_where_an_earlier_bad_one_is(
        self, settings: Settings, canaries: int, force: bool
    ) -> None:
        rollout = RolloutPolicy(canary=canaries)
        for after in cut_runs(lambda: world(settings, rollout), "bad", force=force):
            for target in TARGETS:
                after.cloud.add((target, "b0"), "by hand")
            for wanted in ("bad again", "bad", "bad to the end"):
                after.run(wanted, force=force)
            only_canaries_were_reached(after, canaries)

    def test_is_healed_by_a_good_one(self, settings: Settings, canaries: int, force: bool) -> None:
        rollout = RolloutPolicy(canary=canaries)
        for after in cut_runs(lambda: world(settings, rollout), "bad", force=force):
            after.run("good", force=force)
            assert after.holding("good") == set(PLACES)
            assert after.at_stage(Stage.VERIFIED) == set(PLACES)


def only_canaries_were_reached(after: Simulation, canaries: int) -> None:
    assert after.claims() == []
    for target in TARGETS:
        reached = after.reached_by("bad", target)
        assert len(reached) == canaries
        assert after.holding("bad", target) == {(target, name) for name in reached}
        spoilt = {key for key in after.at_stage(Stage.FAILED) if key[0] == target}
        assert spoilt == after.holding("bad", target)
