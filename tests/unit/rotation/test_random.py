"""The shipped roll-out driven at random: answers, losses, delays, reorderings, foreign writes,
deletions, kills and restarts. After every step it must hold what it promises.

`ROTATOR_RANDOM_STEPS` sets how many steps are made, `ROTATOR_RANDOM_SEED` the first seed. A step
is an effect that is carried out, or an event that the machine is told.
"""

from __future__ import annotations

import os
import random
import sys
from itertools import count
from typing import ClassVar

from hypothesis import HealthCheck, event, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rotator.model.record import Stage
from rotator.model.rule import RolloutPolicy, VerificationPolicy
from rotator.model.run import Result
from rotator.rotation import effects as fx
from rotator.rotation.effects import Key
from tests.unit.rotation.simulation import Asked, Simulation, cloud

STEPS = int(os.environ.get("ROTATOR_RANDOM_STEPS", "20000"))
SEED = int(os.environ.get("ROTATOR_RANDOM_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
RULES_PER_EXAMPLE = 100
EXAMPLES_PER_SEED = 50
TARGETS = ("east", "west")
INTERVAL = 2.0
SLOW = 3.0
"""Seconds by which a phase may follow so late that two looks an interval apart don't notice."""

SETTINGS = settings(
    max_examples=EXAMPLES_PER_SEED,
    stateful_step_count=RULES_PER_EXAMPLE,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

picks = st.integers(0, 1_000_000)
luck = st.integers(0, 9)
"""What happens seldom happens at 0: else no run would come far."""


class Random(RuleBasedStateMachine):
    """One cloud with two targets, one ledger, and a process that comes and goes."""

    steps: ClassVar[int] = 0
    """Of all examples so far."""

    @initialize(
        sizes=st.tuples(st.integers(1, 5), st.integers(0, 3)),
        canary=st.sampled_from([1, 1, 2, 0]),
        batch=st.sampled_from([None, 1, 2]),
        max_failures=st.sampled_from([0, 0, 0, 1]),
        kind=st.sampled_from(["shared", "shared", "behind a proxy", "terse", "unchecked"]),
        opaque=st.booleans(),
        leased=st.sampled_from([False, False, True]),
        lags=st.tuples(
            st.sampled_from([0.0, 0.0, 0.3, 3.0, 8.0]), st.sampled_from([0.0, 0.5, 1.5, SLOW])
        ),
    )
    def set_up(
        self,
        *,
        sizes: tuple[int, int],
        canary: int,
        batch: int | None,
        max_failures: int,
        kind: str,
        opaque: bool,
        leased: bool,
        lags: tuple[float, float],
    ) -> None:
        places = [
            (target, f"c{n}")
            for target, size in zip(TARGETS, sizes, strict=True)
            for n in range(size)
        ]
        # A bare 200 can't be told from that of a proxy which passed nothing on, and the write that
        # follows it not from one of somebody else's. So these don't come together.
        self.foreign, self.swallows = kind in {"shared", "unchecked"}, kind == "behind a proxy"
        self.canary, self.batch, self.max_failures = canary, batch, max_failures
        self.leased = leased
        lag, phase_lag = lags
        self.slow = phase_lag > INTERVAL
        made = cloud(
            *places,
            tells=kind != "terse",
            checks=kind != "unchecked",
            opaque=opaque,
            lag=lag,
            phase_lag=phase_lag,
        )
        self.sim = Simulation(
            made,
            RolloutPolicy(canary=canary, batch=batch, max_failures=max_failures),
            verification=VerificationPolicy(timeout=60.0, interval=INTERVAL, stable=2),
            places=2,
        )
        self.made = 0
        event(f"{kind} lag={lag} phase_lag={phase_lag}")

    # The process

    @precondition(lambda self: not self.sim.running)
    @rule(wanted=st.sampled_from(["new", "newer", "bad", "bad", "bad-2"]), force=st.booleans())
    def start(self, wanted: str, force: bool) -> None:
        self.sim.start(wanted, force=force, leased=self.leased)

    @precondition(lambda self: self.sim.running)
    @rule(luck=luck)
    def kill(self, luck: int) -> None:
        if luck == 0:
            self.sim.kill()

    @precondition(lambda self: self.sim.running)
    @rule(luck=luck)
    def stop(self, luck: int) -> None:
        if luck == 0:
            self.sim.stop()

    # Its effects

    @precondition(lambda self: self.sim.pending)
    @rule(pick=picks)
    def carry_out(self, pick: int) -> None:
        self.sim.carry_out(pick % len(self.sim.pending))

    @precondition(lambda self: self.sim.arrived)
    @rule(pick=picks)
    def tell(self, pick: int) -> None:
        self.sim.tell(pick % len(self.sim.arrived))

    @precondition(lambda self: self._sends())
    @rule(pick=picks, kind=st.sampled_from(["applied", "not applied", "swallowed", "refused"]))
    def lose(self, pick: int, kind: str) -> None:
        sends = self._sends()
        at = sends[pick % len(sends)]
        if kind == "swallowed" and self._may_swallow(at):
            self.sim.carry_out(at, self.sim.swallowed)
        elif kind in {"refused", "swallowed"}:
            self.sim.carry_out(at, self.sim.refused)
        else:
            self.sim.carry_out(at, lambda send: self.sim.lost(send, applied=kind == "applied"))

    @precondition(lambda self: self._sends())
    @rule(pick=picks, luck=luck)
    def withhold(self, pick: int, luck: int) -> None:
        """This process leads no more."""
        sends = self._sends()
        if luck == 0:
            self.sim.carry_out(sends[pick % len(sends)], self.sim.withheld)

    @precondition(lambda self: self._fallible())
    @rule(pick=picks, luck=luck)
    def fail(self, pick: int, luck: int) -> None:
        fallible = self._fallible()
        if luck <= 3:
            self.sim.fail(fallible[pick % len(fallible)])

    def _fallible(self) -> list[int]:
        kinds = (Asked, fx.Issue)
        return [at for at, effect in enumerate(self.sim.pending) if isinstance(effect, kinds)]

    def _may_swallow(self, at: int) -> bool:
        """Whether it can come to light that nothing was passed on.

        Where the answer to an earlier update of another credential was lost with the process, and
        that update doesn't show yet, it can't: what shows next looks like this update.
        """
        send = self.sim.pending[at]
        assert isinstance(send, fx.Send)
        held, known = self.sim.cloud.held.get(send.key), self.sim.book.records[send.key]
        if not self.swallows or held is None:
            return False
        latest = self.sim.cloud.named(held.version)
        return (
            latest in {send.connection.resource_version, *known.older_versions}
            or held.fingerprint == send.credential.fingerprint
        )

    @precondition(lambda self: self.sim.running)
    @rule(seconds=st.sampled_from([0.05, 0.5, 2.0, 7.0, 31.0]))
    def pass_time(self, seconds: float) -> None:
        self.sim.pass_time(seconds)

    @precondition(lambda self: self.sim.running)
    @rule(most=st.sampled_from([1, 3, 10, 30, 100]))
    def go_on(self, most: int) -> None:
        """So that runs come somewhere."""
        for _ in range(most):
            if not self.sim.step():
                break
            self.check()

    @precondition(lambda self: self.sim.running)
    @rule()
    def go_on_until_something_is_put(self) -> None:
        """So that what happens to it next, often happens before it is seen to work."""
        before = self._answers()
        for _ in range(100):
            if self._answers() != before or not self.sim.step():
                break
            self.check()

    # Others

    @precondition(lambda self: self.foreign and self.sim.cloud.held)
    @rule(pick=picks, luck=luck)
    def write_by_somebody_else(self, pick: int, luck: int) -> None:
        if luck <= 1:
            self.sim.cloud.write(self._any(pick), "by hand")

    @precondition(lambda self: self.foreign and self._answers())
    @rule(pick=picks, luck=luck)
    def write_between_answer_and_look(self, pick: int, luck: int) -> None:
        keys = self._answers()
        key = keys[pick % len(keys)]
        if luck <= 2 and key in self.sim.cloud.held:
            self.sim.cloud.write(key, "by hand")

    @precondition(lambda self: len(self.sim.cloud.held) > 1)
    @rule(pick=picks, again=st.booleans(), luck=luck)
    def delete(self, pick: int, again: bool, luck: int) -> None:
        if luck == 0:
            self._delete(self._any(pick), again=again)

    @precondition(lambda self: len(self.sim.cloud.held) > 1 and self._answers())
    @rule(pick=picks, again=st.booleans(), luck=luck)
    def delete_what_was_put(self, pick: int, again: bool, luck: int) -> None:
        keys = self._answers()
        key = keys[pick % len(keys)]
        if luck <= 2 and key in self.sim.cloud.held:
            self._delete(key, again=again)

    @rule(pick=picks, luck=luck)
    def create(self, pick: int, luck: int) -> None:
        """One more, which leaves before the others by its name."""
        if luck <= 2 and self.made < 3 and self.sim.runs:
            self.made += 1
            self.sim.cloud.add((TARGETS[pick % 2], f"b{self.made}"), "by hand")

    def _delete(self, key: Key, *, again: bool) -> None:
        """A target that doesn't check versions would put what was meant for the old connection on
        the new one, unseen. So there nothing is made again."""
        del self.sim.cloud.held[key]
        if again and self.sim.cloud.checks:
            self.sim.cloud.add(key, "by hand")

    def _any(self, pick: int) -> Key:
        keys = sorted(self.sim.cloud.held)
        return keys[pick % len(keys)]

    def _answers(self) -> list[Key]:
        """What was put and is not verified."""
        return sorted(self.sim.at_stage(Stage.PUT))

    def _sends(self) -> list[int]:
        return [at for at, effect in enumerate(self.sim.pending) if isinstance(effect, fx.Send)]

    # What holds after every step

    @invariant()
    def check(self) -> None:
        if not hasattr(self, "sim"):
            return
        self.a_bad_credential_reaches_the_canaries_and_nothing_else()
        self.the_ledger_claims_no_more_than_the_target_holds()
        self.every_connection_is_settled_once()
        self.a_run_that_ended_settled_every_connection_of_its_plan()
        self.what_was_verified_works()

    def a_bad_credential_reaches_the_canaries_and_nothing_else(self) -> None:
        if not self.canary or (self.slow and (self.batch is None or self.sim.runs > 1)):
            return
        # So many canaries may fail, and others take their place. One that turns bad late holds up
        # what comes after the next batch.
        most = self.canary + self.max_failures + (self.batch or 0) * self.slow
        for target in TARGETS:
            assert len(self.sim.holding("bad", target)) <= most

    def the_ledger_claims_no_more_than_the_target_holds(self) -> None:
        assert self.sim.claims() == []

    def every_connection_is_settled_once(self) -> None:
        assert self.sim.settled_twice() == []

    def a_run_that_ended_settled_every_connection_of_its_plan(self) -> None:
        machine = self.sim.machine
        if machine is None or self.sim.running:
            return
        lanes = machine.lanes.values()
        planned = {(lane.target, name) for lane in lanes for name in lane.attempts}
        assert planned <= self.sim.results().keys()
        assert self.sim.counts_are_right()

    def what_was_verified_works(self) -> None:
        if self.slow:
            return
        for record in self.sim.book.records.values():
            bad = record.fingerprint.startswith("bad")
            assert record.stage is not Stage.VERIFIED or not bad

    def teardown(self) -> None:
        """Left alone, with a credential that works, all of it ends right."""
        if not hasattr(self, "sim"):
            return
        Random.steps += self.sim.steps + self.sim.told
        self.sim.kill()
        self.sim.cloud.now += 60.0  # reads have caught up
        for _ in range(4):
            self.sim.run("good")
            self.sim.cloud.now += 60.0
        held = self.sim.cloud.held
        assert {each.fingerprint for each in held.values()} <= {"good"}
        verified = self.sim.at_stage(Stage.VERIFIED)
        assert held.keys() <= verified
        assert not any(change.touched for change in self.sim.plan("good"))
        assert set(self.sim.results().values()) <= {Result.UNCHANGED}


def test_a_roll_out_keeps_its_promises_whatever_happens() -> None:
    Random.steps = 0
    for number in count(SEED):
        try:
            run_state_machine_as_test(seed(number)(Random), settings=SETTINGS)
        except BaseException as error:
            error.add_note(f"To see it again: ROTATOR_RANDOM_SEED={number} ROTATOR_RANDOM_STEPS=1")
            raise
        if Random.steps >= STEPS:
            sys.stdout.write(f"{Random.steps} steps, seeds {SEED} to {number}\n")
            return
