"""Runs: one of a rotation at a time, and what is left of one whose process died."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.errors import LedgerError, RunInProgress
from rotator.model.run import RunResult
from tests.support.ledger_values import NOW, RUN
from tests.support.ledgers import Store, WholeLedger

ENDED = replace(
    RUN,
    finished_at=NOW + timedelta(seconds=4),
    result=RunResult.FAILED,
    reason="1 failed",
    counts={"rotated": 3, "failed": 1},
)


async def test_a_run_is_read_again_as_it_was(ledger: WholeLedger, store: Store) -> None:
    await ledger.begin(RUN)
    again = await store.open()
    assert await again.run(RUN.id) == (RUN, ())
    await ledger.finish(ENDED)
    assert await again.run(RUN.id) == (ENDED, ())
    assert await again.run("run-2") is None


async def test_a_run_begins_once(ledger: WholeLedger) -> None:
    await ledger.begin(RUN)
    with pytest.raises(LedgerError):
        await ledger.begin(RUN)
    assert await ledger.runs() == (RUN,)


async def test_runs_come_newest_first(ledger: WholeLedger) -> None:
    results = [RunResult.SUCCEEDED, RunResult.FAILED, RunResult.REFUSED, RunResult.INTERRUPTED]
    for number, result in enumerate(results):
        run = replace(RUN, id=f"run-{number}", started_at=NOW + timedelta(minutes=number))
        await ledger.begin(run)
        await ledger.finish(replace(run, finished_at=NOW, result=result))
    await ledger.begin(replace(RUN, id="other", rotation="azure"))
    assert [run.id for run in await ledger.runs("openai", limit=2)] == ["run-3", "run-2"]
    assert len(await ledger.runs()) == 5
    assert await ledger.runs("never") == ()
    last, good = await ledger.last_run("openai"), await ledger.last_success("openai")
    assert last is not None
    assert last.id == "run-3"
    assert good is not None
    assert good.id == "run-0"
    assert await ledger.last_run("never") is None
    assert await ledger.last_success("azure") is None


# One at a time


async def test_one_run_of_a_rotation_at_a_time(ledger: WholeLedger, store: Store) -> None:
    other = await store.open()
    async with ledger.lock("openai"):
        await ledger.begin(RUN)
        for second in (ledger, other):
            with pytest.raises(RunInProgress) as refused:
                await second.lock("openai").__aenter__()
            assert refused.value.run_id == RUN.id
        async with other.lock("azure"):
            pass
        assert await other.last_run("openai") == RUN, "it is under way, so it stays open"
    async with other.lock("openai"):
        pass


async def test_a_lock_that_is_refused_before_a_run_began_names_none(ledger: WholeLedger) -> None:
    await ledger.begin(ENDED)
    async with ledger.lock("openai"):
        with pytest.raises(RunInProgress) as refused:
            await ledger.lock("openai").__aenter__()
    assert refused.value.run_id is None


async def test_a_run_that_fails_frees_the_lock(ledger: WholeLedger) -> None:
    with pytest.raises(ZeroDivisionError):
        async with ledger.lock("openai"):
            raise ZeroDivisionError
    async with ledger.lock("openai"):
        pass


async def test_taking_the_lock_closes_abandoned_runs(ledger: WholeLedger) -> None:
    ended = replace(ENDED, id="run-0")
    other = replace(RUN, id="run-2", rotation="azure")
    for run in (ended, RUN, other):
        await ledger.begin(run)
    async with ledger.lock("openai"):
        found = await ledger.run(RUN.id)
        assert found is not None
        run, _ = found
        assert (run.result, run.finished_at) == (RunResult.INTERRUPTED, NOW)
        assert run.reason == "the process ended before the run did"
        assert await ledger.run(ended.id) == (ended, ())
        assert await ledger.run(other.id) == (other, ())


async def test_the_death_of_a_process_frees_its_lock(ledger: WholeLedger, store: Store) -> None:
    kill = await store.run_elsewhere()
    with pytest.raises(RunInProgress) as refused:
        await ledger.lock("openai").__aenter__()
    assert refused.value.run_id == "run-dead"
    async with ledger.lock("azure"):
        pass
    await kill()
    async with ledger.lock("openai"):
        run = await ledger.last_run("openai")
    assert run is not None
    assert (run.id, run.result) == ("run-dead", RunResult.INTERRUPTED)
