"""A plan as a whole: what is left to do, and when it refuses itself."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.errors import Cause, PlanRefused
from rotator.model.plan import Change
from rotator.model.record import Stage
from rotator.model.rule import Matching, OnFailure, RolloutPolicy
from rotator.rotation.decide import decide, invalid
from rotator.rotation.plan import Plan
from tests.unit.rotation.values import REF, connection, credential, record, rule

NO_FIELD = "api-key: the secret has no field 'api_key'"
BROKEN = "INVALID_AUTH: it worked before, and nobody changed the connection since"


def plan(*changes: Change, matched: int | None = None, missing: tuple[str, ...] = ()) -> Plan:
    return Plan("openai", len(changes) if matched is None else matched, changes, missing)


def update_of(name: str, target: str = "prod") -> Change:
    return decide(connection(name, target=target), credential(), REF, None)


def unusable(name: str, target: str = "prod", cause: Cause = Cause.CREDENTIAL) -> Change:
    return invalid(connection(name, target=target), NO_FIELD, REF, cause)


def broken(name: str) -> Change:
    listed = connection(name, phase="INVALID_AUTH")
    return decide(listed, credential(), REF, record(Stage.VERIFIED, name=name))


def expect(at_least: int = 1, at_most: int | None = None) -> dict[str, Any]:
    return {"matching": Matching(at_least=at_least, at_most=at_most)}


def rollout(**policy: Any) -> dict[str, Any]:
    return {"rollout": RolloutPolicy(**policy)}


CONTINUE = rollout(on_failure=OnFailure.CONTINUE)
ACROSS = (unusable("a", "east"), update_of("b", "east"), update_of("c", "west"))
"""One of two targets stops itself."""

SAFE = [
    pytest.param({}, plan(update_of("a")), id="one, as by default"),
    pytest.param(expect(0), plan(), id="none, and none expected"),
    pytest.param(expect(2, 2), plan(update_of("a"), update_of("b")), id="exactly as many"),
    pytest.param(expect(2), plan(update_of("a"), matched=2), id="limited to one of two"),
    pytest.param(
        expect(5),
        plan(update_of("a"), missing=("west",)),
        id="too few, but a target could not be listed",
    ),
    pytest.param(
        rollout(max_failures=1),
        plan(update_of("a"), unusable("b")),
        id="as many invalid as may fail",
    ),
    pytest.param(CONTINUE, plan(unusable("a"), unusable("b")), id="failures stop nothing"),
]
NOT_SAFE = [
    pytest.param(
        {},
        plan(),
        Cause.MATCH,
        "rotation openai matches 0 connections, fewer than match.expect.min (1); "
        "check match, or lower the limit",
        id="none",
    ),
    pytest.param(
        expect(3),
        plan(update_of("a"), update_of("b")),
        Cause.MATCH,
        "rotation openai matches 2 connections, fewer than match.expect.min (3); "
        "check match, or lower the limit",
        id="too few",
    ),
    pytest.param(
        expect(2),
        plan(update_of("a")),
        Cause.MATCH,
        "rotation openai matches 1 connection, fewer than match.expect.min (2); "
        "check match, or lower the limit",
        id="one, and more expected",
    ),
    pytest.param(
        expect(at_most=1),
        plan(update_of("a"), matched=2),
        Cause.MATCH,
        "rotation openai matches 2 connections, more than match.expect.max (1); "
        "narrow match, or raise the limit",
        id="too many, although limited to one of them",
    ),
    pytest.param(
        {**expect(at_most=1), **CONTINUE},
        plan(update_of("a"), update_of("b"), missing=("west",)),
        Cause.MATCH,
        "rotation openai matches 2 connections, more than match.expect.max (1); "
        "narrow match, or raise the limit",
        id="too many, although a target could not be listed",
    ),
    pytest.param(
        {},
        plan(update_of("a"), unusable("b")),
        Cause.CREDENTIAL,
        f"rotation openai, connection b of target prod: {NO_FIELD}; nothing was sent",
        id="an invalid one",
    ),
    pytest.param(
        {},
        plan(unusable("a", cause=Cause.SECRET)),
        Cause.SECRET,
        f"rotation openai, connection a of target prod: {NO_FIELD}; nothing was sent",
        id="a secret that can't be read",
    ),
    pytest.param(
        rollout(max_failures=1),
        plan(unusable("a"), update_of("b"), unusable("c"), unusable("d")),
        Cause.CREDENTIAL,
        f"rotation openai, connection a of target prod: {NO_FIELD} "
        "(and 2 more; `rotator plan` shows all); nothing was sent",
        id="more invalid ones than may fail",
    ),
]


class TestRefuseIfUnsafe:
    @pytest.mark.parametrize(("settings", "planned"), SAFE)
    def test_not_a_plan_within_its_limits(self, settings: dict[str, Any], planned: Plan) -> None:
        planned.refuse_if_unsafe(rule(**settings))
        assert planned.problems(rule(**settings)) == ()

    @pytest.mark.parametrize(("settings", "planned", "cause", "why"), NOT_SAFE)
    def test_with_the_limit_and_the_remedy(
        self, settings: dict[str, Any], planned: Plan, cause: Cause, why: str
    ) -> None:
        with pytest.raises(PlanRefused) as refused:
            planned.refuse_if_unsafe(rule(**settings))
        assert str(refused.value) == why
        assert refused.value.cause is cause
        assert planned.problems(rule(**settings)) == (why,)


class TestTargets:
    """A target whose connections are invalid stops itself, and no other."""

    def test_another_target_goes_on(self) -> None:
        plan(*ACROSS).refuse_if_unsafe(rule())

    def test_that_a_target_stops_is_a_problem_all_the_same(self) -> None:
        (problem,) = plan(*ACROSS).problems(rule())
        assert problem.startswith("rotation openai, connection a of target east: ")

    def test_nothing_is_left_where_the_others_have_nothing_to_do(self) -> None:
        kept = decide(
            connection("c", target="west"),
            credential(),
            REF,
            record(Stage.VERIFIED, name="c", target="west"),
        )
        assert not kept.touched
        with pytest.raises(PlanRefused):
            plan(unusable("a", "east"), update_of("b", "east"), kept).refuse_if_unsafe(rule())

    def test_verifying_what_an_earlier_run_put_is_something_to_do(self) -> None:
        unverified = decide(
            connection("c", target="west"),
            credential(),
            REF,
            record(Stage.PUT, name="c", target="west"),
        )
        plan(unusable("a", "east"), unverified).refuse_if_unsafe(rule())

    def test_as_many_as_may_fail_hold_for_each_target(self) -> None:
        one_each = (unusable("a", "east"), unusable("b", "west"), update_of("c", "west"))
        plan(*one_each).refuse_if_unsafe(rule(**rollout(max_failures=1)))

    def test_a_limit_for_all_targets_together_stops_all(self) -> None:
        limited = rule(**rollout(max_failures=1, max_failures_total=1))
        plan(*ACROSS).refuse_if_unsafe(limited)
        with pytest.raises(PlanRefused, match=r"\(and 1 more;"):
            plan(*ACROSS, unusable("d", "west")).refuse_if_unsafe(limited)


class TestProblems:
    def test_a_broken_connection_is_one_and_refuses_nothing(self) -> None:
        planned = plan(update_of("a"), broken("b"))
        planned.refuse_if_unsafe(rule())
        (problem,) = planned.problems(rule())
        assert problem == f"rotation openai, connection b of target prod: {BROKEN}"

    def test_all_are_told_at_once(self) -> None:
        planned = plan(unusable("a"), broken("b"), broken("c"), matched=9)
        many, *others = planned.problems(rule(**expect(at_most=8)))
        assert "more than match.expect.max (8)" in many
        assert [problem.split(": ")[0] for problem in others] == [
            f"rotation openai, connection {name} of target prod" for name in "abc"
        ]


def test_a_plan_is_pending_where_anything_is_put_or_verified() -> None:
    unchanged = decide(connection(), credential(), REF, record(Stage.VERIFIED))
    unverified = decide(connection(), credential(), REF, record(Stage.PUT))
    warned = decide(
        connection(version="9"), credential(), REF, record(Stage.VERIFIED), reapply_drift=False
    )
    assert plan(update_of("a"), unchanged).pending
    assert plan(unverified).pending
    assert not plan(unchanged, warned, broken("b"), unusable("c")).pending
    assert not plan().pending


def test_the_invalid_changes_of_a_plan() -> None:
    change = unusable("a")
    assert plan(update_of("b"), change, broken("c")).invalid == (change,)
