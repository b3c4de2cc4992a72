"""The order of a run, exhaustively over small plans."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import product

import pytest

from rotator.config.models import Rollout
from rotator.model.plan import Change, Verdict
from rotator.model.record import Stage
from rotator.rotation.plan import decide, invalid
from rotator.rotation.rollout import halted, stages
from tests.unit.rotation.values import REF, connection, credential, record

KINDS = ("fresh", "verified", "failed", "put", "intended", "refused", "unverified")
"""What a plan can hold that is to be touched: updates by the record before, and a look alone."""
IDLE = ("unchanged", "warned", "invalid")
RISK = {"failed": 0, "put": 0, "intended": 1, "refused": 2, "verified": 3, "fresh": 3}

ROLLOUTS = [
    Rollout(canary=canary, batch=batch) for canary in (0, 1, 2, 3) for batch in (None, 1, 2)
]


def change(kind: str, name: str, target: str = "prod") -> Change:
    listed = connection(name, target=target)
    if kind == "fresh":
        return decide(listed, credential(), REF, None)
    if kind in {"verified", "failed", "put", "intended", "refused"}:
        before = record(Stage(kind), name=name, target=target, fingerprint="old")
        return decide(listed, credential(), REF, before)
    if kind == "unverified":
        return decide(listed, credential(), REF, record(Stage.PUT, name=name, target=target))
    if kind == "unchanged":
        return decide(listed, credential(), REF, record(Stage.VERIFIED, name=name, target=target))
    if kind == "warned":
        drifted = connection(name, target=target, version="9")
        known = record(Stage.VERIFIED, name=name, target=target)
        return decide(drifted, credential(), REF, known, reapply_drift=False)
    return invalid(listed, "no such field")


def kind_of(one: Change) -> str:
    if one.verify_only:
        return "unverified"
    return str(one.record.stage) if one.record else "fresh"


def plans(targets: Iterable[tuple[str, int]], kinds: Iterable[str]) -> Iterator[tuple[Change, ...]]:
    """Every plan over so many connections of each target."""
    places = [(f"c{at}", target) for target, size in targets for at in range(size)]
    made = {(kind, *place): change(kind, *place) for kind in kinds for place in places}
    for chosen in product(kinds, repeat=len(places)):
        yield tuple(made[kind, *place] for kind, place in zip(chosen, places, strict=True))


SMALL_PLANS = [
    *plans([("prod", 4)], KINDS),
    *plans([("east", 2), ("west", 3)], ("fresh", "failed", "unverified", "unchanged")),
    *plans([("prod", 2)], (*KINDS, *IDLE)),
]


def touched(changes: Iterable[Change]) -> dict[str, list[Change]]:
    """What is to be touched of each target."""
    found: defaultdict[str, list[Change]] = defaultdict(list)
    for one in changes:
        if one.update or one.verify_only:
            found[one.connection.target].append(one)
    return found


def test_the_kinds_are_what_they_say() -> None:
    for kind in KINDS:
        one = change(kind, "a")
        assert kind_of(one) == kind
        assert one.update is (kind != "unverified")
    verdicts = [change(kind, "a").verdict for kind in IDLE]
    assert verdicts == [Verdict.UNCHANGED, Verdict.DRIFTED, Verdict.INVALID]
    assert not any(change(kind, "a").update for kind in IDLE)


@pytest.mark.parametrize("rollout", ROLLOUTS, ids=lambda r: f"canary={r.canary},batch={r.batch}")
class TestStages:
    def test_everything_to_be_touched_is_in_one_stage_and_nothing_else(
        self, rollout: Rollout
    ) -> None:
        for plan in SMALL_PLANS:
            order = stages(plan, rollout)
            assert all(order)
            assert Counter(id(one) for stage in order for one in stage) == Counter(
                id(one) for one in plan if one.update or one.verify_only
            )

    def test_the_first_stage_holds_the_unverified_and_the_canaries(self, rollout: Rollout) -> None:
        for plan in SMALL_PLANS:
            first = touched((stages(plan, rollout) or [()])[0])
            for target, changes in touched(plan).items():
                unverified = [one for one in changes if one.verify_only]
                updates = len(changes) - len(unverified)
                assert [one for one in first[target] if one.verify_only] == unverified
                if rollout.canary:
                    most = max(0, rollout.canary - len(unverified))
                else:
                    most = rollout.batch or updates
                assert sum(one.update for one in first[target]) == min(most, updates)

    def test_every_later_stage_holds_a_full_batch_of_each_target(self, rollout: Rollout) -> None:
        for plan in SMALL_PLANS:
            order = stages(plan, rollout)
            for target, changes in touched(plan).items():
                sizes = [len(touched(stage).get(target, ())) for stage in order]
                used = [size for size in sizes if size]
                assert sizes == used + [0] * (len(sizes) - len(used)), "waits for no other target"
                later = used[1:]
                size = rollout.batch or len(changes)
                assert all(batch == size for batch in later[:-1])
                assert all(batch <= size for batch in later[-1:])

    def test_who_may_hold_a_bad_credential_goes_first_then_by_name(self, rollout: Rollout) -> None:
        for plan in SMALL_PLANS:
            order = [one for stage in stages(plan, rollout) for one in stage]
            for changes in touched(order).values():
                keys = [(RISK[kind_of(one)], one.connection.name) for one in changes if one.update]
                assert keys == sorted(keys)

    def test_the_order_in_which_connections_are_listed_is_of_no_account(
        self, rollout: Rollout
    ) -> None:
        for plan in SMALL_PLANS[::7]:
            for one, other in zip(
                stages(plan, rollout), stages(reversed(plan), rollout), strict=True
            ):
                assert {id(change) for change in one} == {id(change) for change in other}


def test_nothing_to_do_has_no_stages() -> None:
    assert stages((), Rollout()) == ()
    assert stages([change(kind, kind) for kind in IDLE], Rollout()) == ()


def test_by_default_one_of_each_target_and_then_all_the_rest() -> None:
    plan = [change("fresh", f"c{at}", target) for target in ("west", "east") for at in range(50)]
    first, rest = stages(plan, Rollout())
    assert [(one.connection.target, one.connection.name) for one in first] == [
        ("east", "c0"),
        ("west", "c0"),
    ]
    assert len(rest) == 98


@pytest.mark.parametrize(
    ("failures", "settings", "stop"),
    [
        (0, {}, False),
        (1, {}, True),
        (1, {"max_failures": 1}, False),
        (2, {"max_failures": 1}, True),
        (99, {"on_failure": "continue"}, False),
        (99, {"on_failure": "continue", "max_failures": 1}, False),
    ],
)
def test_halted(failures: int, settings: dict[str, object], stop: bool) -> None:
    assert halted(failures, Rollout.model_validate(settings)) is stop
