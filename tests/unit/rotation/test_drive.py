"""Carrying out a roll-out over real ports: what each answer of a port becomes, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rotator.errors import (
    CredentialInvalid,
    LedgerError,
    SourceUnavailable,
    TargetRefused,
    TargetUnavailable,
    UpdateConflict,
    UpdateUncertain,
    UpdateWithheld,
)
from rotator.model.credential import Credential
from rotator.model.events import Settled, Updated
from rotator.model.plan import Change
from rotator.model.record import Stage
from rotator.model.rule import RolloutPolicy
from rotator.model.run import Result, RunResult
from rotator.rotation.decide import decide, decide_leased
from rotator.rotation.drive import MakeCredential, drive
from rotator.rotation.rollout import RollOut
from tests.support.memory import Memory
from tests.unit.rotation.in_memory import in_memory, told
from tests.unit.rotation.values import REF


def roll_out(memory: Memory, *, leased: bool = False) -> RollOut:
    listed = [each for target in memory.targets.values() for each in target.held.values()]
    if leased:
        changes = [decide_leased(each, REF, None, None) for each in listed]
    else:
        changes = [decide(each, good_of(each.name), REF, None) for each in listed]
    places = {name: target.concurrency for name, target in memory.targets.items()}
    return RollOut.of(changes, memory.rules["openai"], "run-1", places)


def good_of(name: str) -> Credential:
    return Credential({"API_KEY": f"good-{name}"}, f"fp-{name}", "v1")


async def driven(
    memory: Memory,
    machine: RollOut | None = None,
    make: MakeCredential | None = None,
    stop: asyncio.Event | None = None,
) -> RollOut:
    machine = machine or roll_out(memory)

    async def never(change: Change) -> Credential:
        raise AssertionError("every credential of this plan is there")

    async with asyncio.timeout(10):
        await drive(machine, memory.context, make or never, stop or asyncio.Event())
    return machine


async def results(memory: Memory) -> dict[str, Result]:
    return {each.connection: each.result for each in await memory.ledger.latest_outcomes()}


async def test_everything_is_put_verified_and_on_record() -> None:
    memory = in_memory("a", "b", "c")
    machine = await driven(memory)
    assert machine.summary().result is RunResult.SUCCEEDED
    assert dict(memory.targets["prod"].puts) == {
        name: {"API_KEY": f"good-{name}"} for name in ("a", "b", "c")
    }
    records = await memory.ledger.records("prod")
    assert {record.stage for record in records.values()} == {Stage.VERIFIED}
    assert set((await results(memory)).values()) == {Result.ROTATED}


async def test_observers_hear_of_an_outcome_once_it_is_durable() -> None:
    memory = in_memory("a")
    durable = []

    class Watching(list[object]):
        def append(self, event: object) -> None:
            if isinstance(event, Settled):
                durable.append(event.outcome in memory.ledger.contents.outcomes)
            super().append(event)

    memory.events = Watching()  # type: ignore[assignment] # a list of more kinds
    await driven(memory)
    assert durable == [True]
    assert len(told(memory, Updated)) == 1


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        pytest.param(UpdateUncertain("prod", "reset"), Result.ROTATED, id="a lost answer"),
        pytest.param(UpdateConflict("prod", "changed", status=409), Result.ROTATED, id="conflict"),
        pytest.param(TargetRefused("prod", "no", status=400), Result.FAILED, id="refused"),
        pytest.param(TargetUnavailable("prod", "no way"), Result.FAILED, id="not applied"),
        pytest.param(UpdateWithheld("prod", "not any more"), Result.SKIPPED, id="withheld"),
    ],
)
async def test_what_each_answer_of_a_target_comes_to(fault: Exception, result: Result) -> None:
    memory = in_memory("a")
    memory.targets["prod"].faults = [fault]
    await driven(memory)
    assert await results(memory) == {"a": result}


async def test_a_look_that_fails_is_tried_again() -> None:
    memory = in_memory("a")
    target = memory.targets["prod"]
    target.look_faults = [TargetUnavailable("prod", "no answer")] * 3
    await driven(memory)
    assert target.look_faults == []
    assert await results(memory) == {"a": Result.ROTATED}


class TestCredentialsThatAreMade:
    async def test_each_is_made_when_its_turn_comes(self) -> None:
        memory = in_memory("a", "b")
        made: list[str] = []

        async def make(change: Change) -> Credential:
            # The canary is verified before the next one is made.
            assert len(memory.targets["prod"].puts) == len(made)
            made.append(change.connection.name)
            return good_of(change.connection.name)

        await driven(memory, roll_out(memory, leased=True), make)
        assert made == ["a", "b"]
        assert set((await results(memory)).values()) == {Result.ROTATED}

    @pytest.mark.parametrize(
        "error",
        [SourceUnavailable("vault", "creds/app", "it is sealed"), CredentialInvalid("no field")],
    )
    async def test_one_that_cannot_be_had_fails_its_connection(self, error: Exception) -> None:
        memory = in_memory("a")

        async def make(change: Change) -> Credential:
            raise error

        await driven(memory, roll_out(memory, leased=True), make)
        (outcome,) = await memory.ledger.latest_outcomes()
        assert (outcome.result, outcome.reason) == (Result.FAILED, str(error))
        assert memory.targets["prod"].puts == []


class TestStopping:
    async def test_told_before_the_beginning_nothing_leaves(self) -> None:
        memory = in_memory("a", "b")
        stop = asyncio.Event()
        stop.set()
        machine = await driven(memory, stop=stop)
        assert memory.targets["prod"].puts == []
        assert machine.summary().result is RunResult.INTERRUPTED
        assert await results(memory) == {"a": Result.SKIPPED, "b": Result.SKIPPED}

    async def test_told_while_an_update_is_under_way_it_ends_and_nothing_new_leaves(self) -> None:
        memory = in_memory("a", "b", rollout=RolloutPolicy(canary=1))
        target = memory.targets["prod"]
        target.gate = asyncio.Event()
        stop = asyncio.Event()
        async with begun(memory, stop=stop) as running:
            await target.waiting.wait()
            stop.set()
            target.gate.set()
            machine = await running
        assert [name for name, _ in target.puts] == ["a"]
        records = await memory.ledger.records("prod")
        assert records["a"].stage is Stage.PUT, "the next run looks whether it works"
        assert machine.summary().result is RunResult.INTERRUPTED


class TestErrors:
    async def test_a_ledger_that_fails_ends_the_roll_out_with_its_own_error(self) -> None:
        memory = in_memory("a", "b")
        memory.ledger.writes_left = 1  # the intent, and not the answer
        with pytest.raises(LedgerError, match="the disk is full") as raised:
            await driven(memory)
        assert raised.value.__cause__ is None
        assert len(memory.targets["prod"].puts) == 1

    async def test_nothing_leaves_whose_intent_is_not_on_record(self) -> None:
        memory = in_memory("a")
        memory.ledger.writes_left = 0
        with pytest.raises(LedgerError):
            await driven(memory)
        assert memory.targets["prod"].puts == []

    @pytest.mark.parametrize(
        "mistake", [ZeroDivisionError(), ExceptionGroup("of tasks", [ZeroDivisionError()])]
    )
    async def test_a_mistake_in_the_code_is_raised_as_it_is(self, mistake: Exception) -> None:
        memory = in_memory("a")

        async def make(change: Change) -> Credential:
            raise mistake

        with pytest.raises(ZeroDivisionError):
            await driven(memory, roll_out(memory, leased=True), make)

    async def test_a_cancellation_ends_what_is_under_way(self) -> None:
        memory = in_memory("a")
        target = memory.targets["prod"]
        target.gate = asyncio.Event()
        async with begun(memory) as running:
            await target.waiting.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        assert target.puts == []
        (record,) = (await memory.ledger.records("prod")).values()
        assert record.stage is Stage.INTENDED


@asynccontextmanager
async def begun(
    memory: Memory, *, stop: asyncio.Event | None = None
) -> AsyncIterator[asyncio.Task[RollOut]]:
    running = asyncio.create_task(driven(memory, stop=stop))
    try:
        async with asyncio.timeout(10):
            yield running
    finally:
        running.cancel()
