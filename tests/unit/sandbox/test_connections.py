"""Connections over time, without HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rotator.sandbox.answers import ApiError
from rotator.sandbox.connections import credential_digest, parse_auth_data
from rotator.sandbox.paging import PageRequest
from rotator.sandbox.settings import AcceptRule, SandboxSettings
from rotator.sandbox.state import SandboxState
from rotator.sandbox.vendors import VENDORS
from tests.support.sandbox import ManualClock

GOOD = {"API_KEY": "good"}
BAD = {"API_KEY": "an-invalid-one"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def state_of(clock: ManualClock) -> Callable[..., SandboxState]:
    return lambda **settings: SandboxState(
        SandboxSettings(**{"connections": 1, "types": ("OPENAI",), "settle": 2.0, **settings}),
        clock,
    )


def status(state: SandboxState, name: str = "openai-001") -> tuple[str, str]:
    seen = state.connections().read(name)
    return seen.version, seen.phase


class TestPhases:
    def test_pending_then_ready_with_one_new_version(
        self, state_of: Callable[..., SandboxState], clock: ManualClock
    ) -> None:
        state = state_of()
        before, phase = status(state)
        assert phase == "READY"
        state.connections().update("openai-001", GOOD, None)
        after = status(state)
        assert int(after[0]) > int(before)
        assert after[1] == "PENDING"
        clock.advance(1.9)
        assert status(state) == after
        clock.advance(0.2)
        assert status(state) == (after[0], "READY")

    def test_the_old_phase_may_stay_until_the_new_one_is_known(
        self, state_of: Callable[..., SandboxState], clock: ManualClock
    ) -> None:
        state = state_of(settling_phase=None)
        state.connections().update("openai-001", BAD, None)
        assert status(state)[1] == "READY"
        clock.advance(2)
        assert status(state)[1] == "INVALID_AUTH"

    def test_a_decision_may_get_a_version_and_a_time_of_its_own(
        self, state_of: Callable[..., SandboxState], clock: ManualClock
    ) -> None:
        state = state_of(settled_version=True, settled_updated_at=True)
        written = state.connections().update("openai-001", GOOD, None)
        clock.advance(2)
        settled = state.connections().read("openai-001")
        assert int(settled.version) > int(written.version)
        assert settled.updated_at == written.updated_at + 2

    def test_the_phase_may_lag_behind_the_version(
        self, state_of: Callable[..., SandboxState], clock: ManualClock
    ) -> None:
        state = state_of(phase_lag=0.5)
        before, _ = status(state)
        state.connections().update("openai-001", BAD, None)
        after, phase = status(state)
        assert int(after) > int(before)
        assert phase == "READY"
        clock.advance(0.4)
        assert status(state) == (after, "READY")
        clock.advance(0.2)
        assert status(state) == (after, "PENDING")
        clock.advance(2)
        assert status(state) == (after, "INVALID_AUTH")

    def test_a_phase_that_lags_may_turn_at_once(
        self, state_of: Callable[..., SandboxState], clock: ManualClock
    ) -> None:
        state = state_of(phase_lag=0.5, settle=0)
        state.connections().update("openai-001", BAD, None)
        clock.advance(0.4)
        assert status(state)[1] == "READY"
        clock.advance(0.2)
        assert status(state)[1] == "INVALID_AUTH"

    def test_reads_lag_behind_a_phase_that_lags(
        self, state_of: Callable[..., SandboxState], clock: ManualClock
    ) -> None:
        state = state_of(phase_lag=0.5, settle=0, lag=3)
        before = status(state)
        written = state.connections().update("openai-001", BAD, None)
        assert (written.version, written.phase) != before
        clock.advance(2.9)
        assert status(state) == before
        clock.advance(0.2)
        assert status(state) == (written.version, "READY")
        clock.advance(0.5)
        assert status(state) == (written.version, "INVALID_AUTH")

    def test_a_second_update_takes_the_place_of_the_first(
        self, state_of: Callable[..., SandboxState], clock: ManualClock
    ) -> None:
        state = state_of()
        state.connections().update("openai-001", BAD, None)
        clock.advance(1)
        state.connections().update("openai-001", GOOD, None)
        clock.advance(1.5)
        assert status(state)[1] == "PENDING"
        clock.advance(0.5)
        assert status(state)[1] == "READY"

    def test_an_endpoint_can_be_out_of_reach(
        self, state_of: Callable[..., SandboxState], clock: ManualClock
    ) -> None:
        state = state_of(unreachable=("https://api.openai.com/*",), connections=0)
        state.connections().create("x", "OPENAI", VENDORS["OPENAI"].endpoint, GOOD)
        clock.advance(2)
        seen = state.connections().read("x")
        assert (seen.phase, seen.detail) == ("UNREACHABLE", "Lookup failed: api.openai.com")

    def test_any_phase_can_be_forced_without_a_new_version(
        self, state_of: Callable[..., SandboxState]
    ) -> None:
        state = state_of()
        version, _ = status(state)
        state.connections().force_phase("openai-001", "DEGRADED", "slow")
        assert status(state) == (version, "DEGRADED")

    @pytest.mark.parametrize(
        ("rule", "data", "phase"),
        [
            (AcceptRule(), GOOD, "READY"),
            (AcceptRule(), BAD, "INVALID_AUTH"),
            (AcceptRule(), {}, "INVALID_AUTH"),
            (AcceptRule(), {"API_KEY": ""}, "INVALID_AUTH"),
            (AcceptRule(), {"USERNAME": "u", "PASSWORD": "p"}, "INVALID_AUTH"),
            (AcceptRule(refused=frozenset({"good"})), GOOD, "INVALID_AUTH"),
            (AcceptRule(accepted=frozenset({"other"})), GOOD, "INVALID_AUTH"),
            (AcceptRule(accepted=frozenset({"good"})), {**GOOD, "AUTH_TYPE": "API_KEY"}, "READY"),
        ],
    )
    def test_the_rule_decides_which_credentials_work(
        self,
        state_of: Callable[..., SandboxState],
        clock: ManualClock,
        rule: AcceptRule,
        data: dict[str, str],
        phase: str,
    ) -> None:
        state = state_of(accept=rule)
        assert status(state)[1] == "READY"
        state.connections().update("openai-001", data, None)
        clock.advance(2)
        assert status(state)[1] == phase


class TestVersions:
    def test_a_stale_version_is_a_conflict_and_changes_nothing(
        self, state_of: Callable[..., SandboxState]
    ) -> None:
        state = state_of()
        first, _ = status(state)
        state.connections().update("openai-001", GOOD, first)
        with pytest.raises(ApiError) as caught:
            state.connections().update("openai-001", BAD, first)
        assert caught.value.status == 409
        assert state.connections().current("openai-001").data == GOOD

    def test_opaque_versions_differ_and_do_not_count(
        self, state_of: Callable[..., SandboxState]
    ) -> None:
        state = state_of(versions="opaque", connections=200)
        connections = state.connections()
        versions = {connections.read(name).version for name in connections.names()}
        assert len(versions) == 200
        assert not any(version.isdecimal() for version in versions)

    def test_a_connection_that_is_made_again_has_another_uid(
        self, state_of: Callable[..., SandboxState]
    ) -> None:
        connections = state_of().connections()
        first = connections.read("openai-001")
        connections.delete("openai-001")
        connections.create("openai-001", first.type, first.endpoint, GOOD)
        again = connections.read("openai-001")
        assert again.uid != first.uid
        assert int(again.version) > int(first.version)


class TestLag:
    def test_reads_show_the_old_version_with_its_old_phase(
        self, state_of: Callable[..., SandboxState], clock: ManualClock
    ) -> None:
        state = state_of(lag=3.0)
        before = status(state)
        state.connections().update("openai-001", BAD, before[0])
        clock.advance(2.9)
        assert status(state) == before
        items, _ = state.connections().page(PageRequest())
        assert [item.version for item in items] == [before[0]]
        clock.advance(0.2)
        assert status(state)[1] == "PENDING"
        clock.advance(2)
        assert status(state)[1] == "INVALID_AUTH"

    def test_writes_meet_the_connection_as_it_is(
        self, state_of: Callable[..., SandboxState]
    ) -> None:
        state = state_of(lag=3.0)
        seen, _ = status(state)
        state.connections().update("openai-001", GOOD, seen)
        with pytest.raises(ApiError) as caught:
            state.connections().update("openai-001", GOOD, status(state)[0])
        assert caught.value.status == 409

    def test_a_deleted_connection_lingers(
        self, state_of: Callable[..., SandboxState], clock: ManualClock
    ) -> None:
        state = state_of(lag=3.0)
        state.connections().delete("openai-001")
        assert status(state)[1] == "READY"
        clock.advance(3)
        with pytest.raises(ApiError) as caught:
            state.connections().read("openai-001")
        assert caught.value.status == 404


class TestPages:
    def test_every_connection_once_in_a_stable_order(
        self, state_of: Callable[..., SandboxState]
    ) -> None:
        connections = state_of(connections=57, types=()).connections()
        names: list[str] = []
        after, more = "", True
        while more:
            items, more = connections.page(PageRequest(10, after))
            names += [item.name for item in items]
            after = items[-1].name
        assert names == sorted(names)
        assert len(set(names)) == len(names) == 57

    def test_other_changes_neither_lose_nor_repeat_an_item(
        self, state_of: Callable[..., SandboxState]
    ) -> None:
        connections = state_of(connections=20).connections()
        first, _ = connections.page(PageRequest(10))
        connections.delete("openai-003")
        connections.create("openai-000", "OPENAI", "https://x.example.com", GOOD)
        second, more = connections.page(PageRequest(10, first[-1].name))
        assert [item.name for item in second] == [f"openai-{n:03d}" for n in range(11, 21)]
        assert not more

    def test_only_one_type(self, state_of: Callable[..., SandboxState]) -> None:
        connections = state_of(connections=40, types=()).connections()
        items, more = connections.page(PageRequest(2), "OPENAI")
        assert [item.name for item in items] == ["openai-001", "openai-002"]
        assert more
        items, more = connections.page(PageRequest(2, "openai-002"), "OPENAI")
        assert [item.name for item in items] == ["openai-003"]
        assert not more


class TestSeed:
    def test_all_types_with_names_that_go_on_counting(
        self, state_of: Callable[..., SandboxState]
    ) -> None:
        state = state_of(connections=19, types=())
        assert {state.connections().read(name).type for name in state.connections().names()} == set(
            VENDORS
        )
        assert state.seed(state.connections(), 2, ("OPENAI",)) == ("openai-002", "openai-003")

    def test_seeded_ones_are_ready_at_once_whatever_the_settings(
        self, state_of: Callable[..., SandboxState]
    ) -> None:
        state = state_of(
            connections=19,
            types=(),
            lag=60.0,
            settle=600.0,
            accept=AcceptRule(accepted=frozenset({"other"})),
        )
        items, _ = state.connections().page(PageRequest(100))
        assert [item.phase for item in items] == ["READY"] * 19

    def test_a_type_that_nobody_knows_is_a_type(
        self, state_of: Callable[..., SandboxState]
    ) -> None:
        state = state_of(types=("NEW_THING",))
        assert state.connections().read("new-thing-001").phase == "READY"


class TestValues:
    def test_are_redacted_and_hidden(self, state_of: Callable[..., SandboxState]) -> None:
        stored = state_of().connections().update("openai-001", {"API_KEY": "canary-7f"}, None)
        assert "canary-7f" not in repr(stored)
        shown = json.loads(stored.rendered)
        assert shown["spec"]["auth_data"] == {"kind": "PlaintextProvider", "data": "<REDACTED>"}
        assert b"canary-7f" not in stored.rendered

    def test_are_replaced_whole(self, state_of: Callable[..., SandboxState]) -> None:
        connections = state_of().connections()
        connections.update("openai-001", {"API_KEY": "a", "EXTRA": "b"}, None)
        connections.update("openai-001", {"API_KEY": "c"}, None)
        assert connections.current("openai-001").data == {"API_KEY": "c"}

    def test_have_a_digest_that_forgets_their_order(self) -> None:
        assert credential_digest({"A": "1", "B": "2"}) == credential_digest({"B": "2", "A": "1"})
        assert credential_digest({"A": "1"}) != credential_digest({"A": "2"})

    @pytest.mark.parametrize(
        "text", ["", "nope", "[]", '"x"', '{"A": 1}', '{"A": {}}', "null", "[" * 100_000]
    )
    def test_that_are_no_object_of_strings_are_refused(self, text: str) -> None:
        with pytest.raises(ApiError) as caught:
            parse_auth_data(text)
        assert caught.value.pointer == "/spec/auth_data/data"


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a_b", "a/b", "é", "a" * 101])
def test_refuses_names_that_the_contract_refuses(
    state_of: Callable[..., SandboxState], name: str
) -> None:
    with pytest.raises(ApiError) as caught:
        state_of().connections().create(name, "OPENAI", "https://x.example.com", GOOD)
    assert caught.value.pointer == "/name"


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency": -1},
        {"faults": {"no-such-fault": 0.1}},
        {"faults": {"reset": 2}},
        {"connections": -1},
        {"no_such_setting": 1},
        {"limit": {"requests": 1, "burst": 2}},
    ],
)
def test_refuses_settings_that_make_no_sense(
    state_of: Callable[..., SandboxState], wrong: dict[str, Any]
) -> None:
    state = state_of()
    with pytest.raises(ValueError, match="1 validation error"):
        state.change(**wrong)
