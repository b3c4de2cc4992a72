"""What is written is read again, in another process too; one run at a time; nothing too old."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from rotator.errors import LedgerError, RunInProgress
from rotator.ledger import SqlLedger, fingerprint_key
from rotator.ledger.store import KEPT, KEPT_OUTCOMES
from rotator.model.lease import LeaseState
from rotator.model.record import Stage
from rotator.model.run import Result, RunResult
from rotator.model.secret import SecretRef
from rotator.model.source import SourceState
from tests.unit.ledger.values import LEASE, NOW, OUTCOME, RECORD, RUN, now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SqlLedger]:
    opened = await SqlLedger.open(path, now)
    yield opened
    await opened.aclose()


async def test_what_is_written_is_read_again(ledger: SqlLedger, path: Path) -> None:
    await ledger.begin(RUN)
    await ledger.intend(RECORD)
    put = replace(RECORD, stage=Stage.PUT, resource_version="8")
    await ledger.put(put)
    verified = replace(
        put,
        stage=Stage.VERIFIED,
        phase="READY",
        verified_fingerprint="f" * 64,
        rotated_at=NOW,
        verified_at=NOW + timedelta(microseconds=1),
    )
    await ledger.settle(verified, OUTCOME)
    ended = replace(RUN, finished_at=NOW, result=RunResult.SUCCEEDED, counts={"rotated": 1})
    await ledger.finish(ended)

    again = await SqlLedger.open(path, now)
    assert await again.records("prod") == {"a": verified}
    assert await again.all_records() == (verified,)
    assert await again.records("another") == {}
    assert await again.outcomes() == (OUTCOME,)
    assert await again.run("run-1") == (ended, (OUTCOME,))
    assert await again.run("run-2") is None
    assert await again.last_success("openai") == ended
    await again.aclose()


async def test_times_are_utc_whatever_zone_they_came_in(ledger: SqlLedger) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    await ledger.intend(replace(RECORD, at=there))
    (record,) = await ledger.all_records()
    assert record.at == NOW
    assert record.at.utcoffset() == timedelta(0)


async def test_runs_newest_first_and_the_last_that_succeeded(ledger: SqlLedger) -> None:
    for number, result in enumerate([RunResult.SUCCEEDED, RunResult.FAILED, RunResult.REFUSED]):
        run = replace(RUN, id=f"run-{number}", started_at=NOW + timedelta(minutes=number))
        await ledger.begin(run)
        await ledger.finish(replace(run, finished_at=NOW, result=result))
    await ledger.begin(replace(RUN, id="other", rotation="other"))
    assert [run.id for run in await ledger.runs("openai", limit=2)] == ["run-2", "run-1"]
    assert len(await ledger.runs()) == 4
    last, good = await ledger.last_run("openai"), await ledger.last_success("openai")
    assert last is not None
    assert last.id == "run-2"
    assert good is not None
    assert good.id == "run-0"
    assert await ledger.last_run("never") is None


async def test_globs_and_since(ledger: SqlLedger) -> None:
    for number in range(5):
        moment = NOW - timedelta(days=number)
        await ledger.settle(None, replace(OUTCOME, connection=f"c-{number}", at=moment))
    recent = await ledger.outcomes(since=NOW - timedelta(days=2))
    assert [outcome.connection for outcome in recent] == ["c-2", "c-1", "c-0"]
    assert [o.connection for o in await ledger.outcomes("c-[34]")] == ["c-4", "c-3"]
    assert [o.connection for o in await ledger.outcomes("C-*")] == []
    assert [o.connection for o in await ledger.outcomes(limit=1)] == ["c-4"]


async def test_what_is_too_old_goes_but_the_state_stays(ledger: SqlLedger) -> None:
    old = NOW - KEPT - timedelta(days=1)
    await ledger.begin(replace(RUN, id="old", started_at=old))
    await ledger.settle(replace(RECORD, at=old), replace(OUTCOME, at=old))
    await ledger.settle(None, replace(OUTCOME, at=NOW - KEPT))
    await ledger.begin(RUN)
    assert [outcome.at for outcome in await ledger.outcomes()] == [NOW - KEPT]
    assert await ledger.run("old") is None
    assert set(await ledger.records("prod")) == {"a"}


async def test_no_more_outcomes_than_a_disk_can_bear(ledger: SqlLedger, path: Path) -> None:
    for name in ("first", "second"):
        await ledger.settle(None, replace(OUTCOME, connection=name))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE outcomes SET number = ? WHERE number = 2", [1 + KEPT_OUTCOMES])
    await ledger.begin(RUN)
    assert [outcome.connection for outcome in await ledger.outcomes()] == ["second"]


async def test_versions_that_were_seen(ledger: SqlLedger) -> None:
    ref = SecretRef("vault", "flink/openai", mount="kv")
    await ledger.seen("openai", {ref: "1"})
    await ledger.seen("openai", {ref: "2", SecretRef("aws", "x"): "7"})
    assert await ledger.seen_versions("openai") == {ref: "2", SecretRef("aws", "x"): "7"}
    assert await ledger.seen_versions("other") == {}


async def test_leases_in_every_state(ledger: SqlLedger, path: Path) -> None:
    asked = replace(LEASE, id="asked-1", state=LeaseState.ASKED, expires_at=None, renewable=False)
    await ledger.keep_lease(asked)
    assert await ledger.leases() == (asked,)

    await ledger.keep_lease(LEASE, instead_of="asked-1")
    assert await ledger.leases() == (LEASE,), "the answer takes the place of the question"

    retired = replace(
        LEASE, state=LeaseState.RETIRED, revoke_at=NOW, owner="accessor", owner_ends_at=NOW
    )
    await ledger.keep_lease(retired)
    later = replace(LEASE, id="two", rotation="azure", made_at=NOW + timedelta(seconds=1))
    await ledger.keep_lease(later)

    again = await SqlLedger.open(path, now)
    assert await again.leases() == (retired, later)
    assert await again.leases("azure") == (later,)
    await again.drop_lease(LEASE.id)
    await again.drop_lease("never was")
    assert await again.leases() == (later,)
    await again.aclose()


async def test_how_sources_answered(ledger: SqlLedger, path: Path) -> None:
    failing = SourceState("vault", None, NOW, "source vault: it is sealed")
    await ledger.keep_source(failing)
    await ledger.keep_source(SourceState("aws", NOW))
    again = await SqlLedger.open(path, now)
    assert await again.source_states() == (SourceState("aws", NOW), failing)
    await again.keep_source(SourceState("vault", NOW))
    assert await again.source_states() == (SourceState("aws", NOW), SourceState("vault", NOW))
    await again.aclose()


async def test_records_of_a_rotation_on_whatever_target(ledger: SqlLedger) -> None:
    elsewhere = replace(RECORD, target="staging", verified_version="v1")
    for record in (RECORD, elsewhere, replace(RECORD, connection="b", rotation="azure")):
        await ledger.intend(record)
    assert set(await ledger.records_of("openai")) == {RECORD, elsewhere}
    assert elsewhere.leases == {"v1", "v2"}


async def test_text_of_others_that_is_no_unicode_is_kept_readable(ledger: SqlLedger) -> None:
    """JSON can say such a thing; the record of an update must not be lost over it."""
    half = "bad \ud800 text"
    await ledger.settle(
        replace(RECORD, error=half), replace(OUTCOME, reason="Zugriff für müde \N{SNAKE}")
    )
    await ledger.seen("openai", {SecretRef("file", half): half})
    (record,) = await ledger.all_records()
    assert record.error == r"bad \ud800 text"
    (outcome,) = await ledger.outcomes()
    assert outcome.reason == "Zugriff für müde \N{SNAKE}"
    assert await ledger.seen_versions("openai") == {SecretRef("file", half): r"bad \ud800 text"}
    with pytest.raises(LedgerError, match="no Unicode"):
        await ledger.outcomes(half)


async def _read_all(ledger: SqlLedger) -> None:
    await ledger.all_records()
    await ledger.outcomes()
    await ledger.runs()
    await ledger.seen_versions("openai")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE connections SET stage = 'halfway'", "record whose stage"),
        ("UPDATE connections SET at = 'yesterday'", "record whose at"),
        ("UPDATE connections SET verified_at = x'00ff'", "record whose verified_at"),
        ("UPDATE outcomes SET result = 'perhaps'", "outcome whose result"),
        ("UPDATE runs SET counts = '{'", "run whose counts"),
        ("UPDATE secrets_seen SET ref = '[]'", "secret version whose reference"),
        ("UPDATE connections SET error = CAST(x'ff' AS TEXT)", "ledger.db: SQLite says"),
        ("DROP TABLE connections", "ledger.db: SQLite says"),
    ],
)
async def test_what_makes_no_sense_is_named(
    ledger: SqlLedger, path: Path, damage: str, words: str
) -> None:
    await ledger.begin(RUN)
    await ledger.settle(RECORD, OUTCOME)
    await ledger.seen("openai", {SecretRef("vault", "x"): "1"})
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(damage)
    with pytest.raises(LedgerError, match=words):
        await _read_all(ledger)


async def test_one_run_of_a_rotation_at_a_time(ledger: SqlLedger, path: Path) -> None:
    other = await SqlLedger.open(path, now)
    async with ledger.lock("openai"):
        await ledger.begin(RUN)
        for second in (ledger, other):
            with pytest.raises(RunInProgress, match="run-1"):
                await second.lock("openai").__aenter__()
        async with other.lock("another"):
            pass
    async with other.lock("openai"):
        run, _ = await other.run("run-1") or (None, ())
        assert run is not None
        assert run.result is RunResult.INTERRUPTED, "nobody works on it any more"
        assert run.finished_at == NOW
    await other.aclose()


async def test_a_lock_that_is_refused_before_a_run_began_names_none(ledger: SqlLedger) -> None:
    await ledger.begin(replace(RUN, finished_at=NOW, result=RunResult.SUCCEEDED))
    async with ledger.lock("openai"):
        with pytest.raises(RunInProgress) as refused:
            await ledger.lock("openai").__aenter__()
    assert refused.value.run_id is None


async def test_a_run_that_fails_frees_the_lock(ledger: SqlLedger) -> None:
    with pytest.raises(ZeroDivisionError):
        async with ledger.lock("openai"):
            raise ZeroDivisionError
    async with ledger.lock("openai"):
        pass


async def test_a_lock_that_cant_be_taken_is_named(ledger: SqlLedger, path: Path) -> None:
    path.with_name("ledger.db.openai.lock").mkdir()
    with pytest.raises(LedgerError, match=r"lock .*ledger\.db\.openai\.lock can't be taken"):
        await ledger.lock("openai").__aenter__()


async def test_no_value_reaches_the_disk(ledger: SqlLedger, path: Path) -> None:
    canary = "canary-3b1f8f6e"
    key = fingerprint_key(path.with_suffix(".key"))
    fingerprint = key.fingerprint({"api-key": canary})
    record = replace(RECORD, fingerprint=fingerprint, verified_fingerprint=fingerprint)
    await ledger.begin(RUN)
    await ledger.intend(record)
    await ledger.settle(record, replace(OUTCOME, fingerprint=fingerprint, result=Result.FAILED))

    written = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert fingerprint.encode() in written["ledger.db-wal"]
    await ledger.aclose()
    written["closed"] = path.read_bytes()
    assert fingerprint.encode() in written["closed"]
    for name, content in written.items():
        assert canary.encode() not in content, name
        if name != "ledger.key":
            assert key.key not in content, name
            assert key.key.hex().encode() not in content, name
