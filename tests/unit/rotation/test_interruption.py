"""Runs that die after every possible step, and are continued by the next plan."""

from __future__ import annotations

from collections import Counter

import pytest

from rotator.config.models import Rollout
from rotator.model.record import Stage
from tests.unit.rotation.cutting import Fault, Key, Run, Shows, World, die_after, finish
from tests.unit.rotation.values import record

TARGETS = ("east", "west")
SHOWN = pytest.mark.parametrize(
    "shows",
    [
        pytest.param(Shows(), id="versions in list and answer"),
        pytest.param(Shows(answered=False), id="versions in the list alone"),
        pytest.param(Shows(listed=False, answered=False), id="no versions"),
    ],
)
TOGETHER = pytest.mark.parametrize("together", [True, False], ids=["at once", "one by one"])


def world(shows: Shows, faults: dict[Key, Fault] | None = None) -> World:
    """Two targets; `c2` was rotated before, the others by hand."""
    places = [("east", "c1"), ("east", "c2"), ("west", "c1"), ("west", "c2"), ("west", "c3")]
    records = {
        (target, name): record(
            Stage.VERIFIED,
            name=name,
            target=target,
            fingerprint="old",
            version="1" if shows.listed else None,
            before=None,
        )
        for target, name in places
        if name == "c2"
    }
    return World(shows, dict.fromkeys(places, "old"), records, dict(faults or {}))


@TOGETHER
@SHOWN
@pytest.mark.parametrize(
    "rollout",
    [
        Rollout(),
        Rollout(canary=0),
        Rollout(canary=2, batch=1),
        Rollout(batch=2),
        Rollout(canary=0, batch=2, max_failures=1),
    ],
    ids=lambda r: f"canary={r.canary},batch={r.batch}",
)
class TestContinued:
    def test_ends_as_if_it_had_not_been_cut(
        self, rollout: Rollout, shows: Shows, together: bool
    ) -> None:
        whole = world(shows)
        steps = finish(Run(whole, "new", rollout, together))
        assert set(whole.held.values()) == {"new"}
        assert whole.at_stage(Stage.VERIFIED) == whole.held.keys()
        for cut in range(steps + 1):
            after = world(shows)
            die_after(Run(after, "new", rollout, together), cut)
            finish(Run(after, "new", rollout, together))
            assert after.state() == whole.state()
            assert not any(one.update or one.verify_only for one in after.plan("new"))

    def test_ends_the_same_when_it_is_cut_twice(
        self, rollout: Rollout, shows: Shows, together: bool
    ) -> None:
        whole = world(shows)
        steps = finish(Run(whole, "new", rollout, together))
        for once in range(steps + 1):
            for twice in range(steps + 1):
                after = world(shows)
                die_after(Run(after, "new", rollout, together), once)
                die_after(Run(after, "new", rollout, together), twice)
                finish(Run(after, "new", rollout, together))
                assert after.state() == whole.state()

    def test_repeats_only_what_was_in_flight(
        self, rollout: Rollout, shows: Shows, together: bool
    ) -> None:
        steps = finish(Run(world(shows), "new", rollout, together))
        for cut in range(steps + 1):
            after = world(shows)
            die_after(Run(after, "new", rollout, together), cut)
            # Without a version nobody can tell an answered update that is in place from one
            # that a proxy swallowed.
            unsure = {Stage.INTENDED} if shows.listed else {Stage.INTENDED, Stage.PUT}
            in_flight = after.at_stage(*unsure)
            finish(Run(after, "new", rollout, together))
            times = Counter(key for key, _ in after.writes)
            assert {key for key, count in times.items() if count > 1} <= in_flight
            assert times.keys() == after.held.keys()

    def test_takes_up_a_secret_that_changed_meanwhile(
        self, rollout: Rollout, shows: Shows, together: bool
    ) -> None:
        whole = world(shows)
        steps = finish(Run(whole, "newer", rollout, together))
        for cut in range(steps + 1):
            after = world(shows)
            die_after(Run(after, "new", rollout, together), cut)
            finish(Run(after, "newer", rollout, together))
            assert after.state() == whole.state()

    def test_gets_over_updates_that_were_refused_or_lost(
        self, rollout: Rollout, shows: Shows, together: bool
    ) -> None:
        whole = world(shows)
        steps = finish(Run(whole, "new", rollout, together))
        for key in whole.held:
            for fault in Fault:
                for cut in range(steps + 1):
                    after = world(shows, {key: fault})
                    die_after(Run(after, "new", rollout, together), cut)
                    finish(Run(after, "new", rollout, together))
                    finish(Run(after, "new", rollout, together))
                    assert after.state() == whole.state()


FAULTS: list[dict[Key, Fault]] = [
    {},
    *({(target, "c1"): fault} for target in TARGETS for fault in Fault),
    {("east", "c1"): Fault.LOST, ("west", "c1"): Fault.REFUSED},
]


@TOGETHER
@SHOWN
@pytest.mark.parametrize("canaries", [1, 2])
@pytest.mark.parametrize("force", [False, True], ids=["", "forced"])
class TestBadCredential:
    """It reaches the canaries of each target, however often it is tried, and wherever it dies."""

    def test_stays_with_the_first_canaries_over_runs_that_die(
        self, shows: Shows, together: bool, canaries: int, force: bool
    ) -> None:
        rollout = Rollout(canary=canaries)
        steps = finish(Run(world(shows), "bad", rollout, together))
        for faults in FAULTS:
            for once in range(steps + 1):
                for twice in range(0, steps + 1, 3):
                    after = world(shows, faults)
                    die_after(Run(after, "bad", rollout, together, force), once)
                    die_after(Run(after, "bad", rollout, together, force), twice)
                    for _ in range(3):
                        finish(Run(after, "bad", rollout, together, force))
                    self.only_canaries_were_reached(after, canaries)

    def test_spoils_no_connection_that_came_meanwhile(
        self, shows: Shows, together: bool, canaries: int, force: bool
    ) -> None:
        rollout = Rollout(canary=canaries)
        steps = finish(Run(world(shows), "bad", rollout, together))
        for faults in FAULTS:
            for cut in range(steps + 1):
                after = world(shows, faults)
                # So that the first name isn't the canary by chance.
                die_after(Run(after, "bad", rollout, together, force), cut)
                begun = {target: after.reached_by_bad(target) for target in TARGETS}
                for target in TARGETS:
                    after.held[target, "b0"] = "by hand"
                for _ in range(3):
                    finish(Run(after, "bad", rollout, together, force))
                self.only_canaries_were_reached(after, canaries)
                for target in TARGETS:
                    if len(begun[target]) == canaries:
                        assert after.held[target, "b0"] == "by hand"

    def test_a_second_bad_one_goes_where_the_first_is(
        self, shows: Shows, together: bool, canaries: int, force: bool
    ) -> None:
        rollout = Rollout(canary=canaries)
        steps = finish(Run(world(shows), "bad", rollout, together))
        for cut in range(steps + 1):
            after = world(shows)
            die_after(Run(after, "bad", rollout, together, force), cut)
            for target in TARGETS:
                after.held[target, "b0"] = "by hand"
            for wanted in ("bad again", "bad", "bad to the end"):
                finish(Run(after, wanted, rollout, together, force))
            self.only_canaries_were_reached(after, canaries)

    def test_is_healed_by_a_good_one(
        self, shows: Shows, together: bool, canaries: int, force: bool
    ) -> None:
        rollout = Rollout(canary=canaries)
        steps = finish(Run(world(shows), "bad", rollout, together))
        for cut in range(steps + 1):
            after = world(shows)
            die_after(Run(after, "bad", rollout, together, force), cut)
            finish(Run(after, "good", rollout, together, force))
            assert set(after.held.values()) == {"good"}
            assert after.at_stage(Stage.VERIFIED) == after.held.keys()

    @staticmethod
    def only_canaries_were_reached(after: World, canaries: int) -> None:
        for target in TARGETS:
            reached = after.reached_by_bad(target)
            assert len(reached) == canaries
            spoilt = {key for key in after.at_stage(Stage.FAILED) if key[0] == target}
            assert spoilt == {(target, name) for name in reached}
            for (of, name), held in after.held.items():
                assert held.startswith("bad") is (name in reached) or of != target
