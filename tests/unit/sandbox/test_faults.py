from __future__ import annotations

from collections import Counter

from rotator.sandbox.faults import BY_OTHERS, Fault, FaultKind, FaultPlan

PATH = "/sql/v1/organizations/o/environments/e/connections/openai-001"


def draw(
    plan: FaultPlan, method: str = "PUT", path: str = PATH, *, listing: bool = False
) -> FaultKind | None:
    fault = plan.draw(method, path, listing=listing, rates={})
    return fault.kind if fault else None


def test_nothing_goes_wrong_unless_ordered() -> None:
    assert draw(FaultPlan()) is None


def test_orders_are_met_in_turn_and_used_up() -> None:
    plan = FaultPlan()
    plan.order(Fault(FaultKind.RESET, times=2))
    plan.order(Fault(FaultKind.HANG))
    assert [draw(plan) for _ in range(4)] == [
        FaultKind.RESET,
        FaultKind.RESET,
        FaultKind.HANG,
        None,
    ]


def test_an_order_waits_for_the_requests_that_it_fits() -> None:
    plan = FaultPlan()
    plan.order(Fault(FaultKind.ERROR_500, method="PUT", path="*/connections/bedrock-*"))
    assert draw(plan) is None
    assert draw(plan, "GET", PATH.replace("openai", "bedrock")) is None
    assert draw(plan, "PUT", PATH.replace("openai", "bedrock")) is FaultKind.ERROR_500


def test_an_order_can_let_some_pass_first() -> None:
    plan = FaultPlan()
    plan.order(Fault(FaultKind.ERROR_500, after=2, times=1))
    assert [draw(plan) for _ in range(4)] == [None, None, FaultKind.ERROR_500, None]


def test_an_order_without_end_lasts_until_it_is_taken_back() -> None:
    plan = FaultPlan()
    plan.order(Fault(FaultKind.THROTTLED, times=None))
    assert {draw(plan) for _ in range(50)} == {FaultKind.THROTTLED}
    plan.clear()
    assert draw(plan) is None


def test_a_fault_happens_only_where_it_can() -> None:
    plan = FaultPlan()
    kinds = (
        FaultKind.FOREIGN_NEXT,
        FaultKind.CONFLICT,
        FaultKind.METHOD_NOT_ALLOWED,
        *sorted(BY_OTHERS),
    )
    for kind in kinds:
        plan.order(Fault(kind))
    assert draw(plan, "GET", listing=False) is None
    assert draw(plan, "GET", listing=True) is FaultKind.FOREIGN_NEXT
    assert draw(plan, "PATCH") is FaultKind.CONFLICT
    assert draw(plan, "PUT") is FaultKind.METHOD_NOT_ALLOWED
    assert {draw(plan, "PUT") for _ in BY_OTHERS} == BY_OTHERS


def test_an_item_is_missing_as_often_as_ordered() -> None:
    plan = FaultPlan()
    plan.order(Fault(FaultKind.UNLISTED, path="*/openai-001", after=1, times=2))
    page = [PATH, PATH.replace("001", "002")]
    assert draw(plan, "GET", PATH, listing=True) is None
    assert [plan.unlisted(page, {}) for _ in range(4)] == [
        frozenset(),
        frozenset({PATH}),
        frozenset({PATH}),
        frozenset(),
    ]
    assert plan.orders() == ()


def test_chance_keeps_to_its_rates() -> None:
    plan = FaultPlan(seed=7)
    rates = {FaultKind.RESET: 0.2, FaultKind.FOREIGN_NEXT: 0.5, FaultKind.ERROR_500: 0.1}
    drawn = Counter(
        fault.kind if (fault := plan.draw("PUT", PATH, listing=False, rates=rates)) else None
        for _ in range(10_000)
    )
    assert abs(drawn[FaultKind.RESET] - 2000) < 200
    assert abs(drawn[FaultKind.ERROR_500] - 1000) < 150
    assert drawn[FaultKind.FOREIGN_NEXT] == 0


def test_the_same_seed_meets_the_same_faults() -> None:
    def kinds(seed: int) -> list[FaultKind | None]:
        plan = FaultPlan(seed)
        rates = {FaultKind.RESET: 0.3, FaultKind.HTML: 0.3}
        faults = [plan.draw("GET", PATH, listing=True, rates=rates) for _ in range(100)]
        return [fault.kind if fault else None for fault in faults]

    assert kinds(1) == kinds(1)
    assert kinds(1) != kinds(2)
