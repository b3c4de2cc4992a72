from __future__ import annotations

import pytest

from rotator.sandbox.answers import ApiError
from rotator.sandbox.paging import PageRequest
from rotator.sandbox.settings import SandboxSettings
from rotator.sandbox.state import SandboxState
from rotator.sandbox.statements import Statements, StatementSpec
from tests.support.sandbox import ManualClock

SPEC = StatementSpec("enrich", "INSERT INTO t SELECT 1", ("openai-001",))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def statements(clock: ManualClock) -> Statements:
    statements = SandboxState(SandboxSettings(settle=2.0), clock).statements()
    statements.create(SPEC)
    return statements


def test_starts_stops_and_resumes_in_its_time(statements: Statements, clock: ManualClock) -> None:
    phases = [statements.read("enrich").phase]
    clock.advance(2)
    phases.append(statements.read("enrich").phase)
    for stopped in (True, False):
        statements.update("enrich", stopped=stopped)
        phases.append(statements.read("enrich").phase)
        clock.advance(2)
        phases.append(statements.read("enrich").phase)
    assert phases == ["PENDING", "RUNNING", "STOPPING", "STOPPED", "PENDING", "RUNNING"]


def test_to_stop_what_is_stopped_does_not_start_it(
    statements: Statements, clock: ManualClock
) -> None:
    statements.update("enrich", stopped=True)
    clock.advance(2)
    statements.update("enrich", stopped=True)
    assert statements.read("enrich").phase == "STOPPED"


def test_a_stale_version_is_a_conflict(statements: Statements) -> None:
    first = statements.read("enrich").version
    statements.update("enrich", version=first, stopped=True)
    with pytest.raises(ApiError) as caught:
        statements.update("enrich", version=first, stopped=False)
    assert caught.value.status == 409
    assert statements.read("enrich").stopped


def test_is_deleted_in_its_time(statements: Statements, clock: ManualClock) -> None:
    statements.delete("enrich")
    assert statements.read("enrich").phase == "DELETING"
    clock.advance(2)
    assert statements.page(PageRequest()) == ([], False)
    statements.create(SPEC)
    assert statements.read("enrich").phase == "PENDING"


def test_filters_by_compute_pool(statements: Statements) -> None:
    statements.create(StatementSpec("other", "SELECT 1", compute_pool="lfcp-2"))
    items, _ = statements.page(PageRequest(), "lfcp-2")
    assert [item.name for item in items] == ["other"]


def test_a_name_is_taken_once(statements: Statements) -> None:
    with pytest.raises(ApiError) as caught:
        statements.create(SPEC)
    assert caught.value.status == 409
