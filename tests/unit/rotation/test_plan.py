"""A plan as a whole: what is left to do, and when it refuses itself."""

from __future__ import annotations

import pytest

from rotator.errors import PlanRefused
from rotator.model.plan import Change, Verdict
from rotator.model.record import Stage
from rotator.rotation.plan import Plan, decide, invalid
from tests.unit.rotation.values import REF, connection, credential, record, rotation


def plan(*changes: Change, matched: int | None = None, missing: tuple[str, ...] = ()) -> Plan:
    return Plan("openai", len(changes) if matched is None else matched, changes, missing)


def update_of(name: str) -> Change:
    return decide(connection(name), credential(), REF, None)


def unusable(name: str, reason: str = "api-key: the secret has no field 'api_key'") -> Change:
    return invalid(connection(name), reason, REF)


class TestRefuseIfUnsafe:
    @pytest.mark.parametrize(
        ("settings", "planned"),
        [
            pytest.param({}, plan(update_of("a")), id="one, as by default"),
            pytest.param({"match": {"expect": {"min": 0}}}, plan(), id="none, and none expected"),
            pytest.param(
                {"match": {"expect": {"min": 2, "max": 2}}},
                plan(update_of("a"), update_of("b")),
                id="exactly as many",
            ),
            pytest.param(
                {"match": {"expect": {"min": 2}}},
                plan(update_of("a"), matched=2),
                id="limited to one of two",
            ),
            pytest.param(
                {"match": {"expect": {"min": 5}}},
                plan(update_of("a"), missing=("west",)),
                id="too few, but a target could not be listed",
            ),
            pytest.param(
                {"rollout": {"max_failures": 1}},
                plan(update_of("a"), unusable("b")),
                id="as many invalid as may fail",
            ),
            pytest.param(
                {"rollout": {"on_failure": "continue"}},
                plan(unusable("a"), unusable("b")),
                id="failures don't matter",
            ),
        ],
    )
    def test_not(self, settings: dict[str, object], planned: Plan) -> None:
        planned.refuse_if_unsafe(rotation(**settings))

    @pytest.mark.parametrize(
        ("settings", "planned", "why"),
        [
            pytest.param(
                {},
                plan(),
                "rotation openai matches 0 connections, fewer than match.expect.min (1); "
                "check match, or lower the limit",
                id="none",
            ),
            pytest.param(
                {"match": {"expect": {"min": 3}}},
                plan(update_of("a"), update_of("b")),
                "rotation openai matches 2 connections, fewer than match.expect.min (3); "
                "check match, or lower the limit",
                id="too few",
            ),
            pytest.param(
                {"match": {"expect": {"max": 1}}},
                plan(update_of("a"), matched=2),
                "rotation openai matches 2 connections, more than match.expect.max (1); "
                "narrow match, or raise the limit",
                id="too many, although limited to one of them",
            ),
            pytest.param(
                {"match": {"expect": {"max": 1}}, "rollout": {"on_failure": "continue"}},
                plan(update_of("a"), update_of("b"), missing=("west",)),
                "rotation openai matches 2 connections, more than match.expect.max (1); "
                "narrow match, or raise the limit",
                id="too many, although a target could not be listed",
            ),
            pytest.param(
                {},
                plan(update_of("a"), unusable("b")),
                "rotation openai, connection b of target prod: "
                "api-key: the secret has no field 'api_key'; nothing was sent",
                id="an invalid one",
            ),
            pytest.param(
                {"rollout": {"max_failures": 1}},
                plan(unusable("a"), update_of("b"), unusable("c"), unusable("d")),
                "rotation openai, connection a of target prod: "
                "api-key: the secret has no field 'api_key' "
                "(and 2 more; `rotator plan` shows all); nothing was sent",
                id="more invalid ones than may fail",
            ),
        ],
    )
    def test_with_the_limit_and_the_remedy(
        self, settings: dict[str, object], planned: Plan, why: str
    ) -> None:
        with pytest.raises(PlanRefused) as refused:
            planned.refuse_if_unsafe(rotation(**settings))
        assert str(refused.value) == why


class TestPlan:
    def test_is_pending_where_anything_is_put_or_verified(self) -> None:
        unchanged = decide(connection(), credential(), REF, record(Stage.VERIFIED))
        unverified = decide(connection(), credential(), REF, record(Stage.PUT))
        warned = decide(
            connection(version="9"), credential(), REF, record(Stage.VERIFIED), reapply_drift=False
        )
        assert plan(update_of("a"), unchanged).pending
        assert plan(unverified).pending
        assert not plan(unchanged, warned, unusable("b")).pending
        assert not plan().pending

    def test_an_invalid_change_is_never_sent(self) -> None:
        change = unusable("a", "no such field")
        assert (change.verdict, change.reason, change.secret) == (
            Verdict.INVALID,
            "no such field",
            REF,
        )
        assert change.credential is None
        assert not change.update
        assert not change.verify_only
        assert plan(update_of("b"), change).invalid == (change,)
