"""A ledger that any earlier version wrote opens, and keeps what it holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rotator.ledger import SqlLedger
from rotator.ledger.engine import Database
from rotator.ledger.schema import MIGRATIONS
from rotator.model.run import ActedOn
from rotator.model.secret import SecretRef
from tests.support.ledger_values import LEASE, NOW, OUTCOME, RUN, VERIFIED, now

EARLIER = NOW - timedelta(days=7)
PUT_AT: dict[tuple[str, datetime | None], datetime | None] = {
    ("verified", EARLIER): EARLIER,
    ("verified", None): None,
    ("put", EARLIER): NOW,
    ("put", None): NOW,
    ("failed", EARLIER): NOW,
    ("failed", None): NOW,
    ("refused", EARLIER): EARLIER,
    ("refused", None): None,
    ("intended", EARLIER): EARLIER,
    ("intended", None): None,
}
"""Stage of the last update, and when a verified one before it was put → when anything was put.

A connection that was adopted is verified, and nothing was put on it.
"""


def written_by(schema: int, path: Path) -> None:
    """A ledger as the version of rotator with this schema left it."""
    Database(path, steps=MIGRATIONS[:schema]).close()
    with closing(sqlite3.connect(path)) as db, db:
        for number, (stage, moment) in enumerate(PUT_AT):
            rotated_at = moment and moment.isoformat()
            db.execute(
                "INSERT INTO connections (target, connection, rotation, stage, fingerprint,"
                " secret_version, run_id, at, rotated_at, verified_at)"
                " VALUES ('prod', ?, 'openai', ?, 'f', 'v7', 'run-1', ?, ?, ?)",
                [f"c-{number}", stage, NOW.isoformat(), rotated_at, rotated_at],
            )
        if schema >= 2:
            db.execute("UPDATE connections SET verified_version = 'v7' WHERE stage = 'verified'")
        if schema >= 4:
            # The version with this schema knew of put_at, but did not write it yet.
            db.execute("UPDATE connections SET put_at = at WHERE stage IN ('put', 'failed')")
        db.execute(
            "INSERT INTO outcomes (run_id, rotation, target, connection, result, reason, at,"
            " verify_seconds) VALUES ('run-1', 'openai', 'prod', 'a', 'rotated', 'READY', ?, 1.5)",
            [NOW.isoformat()],
        )
        db.execute(
            "INSERT INTO runs VALUES ('run-1', 'openai', 'command', ?, NULL, NULL, '', '{}')",
            [NOW.isoformat()],
        )
        db.execute("INSERT INTO secrets_seen VALUES ('openai', '{\"source\": \"vault\"}', '1')")


@pytest.mark.parametrize("schema", range(1, len(MIGRATIONS)))
async def test_an_earlier_ledger_keeps_all_that_it_holds(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "ledger.db"
    written_by(schema, path)
    ledger = await SqlLedger.open(path, now)
    records = {record.connection: record for record in await ledger.all_records()}
    found = {(str(r.stage), r.rotated_at): r.put_at for r in records.values()}
    assert found == PUT_AT
    assert {r.verified_version for r in records.values() if r.stage == "verified"} == {"v7"}
    assert {(r.gone_at, r.older_versions) for r in records.values()} == {(None, ())}
    assert await ledger.outcomes() == (OUTCOME,)
    assert await ledger.runs() == (RUN,)
    assert await ledger.acted_on("openai") == {}, "what was seen told nothing of one connection"

    # And it is as good as a new one.
    acted = {("prod", "a"): ActedOn(SecretRef("vault", "x"), "2")}
    await ledger.write(VERIFIED)
    await ledger.remember("openai", acted)
    await ledger.keep_lease(LEASE)
    await ledger.aclose()
    again = await SqlLedger.open(path, now)
    assert (await again.records("prod"))["a"] == VERIFIED
    assert await again.acted_on("openai") == acted
    assert await again.leases() == (LEASE,)
    await again.aclose()


def test_every_way_leads_to_the_same_tables(tmp_path: Path) -> None:
    def made(path: Path) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(path)) as db:
            return db.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()

    Database(tmp_path / "new.db").close()
    for schema in range(1, len(MIGRATIONS)):
        path = tmp_path / f"{schema}.db"
        written_by(schema, path)
        Database(path).close()
        assert made(path) == made(tmp_path / "new.db")
