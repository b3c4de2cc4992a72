"""When a target is looked at, and at which of its connections."""

from __future__ import annotations

import pytest

from rotator.errors import TargetUnavailable, UpdateUncertain
from rotator.model.connection import Connection
from rotator.model.rule import VerificationPolicy
from rotator.rotation import effects as fx
from rotator.rotation.attempt import Attempt
from rotator.rotation.decide import decide
from rotator.rotation.effects import Moment
from rotator.rotation.look_schedule import LookSchedule
from rotator.rotation.steps import Terms
from tests.unit.rotation.values import REF, at, connection, credential

POLICY = VerificationPolicy(timeout=30.0, interval=2.0, stable=2)
TERMS = Terms("run-9", "openai", POLICY, reapply_drift=True)
TROUBLE = TargetUnavailable("prod", "can't connect")
LOST = UpdateUncertain("prod", "reset")


def moment(seconds: float) -> Moment:
    return Moment(at(seconds), seconds)


def schedule(policy: VerificationPolicy = POLICY) -> LookSchedule:
    made = LookSchedule("prod", policy)
    made.begin_stage()
    return made


def sent(name: str) -> Attempt:
    listed = connection(name, version="5")
    made = Attempt(TERMS, decide(listed, credential(), REF, None))
    made.begin(moment(0.0))
    made.written()
    made.send()
    return made


def verifying(name: str = "c1", usable_at: float | None = None) -> Attempt:
    """Put at 0; perhaps seen usable once."""
    made = sent(name)
    made.answered("6", moment(0.0))
    made.written()
    if usable_at is not None:
        seen = connection(name, version="6")
        made.seen({name: seen}, usable_at, moment(usable_at), over="")
    return made


def doubtful(name: str, at_: float) -> Attempt:
    """To be looked at a tenth of a second later."""
    made = sent(name)
    made.doubted(LOST, moment(at_), conflict=False, over="")
    return made


def seen(
    asked_at: float, found: dict[str, Connection] | TargetUnavailable | None = None
) -> fx.Seen:
    return fx.Seen("prod", frozenset({"c1"}), {} if found is None else found, asked_at)


def look_times(looks: LookSchedule, wanted: list[Attempt], until: float) -> list[float]:
    """When looks at what is being verified begin, where each takes no time."""
    times, now = [], 0.0
    while now <= until:
        if looks.due(wanted, [], now, sending=False):
            looks.look(["c1"])
            times.append(now)
            looks.answered(seen(now), now)
            looks.again(wanted, now)
        due = looks.wake_at([])
        assert due is not None
        now = due
    return times


class TestAtWhatIsBeingVerified:
    def test_comes_soon_at_first_and_then_every_interval(self) -> None:
        times = look_times(schedule(), [verifying()], 8.0)
        assert times == [0.25, 0.75, 1.75, 3.75, 5.75, 7.75]

    def test_begins_so_again_in_every_stage(self) -> None:
        looks, wanted = schedule(), [verifying()]
        look_times(looks, wanted, 3.0)
        looks.begin_stage()
        assert looks.due(wanted, [], 10.0, sending=False) == []
        assert looks.wake_at([]) == 10.25

    def test_nothing_is_due_while_nothing_is_being_verified(self) -> None:
        looks = schedule()
        assert looks.due([], [], 0.0, sending=False) == []
        assert looks.wake_at([]) is None
        looks.due([verifying()], [], 0.0, sending=False)
        looks.due([], [], 0.1, sending=False)
        assert looks.wake_at([]) is None

    @pytest.mark.parametrize(("interval", "pause"), [(2.0, 2.0), (0.5, 1.0)])
    def test_waits_longer_while_updates_leave(self, interval: float, pause: float) -> None:
        looks = schedule(VerificationPolicy(interval=interval))
        looks.due([verifying()], [], 0.0, sending=True)
        assert looks.wake_at([]) == pause

    def test_comes_soon_once_the_last_has_left(self) -> None:
        looks, wanted = schedule(), [verifying()]
        looks.due(wanted, [], 0.0, sending=True)
        looks.due(wanted, [], 1.0, sending=False)
        assert looks.wake_at([]) == 1.25
        looks.due(wanted, [], 1.1, sending=False)
        assert looks.wake_at([]) == 1.25

    def test_an_interval_after_all_were_seen_usable_one_look_settles_them(self) -> None:
        looks = schedule()
        wanted = [verifying("c1", usable_at=0.3), verifying("c2", usable_at=0.2)]
        looks.due(wanted, [], 0.0, sending=False)
        assert looks.due(wanted, [], 0.25, sending=False) == wanted
        looks.look(["c1", "c2"])
        looks.answered(seen(0.25), 0.4)
        looks.again(wanted, 0.4)
        assert looks.wake_at([]) == 2.3

    @pytest.mark.parametrize("found", [TROUBLE, None], ids=["it failed", "it lags"])
    def test_one_that_was_due_and_settled_nothing_is_not_repeated_at_once(
        self, found: TargetUnavailable | None
    ) -> None:
        looks, wanted = schedule(), [verifying("c1", usable_at=0.3)]
        looks.due(wanted, [], 0.0, sending=False)
        looks.due(wanted, [], 2.3, sending=False)
        looks.look(["c1"])
        looks.answered(seen(2.3, found), 2.3)
        looks.again(wanted, 2.3)
        assert looks.wake_at([]) == 4.3

    def test_not_where_any_was_not_seen_usable(self) -> None:
        looks = schedule()
        wanted = [verifying("c1", usable_at=0.3), verifying("c2")]
        looks.due(wanted, [], 0.0, sending=False)
        looks.due(wanted, [], 0.25, sending=False)
        looks.look(["c1", "c2"])
        looks.answered(seen(0.25), 0.4)
        looks.again(wanted, 0.4)
        assert looks.wake_at([]) == 0.9

    def test_not_while_updates_leave(self) -> None:
        looks, wanted = schedule(), [verifying("c1", usable_at=0.3)]
        looks.due(wanted, [], 0.0, sending=True)
        looks.due(wanted, [], 2.0, sending=True)
        looks.look(["c1"])
        looks.answered(seen(2.0), 2.1)
        looks.again(wanted, 2.1)
        assert looks.wake_at([]) == 4.1

    def test_there_is_one_look_at_a_time(self) -> None:
        looks, wanted = schedule(), [verifying()]
        looks.due(wanted, [], 0.0, sending=False)
        assert looks.due(wanted, [], 0.25, sending=False) == wanted
        assert looks.look(["c1", "c2"]) == fx.Look("prod", frozenset({"c1", "c2"}))
        assert looks.due(wanted, [], 9.0, sending=False) == []
        assert looks.wake_at([]) is None
        assert looks.once_more(["c1"], 9.0) == []


class TestAtDoubts:
    def test_each_is_looked_at_when_it_is_due(self) -> None:
        looks = schedule()
        early, late = doubtful("c1", 0.0), doubtful("c2", 5.0)
        assert looks.wake_at([early, late]) == 0.1
        assert looks.due([], [early, late], 0.05, sending=True) == []
        assert looks.due([], [early, late], 0.1, sending=True) == [early]
        assert looks.due([], [early, late], 5.1, sending=True) == [early, late]

    def test_along_with_what_is_being_verified_where_that_is_due_too(self) -> None:
        looks, wanted, doubt = schedule(), [verifying("c1")], doubtful("c2", 0.0)
        looks.due(wanted, [doubt], 0.0, sending=True)
        assert looks.due(wanted, [doubt], 1.0, sending=True) == [doubt]
        assert looks.due(wanted, [doubt], 2.0, sending=True) == [doubt, *wanted]

    def test_leaves_the_next_look_at_what_is_being_verified_where_it_is(self) -> None:
        looks, wanted, doubt = schedule(), [verifying("c1")], doubtful("c2", 0.0)
        looks.due(wanted, [doubt], 0.0, sending=True)
        looks.due(wanted, [doubt], 1.0, sending=True)
        looks.look(["c2"])
        looks.answered(seen(1.0), 1.1)
        looks.again(wanted, 1.1)
        assert looks.wake_at([]) == 2.0


class TestOnceMore:
    def test_nothing_to_look_at(self) -> None:
        assert schedule().unseen([]) == []

    def test_what_was_part_of_the_last_look_was_seen(self) -> None:
        looks, made = schedule(), verifying("c1", usable_at=3.0)
        looks.answered(seen(3.0), 3.1)
        assert looks.unseen([made]) == []

    def test_where_one_was_not_all_are_looked_at(self) -> None:
        looks = schedule()
        made = [verifying("c1", usable_at=3.0), verifying("c2", usable_at=4.0)]
        looks.answered(seen(4.0), 4.1)
        assert looks.unseen(made) == ["c1", "c2"]

    def test_what_was_seen_before_the_last_update_is_old(self) -> None:
        looks, made = schedule(), verifying("c1", usable_at=3.0)
        looks.answered(seen(3.0), 3.1)
        looks.answered_at = 3.2
        assert looks.unseen([made]) == ["c1"]

    def test_is_looked_at_at_once(self) -> None:
        assert schedule().once_more(["c1"], 5.0) == [fx.Look("prod", frozenset({"c1"}))]

    @pytest.mark.parametrize(("interval", "pause"), [(2.0, 2.0), (0.5, 1.0)])
    def test_after_a_look_that_failed_it_waits(self, interval: float, pause: float) -> None:
        looks = schedule(VerificationPolicy(interval=interval))
        looks.once_more(["c1"], 5.0)
        looks.answered(seen(5.0, TROUBLE), 5.5)
        assert looks.once_more(["c1"], 5.6) == []
        assert looks.wake_at([]) == 5.5 + pause
        assert looks.once_more(["c1"], 5.5 + pause) == [fx.Look("prod", frozenset({"c1"}))]
        looks.answered(seen(8.0), 8.1)
        assert looks.wake_at([]) is None
        assert looks.once_more(["c1"], 8.1) != []


class TestFailing:
    def test_says_why_until_one_succeeds(self) -> None:
        looks = schedule()
        looks.answered(seen(5.0, TROUBLE), 5.5)
        assert looks.trouble is TROUBLE
        assert looks.asked_at == float("-inf")
        looks.answered(seen(6.0), 6.5)
        assert looks.trouble is None
        assert looks.asked_at == 6.0

    def test_gives_up_after_the_timeout(self) -> None:
        looks = schedule()
        assert not looks.gives_up(1000.0)
        looks.answered(seen(5.0, TROUBLE), 5.5)
        looks.answered(seen(20.0, TROUBLE), 20.5)
        assert not looks.gives_up(35.4)
        assert looks.gives_up(35.5)

    def test_a_look_that_succeeds_starts_that_again(self) -> None:
        looks = schedule()
        looks.answered(seen(5.0, TROUBLE), 5.5)
        looks.answered(seen(20.0), 20.5)
        assert not looks.gives_up(1000.0)
