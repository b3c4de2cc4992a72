"""What a ledger knows of connections, and what runs acted on for each."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from datetime import timedelta, timezone

import pytest

from rotator.errors import LedgerError
from rotator.model.record import Record, Stage
from rotator.model.run import ActedOn, Result
from rotator.model.secret import SecretRef
from tests.support.ledger_values import NOW, OUTCOME, RECORD, VERIFIED, settled
from tests.support.ledgers import Store, WholeLedger

FULL = replace(
    VERIFIED,
    error="INVALID_AUTH: 401",
    gone_at=NOW + timedelta(hours=1),
    maybe_in_place=("v0", "v1"),
)
REF = SecretRef("vault", "flink/openai", mount="kv")


def test_the_full_record_leaves_no_field_out() -> None:
    assert [each.name for each in fields(Record) if getattr(FULL, each.name) in {None, ()}] == []


@pytest.mark.parametrize("record", [RECORD, FULL], ids=["empty", "full"])
async def test_another_process_reads_what_was_written(
    ledger: WholeLedger, store: Store, record: Record
) -> None:
    await ledger.write(record)
    again = await store.open()
    assert await again.records("prod") == {"a": record}
    assert await again.records_of("openai") == (record,)
    assert await again.all_records() == (record,)
    assert await again.records("another") == {}
    assert await again.records_of("another") == ()


async def test_a_record_is_replaced_whole(ledger: WholeLedger) -> None:
    await ledger.write(FULL)
    await ledger.write(RECORD)
    assert await ledger.all_records() == (RECORD,), "what the new record lacks is not kept"
    await ledger.settle([settled(record=FULL)])
    assert await ledger.all_records() == (FULL,)


async def test_a_name_is_another_connection_on_another_target(ledger: WholeLedger) -> None:
    elsewhere = replace(RECORD, target="dev", verified_version="v1")
    azure = replace(RECORD, connection="b", rotation="azure")
    for record in (azure, RECORD, elsewhere):
        await ledger.write(record)
    assert await ledger.all_records() == (elsewhere, RECORD, azure), "by target and name"
    assert await ledger.records("prod") == {"a": RECORD, "b": azure}
    assert set(await ledger.records_of("openai")) == {RECORD, elsewhere}


async def test_writes_last_in_the_order_in_which_they_were_asked_for(
    ledger: WholeLedger, store: Store
) -> None:
    stages = [replace(RECORD, stage=stage) for stage in Stage] * 20
    await asyncio.gather(*(ledger.write(record) for record in (*stages, FULL)))
    assert await (await store.open()).all_records() == (FULL,)


async def test_times_of_any_zone_are_read_as_utc(ledger: WholeLedger) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    await ledger.write(replace(RECORD, at=there, put_at=there))
    (record,) = await ledger.all_records()
    assert (record.at, record.put_at) == (NOW, NOW)
    assert record.at.utcoffset() == timedelta(0)


# Settling


async def test_settling_writes_every_record_and_every_outcome(
    ledger: WholeLedger, store: Store
) -> None:
    names = [f"c-{number:03}" for number in range(200)]
    done = [settled(name, record=replace(VERIFIED, connection=name)) for name in names]
    await ledger.settle([*done, settled("untouched", result=Result.SKIPPED)])
    again = await store.open()
    assert [record.connection for record in await again.all_records()] == names
    assert [each.connection for each in await again.latest_outcomes()] == [*names, "untouched"]


async def test_settling_is_all_or_nothing(ledger: WholeLedger) -> None:
    await ledger.write(RECORD)
    bad = replace(VERIFIED, connection="bad", fingerprint=None)  # type: ignore[arg-type] # on purpose
    with pytest.raises(LedgerError):
        await ledger.settle([settled(record=VERIFIED), settled("bad", record=bad), settled("c")])
    assert await ledger.all_records() == (RECORD,)
    assert await ledger.latest_outcomes() == ()


async def test_one_that_cant_be_settled_doesnt_fail_the_others(ledger: WholeLedger) -> None:
    bad = replace(VERIFIED, connection="bad", fingerprint=None)  # type: ignore[arg-type] # on purpose
    answers = await asyncio.gather(
        ledger.write(RECORD),
        ledger.settle([settled("bad", record=bad)]),
        ledger.settle([settled(record=VERIFIED)]),
        return_exceptions=True,
    )
    assert [isinstance(answer, LedgerError) for answer in answers] == [False, True, False]
    assert await ledger.all_records() == (VERIFIED,)
    assert await ledger.latest_outcomes() == (OUTCOME,)


async def test_settling_nothing_writes_nothing(ledger: WholeLedger) -> None:
    await ledger.settle([])
    assert await ledger.latest_outcomes() == ()
    assert await ledger.all_records() == ()


# Acted on


async def test_what_was_acted_on_is_kept_for_each_connection(
    ledger: WholeLedger, store: Store
) -> None:
    first = {("prod", "a"): ActedOn(REF, "1"), ("prod", "b"): ActedOn(REF, "1")}
    await ledger.remember("openai", first)
    assert await ledger.acted_on("openai") == first
    assert await ledger.acted_on("another") == {}

    aws = SecretRef("aws", "x", stage="AWSPREVIOUS")
    second = {("prod", "a"): ActedOn(REF, "2"), ("dev", "a"): ActedOn(aws, "7")}
    await ledger.remember("openai", second)
    again = await store.open()
    assert await again.acted_on("openai") == {**first, **second}, "b keeps what it has"


async def test_another_secret_takes_the_place_of_the_one_before(ledger: WholeLedger) -> None:
    moved = replace(REF, path="flink/moved")
    for ref in (REF, moved):
        await ledger.remember("openai", {("prod", "a"): ActedOn(ref, "1")})
    assert await ledger.acted_on("openai") == {("prod", "a"): ActedOn(moved, "1")}


async def test_remembering_nothing_forgets_nothing(ledger: WholeLedger) -> None:
    await ledger.remember("openai", {("prod", "a"): ActedOn(REF, "1")})
    await ledger.remember("openai", {})
    assert await ledger.acted_on("openai") == {("prod", "a"): ActedOn(REF, "1")}
