"""One run, from its lock to its last line in the ledger, whatever happens on the way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest

from rotator.errors import (
    Cause,
    LedgerError,
    NothingMatches,
    RunInProgress,
    SourceUnavailable,
    TargetRefused,
)
from rotator.model.current_run import present_run
from rotator.model.events import Listed, Planned, RunFinished, RunStarted, Settled
from rotator.model.lease import LeaseState
from rotator.model.record import Stage
from rotator.model.rule import FieldOf, Matching, SecretPlace
from rotator.model.run import ActedOn, Result, Run, RunResult
from rotator.model.secret import SecretRef
from rotator.rotation.run import Order, execute, new_run
from tests.support.memory import Memory
from tests.unit.rotation.in_memory import DOWN, LEASED, PATH, in_memory, secret, told
from tests.unit.rotation.values import NOON

REF = SecretRef("vault", PATH)


async def run(memory: Memory, *, stop: asyncio.Event | None = None, **options: Any) -> Run:
    order = Order("openai", "command", **options)
    made = new_run(order, memory.clock.now())
    async with asyncio.timeout(10):
        return await execute(memory.context, order, made, stop or asyncio.Event())


@asynccontextmanager
async def begun(memory: Memory, stop: asyncio.Event) -> AsyncIterator[asyncio.Task[Run]]:
    """A run that waits for the answer to its first update."""
    target = memory.targets["prod"]
    target.gate = asyncio.Event()
    running = asyncio.create_task(run(memory, stop=stop))
    try:
        async with asyncio.timeout(10):
            await target.waiting.wait()
            yield running
    finally:
        running.cancel()


async def recorded(memory: Memory) -> Run:
    last = await memory.ledger.last_run("openai")
    assert last is not None
    return last


async def stages(memory: Memory, target: str = "prod") -> dict[str, Stage]:
    return {name: r.stage for name, r in (await memory.ledger.records(target)).items()}


def puts(memory: Memory, target: str = "prod") -> list[str]:
    return [name for name, _ in memory.targets[target].puts]


def test_ids_sort_by_time_and_stay_readable() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=9)))
    first, second = (new_run(Order("openai", "schedule"), now) for now in (there, there))
    assert re.fullmatch(r"20261120T120000Z-openai-[0-9a-f]{6}", first.id)
    assert first.id != second.id
    assert (first.rotation, first.trigger, first.started_at) == ("openai", "schedule", there)


async def test_a_run_that_succeeds_says_so_to_ledger_and_observers() -> None:
    memory = in_memory("a", "b")
    done = await run(memory)
    assert (done.result, done.reason) == (RunResult.SUCCEEDED, "")
    assert dict(done.counts) == {"rotated": 2}
    assert done.finished_at == memory.clock.now()
    assert await recorded(memory) == done
    assert await stages(memory) == {"a": Stage.VERIFIED, "b": Stage.VERIFIED}
    kinds = (RunStarted, Planned, Settled, RunFinished)
    assert [type(e) for e in memory.events if isinstance(e, kinds)] == [
        RunStarted, Planned, Settled, Settled, RunFinished,
    ]  # fmt: skip
    assert told(memory, RunFinished) == [RunFinished(done)]


async def test_the_next_run_changes_nothing_until_the_secret_does() -> None:
    memory = in_memory("a", "b")
    await run(memory)
    again = await run(memory)
    assert dict(again.counts) == {"unchanged": 2}
    assert len(puts(memory)) == 2
    forced = await run(memory, force=True)
    assert dict(forced.counts) == {"rotated": 2}
    secret(memory, "good-2", "v2")
    assert dict((await run(memory)).counts) == {"rotated": 2}
    assert len(puts(memory)) == 6


async def test_a_bad_credential_reaches_the_canary_and_fails_the_run() -> None:
    memory = in_memory("a", "b", "c")
    secret(memory, "bad", "v2")
    done = await run(memory)
    assert done.result is RunResult.FAILED
    assert done.reason == "Stopped after a was rejected (INVALID_AUTH); 2 others were not touched"
    assert puts(memory) == ["a"]
    assert told(memory, RunFinished) == [RunFinished(done, Cause.REJECTED)]


async def test_what_works_for_the_run_is_told_as_its_own() -> None:
    memory = in_memory("a")
    seen = []

    class Watching(list[object]):
        def append(self, event: object) -> None:
            seen.append((type(event), present_run()))

    memory.events = Watching()  # type: ignore[assignment] # a list of more kinds
    done = await run(memory)
    assert (Listed, done.id) in seen
    assert seen[-1] == (RunFinished, None)


# Filters


class TestOnly:
    async def test_the_others_are_left_alone(self) -> None:
        memory = in_memory("a", "b")
        done = await run(memory, only="b*")
        assert dict(done.counts) == {"rotated": 1}
        assert puts(memory) == ["b"]

    async def test_one_that_matches_nothing_is_an_error_before_there_is_a_run(self) -> None:
        memory = in_memory("b", "a")
        with pytest.raises(NothingMatches) as refused:
            await run(memory, only="nomatch-*")
        assert str(refused.value) == "no connection of rotation openai is named nomatch-*"
        assert refused.value.names == ("a", "b")
        assert await memory.ledger.runs() == ()
        assert told(memory, RunStarted) == []

    async def test_one_that_names_what_only_its_page_lost_matches(self) -> None:
        memory = in_memory("a", "b")
        await run(memory)
        memory.targets["prod"].unlisted = {"b"}
        secret(memory, "good-2", "v2")
        assert dict((await run(memory, only="b")).counts) == {"rotated": 1}

    async def test_a_target_that_does_not_answer_may_hold_what_it_names(self) -> None:
        memory = in_memory("a", targets=("east", "west"))
        memory.targets["west"].trouble = DOWN
        done = await run(memory, only="b")
        assert (done.result, done.reason) == (RunResult.FAILED, str(DOWN))

    async def test_where_no_target_answers_the_run_meets_that_and_records_it(self) -> None:
        memory = in_memory("a")
        memory.targets["prod"].trouble = DOWN
        done = await run(memory, only="a")
        assert (done.result, done.reason) == (RunResult.FAILED, str(DOWN))
        assert await recorded(memory) == done

    async def test_a_change_of_the_secret_is_remembered_for_those_that_got_it(self) -> None:
        memory = in_memory("a", "b")
        await run(memory)
        secret(memory, "good-2", "v2")
        await run(memory, only="a")
        assert await memory.ledger.acted_on("openai") == {
            ("prod", "a"): ActedOn(REF, "v2"),
            ("prod", "b"): ActedOn(REF, "v1"),
        }
        assert dict((await run(memory)).counts) == {"unchanged": 1, "rotated": 1}


# What refuses or fails a run


class TestRefused:
    async def test_a_plan_that_refuses_itself_sends_nothing(self) -> None:
        memory = in_memory("a", "b", matching=Matching(at_most=1))
        done = await run(memory)
        assert done.result is RunResult.REFUSED
        assert "more than match.expect.max (1)" in done.reason
        assert puts(memory) == []
        assert told(memory, RunFinished) == [RunFinished(done, Cause.MATCH)]

    async def test_the_version_that_made_it_refuse_is_remembered(self) -> None:
        """Else the watch would run it again and again."""
        memory = in_memory("a", mapping={"api-key": FieldOf("nothing")})
        assert (await run(memory)).result is RunResult.REFUSED
        assert await memory.ledger.acted_on("openai") == {("prod", "a"): ActedOn(REF, "v1")}

    async def test_another_run_of_the_rotation_is_under_way(self) -> None:
        memory = in_memory("a")
        async with memory.ledger.lock("openai"):
            with pytest.raises(RunInProgress):
                await run(memory)
        assert await memory.ledger.runs() == ()
        assert memory.events == []


class TestTargets:
    async def test_one_that_cannot_be_listed_fails_the_run_and_the_others_are_done(self) -> None:
        memory = in_memory("a", targets=("east", "west"))
        memory.targets["west"].trouble = DOWN
        done = await run(memory)
        assert (done.result, done.reason) == (RunResult.FAILED, str(DOWN))
        assert dict(done.counts) == {"rotated": 1}
        assert puts(memory, "east") == ["a"]
        assert told(memory, RunFinished) == [RunFinished(done, Cause.TARGET)]

    async def test_its_error_stands_before_what_else_failed(self) -> None:
        memory = in_memory("a", targets=("east", "west"))
        memory.targets["west"].trouble = DOWN
        secret(memory, "bad", "v2")
        done = await run(memory)
        assert done.reason == f"{DOWN}; a was rejected (INVALID_AUTH)"

    async def test_where_none_can_be_listed_the_request_is_named(self) -> None:
        memory = in_memory("a")
        trouble = TargetRefused("prod", "forbidden", status=403, request_id="req-1")
        memory.targets["prod"].trouble = trouble
        done = await run(memory)
        assert (done.result, done.reason) == (RunResult.FAILED, str(trouble))
        assert told(memory, RunFinished) == [RunFinished(done, Cause.REFUSED, "req-1")]


class TestGone:
    async def test_a_connection_that_was_deleted_is_gone_on_record(self) -> None:
        memory = in_memory("a", "b")
        await run(memory)
        del memory.targets["prod"].held["b"]
        assert (await run(memory)).result is RunResult.SUCCEEDED
        gone = {name: r.gone_at for name, r in (await memory.ledger.records("prod")).items()}
        assert gone == {"a": None, "b": memory.clock.now()}

    async def test_one_that_only_its_page_lost_is_rotated(self) -> None:
        memory = in_memory("a", "b")
        await run(memory)
        memory.targets["prod"].unlisted = {"b"}
        secret(memory, "good-2", "v2")
        assert dict((await run(memory)).counts) == {"rotated": 2}


# Endings that nobody wants


class TestStopping:
    async def test_told_before_it_began_it_touches_nothing(self) -> None:
        memory = in_memory("a", "b")
        stop = asyncio.Event()
        stop.set()
        done = await run(memory, stop=stop)
        assert done.result is RunResult.INTERRUPTED
        assert done.reason == "told to stop; 2 left for the next run"
        assert puts(memory) == []
        assert await recorded(memory) == done

    async def test_told_while_it_runs_the_next_run_does_the_rest(self) -> None:
        memory = in_memory("a", "b")
        stop = asyncio.Event()
        async with begun(memory, stop) as running:
            stop.set()
            assert memory.targets["prod"].gate is not None
            memory.targets["prod"].gate.set()
            done = await running
        assert done.result is RunResult.INTERRUPTED
        assert puts(memory) == ["a"]
        again = await run(memory)
        assert dict(again.counts) == {"rotated": 2}
        assert puts(memory) == ["a", "b"], "what was put is verified, not put again"

    async def test_targets_that_could_not_be_listed_are_of_no_account_then(self) -> None:
        memory = in_memory("a", targets=("east", "west"))
        memory.targets["west"].trouble = DOWN
        stop = asyncio.Event()
        stop.set()
        assert (await run(memory, stop=stop)).result is RunResult.INTERRUPTED


class TestCutOff:
    async def test_a_cancelled_run_is_on_record_as_interrupted(self) -> None:
        memory = in_memory("a")
        async with begun(memory, asyncio.Event()) as running:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        done = await recorded(memory)
        assert (done.result, done.reason) == (RunResult.INTERRUPTED, "cancelled")
        assert told(memory, RunFinished) == [RunFinished(done)]
        memory.targets["prod"].gate = None
        assert (await run(memory)).result is RunResult.SUCCEEDED

    async def test_a_crash_is_on_record_without_its_words(self) -> None:
        memory = in_memory("a")
        memory.targets["prod"].faults = [RuntimeError("canary-value")]
        with pytest.raises(RuntimeError):
            await run(memory)
        done = await recorded(memory)
        assert (done.result, done.reason) == (RunResult.FAILED, "internal error: RuntimeError")
        assert told(memory, RunFinished) == [RunFinished(done, Cause.INTERNAL)]
        async with memory.ledger.lock("openai"):
            pass  # it is free


class TestLedger:
    async def test_one_that_fails_before_the_beginning(self) -> None:
        """Nothing is on record, so the observers are all who can tell."""
        memory = in_memory("a")
        memory.ledger.writes_left = 0
        with pytest.raises(LedgerError):
            await run(memory)
        assert told(memory, RunStarted) == []
        (event,) = told(memory, RunFinished)
        assert (event.run.result, event.run.reason) == (RunResult.FAILED, "the disk is full")
        assert event.run.finished_at is not None
        assert event.cause is Cause.LEDGER

    async def test_one_that_fails_at_the_end(self) -> None:
        """A run whose end is not on record did not succeed: the next one looks again."""
        memory = in_memory("a")
        memory.ledger.writes_left = 5  # all but how the run ended
        with pytest.raises(LedgerError):
            await run(memory)
        assert await stages(memory) == {"a": Stage.VERIFIED}
        (event,) = told(memory, RunFinished)
        assert (event.run.result, event.run.reason) == (RunResult.FAILED, "the disk is full")
        assert event.cause is Cause.LEDGER

    async def test_what_failed_first_is_told_although_the_ledger_fails_too(self) -> None:
        memory = in_memory("a", matching=Matching(at_least=2))
        memory.ledger.writes_left = 2
        with pytest.raises(LedgerError):
            await run(memory)
        (event,) = told(memory, RunFinished)
        assert (event.run.result, event.cause) == (RunResult.REFUSED, Cause.MATCH)

    async def test_one_that_fails_in_the_middle_of_a_roll_out(self) -> None:
        memory = in_memory("a", "b")
        memory.ledger.writes_left = 3  # the run, what it acted on, and one intent
        with pytest.raises(LedgerError):
            await run(memory)
        assert puts(memory) == ["a"]
        (event,) = told(memory, RunFinished)
        assert (event.run.result, event.cause) == (RunResult.FAILED, Cause.LEDGER)
        assert await stages(memory) == {"a": Stage.INTENDED}

        memory.ledger.writes_left = None
        memory.clock.at += 60
        again = await run(memory)
        assert dict(again.counts) == {"rotated": 2}
        closed = await memory.ledger.runs()
        assert [each.result for each in closed] == [RunResult.SUCCEEDED, RunResult.INTERRUPTED]


# Leases


class TestLeases:
    async def leases(self, memory: Memory, state: LeaseState) -> list[str]:
        return [lease.id for lease in await memory.ledger.leases() if lease.state is state]

    async def test_one_is_made_for_all_and_the_one_before_is_retired_afterwards(self) -> None:
        memory = in_memory("a", "b", secret=LEASED)
        assert (await run(memory)).result is RunResult.SUCCEEDED
        source = memory.sources["vault"]
        assert source.made == ["creds/app/lease-1"]
        assert await self.leases(memory, LeaseState.LIVE) == source.made
        assert (await run(memory)).counts == {"unchanged": 2}, "it is good for longer"
        assert (await run(memory, force=True)).result is RunResult.SUCCEEDED
        first, second = source.made
        assert await self.leases(memory, LeaseState.LIVE) == [second]
        assert await self.leases(memory, LeaseState.RETIRED) == [first]

    async def test_an_orphan_of_a_run_that_died_is_retired(self) -> None:
        memory = in_memory("a", secret=LEASED)
        await run(memory)
        (lease,) = await memory.ledger.leases()
        await memory.ledger.keep_lease(replace(lease, id="orphan"))
        await run(memory)
        assert await self.leases(memory, LeaseState.RETIRED) == ["orphan"]

    async def test_a_plan_that_is_refused_retires_nothing(self) -> None:
        """What it would leave out may only be missing from one listing."""
        memory = in_memory("a", "b", secret=LEASED)
        await run(memory)
        (lease,) = await memory.ledger.leases()
        await memory.ledger.keep_lease(replace(lease, id="orphan"))
        memory.targets["prod"].held.clear()
        refused = await run(memory)
        assert refused.result is RunResult.REFUSED
        assert await self.leases(memory, LeaseState.RETIRED) == []
        records = (await memory.ledger.records("prod")).values()
        assert [record.gone_at for record in records] == [None, None]

    async def test_a_credential_that_is_refused_leaves_what_works_its_lease(self) -> None:
        memory = in_memory("a", "b", secret=LEASED)
        await run(memory)
        secret(memory, "bad", "v2")
        done = await run(memory, force=True)
        assert done.result is RunResult.FAILED
        assert await self.leases(memory, LeaseState.RETIRED) == []

    async def test_one_that_cannot_be_made_fails_its_connections(self) -> None:
        memory = in_memory("a", secret=LEASED)
        memory.sources["vault"].trouble = SourceUnavailable("vault", LEASED.path, "it is sealed")
        done = await run(memory)
        assert (done.result, dict(done.counts)) == (RunResult.FAILED, {"failed": 1})
        assert "it is sealed" in done.reason
        (outcome,) = await memory.ledger.latest_outcomes()
        assert outcome.result is Result.FAILED


async def test_a_connection_with_a_secret_of_its_own_fails_alone() -> None:
    memory = in_memory("a", "b", secret=SecretPlace("vault", "flink/{connection}"))
    memory.sources["vault"].secrets["flink/b"] = ("v1", {"api_key": "good"})
    done = await run(memory)
    assert done.result is RunResult.REFUSED, "no failure is permitted"
    assert puts(memory) == []
