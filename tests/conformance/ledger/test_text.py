"""Texts that a database may not take, and errors in plain words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.errors import LedgerError
from rotator.model.run import ActedOn
from rotator.model.secret import SecretRef
from rotator.model.source import SourceState
from tests.support.ledger_values import LEASE, NOW, RECORD, RUN, settled
from tests.support.ledgers import WholeLedger


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Zugriff für müde \N{SNAKE}", "Zugriff für müde \N{SNAKE}"),
        ("half \ud800 of one", r"half \ud800 of one"),
        ("nothing \0 here", r"nothing \x00 here"),
        ("two\nlines\t'quoted' \"twice\" \\ %s", "two\nlines\t'quoted' \"twice\" \\ %s"),
        ("", ""),
    ],
    ids=["unicode", "surrogate", "NUL", "quotes", "empty"],
)
async def test_text_of_others_is_kept_readable(ledger: WholeLedger, text: str, kept: str) -> None:
    """JSON can hold such a text, and the record of an update must not be lost over it."""
    await ledger.begin(replace(RUN, reason=text))
    await ledger.settle([settled(record=replace(RECORD, error=text), reason=text)])
    await ledger.keep_lease(replace(LEASE, mapping=text))
    await ledger.keep_source(SourceState("vault", NOW, NOW, text))
    ref = SecretRef("file", text)
    await ledger.remember("openai", {("prod", "a"): ActedOn(ref, text)})

    (record,) = await ledger.all_records()
    run, (outcome,) = await ledger.run(RUN.id) or (RUN, ())
    (lease,) = await ledger.leases()
    (state,) = await ledger.source_states()
    told = (record.error, outcome.reason, run.reason, lease.mapping, state.reason)
    assert told == (kept,) * 5
    assert await ledger.acted_on("openai") == {("prod", "a"): ActedOn(ref, kept)}


@pytest.mark.parametrize("name", ["half \ud800", "nothing \0 here", "müde"])
async def test_what_has_an_odd_name_is_found_by_it(ledger: WholeLedger, name: str) -> None:
    await ledger.begin(replace(RUN, id=name))
    await ledger.settle([settled(name, run_id=name)])
    await ledger.keep_lease(replace(LEASE, id=name))
    assert len(await ledger.outcomes(name)) == 1
    assert len(await ledger.outcomes_of("prod", name, limit=10)) == 1
    run, outcomes = await ledger.run(name) or (None, ())
    assert run is not None
    assert len(outcomes) == 1
    await ledger.drop_lease(name)
    assert await ledger.leases() == ()


async def test_an_error_shows_no_statement_and_no_parameter(ledger: WholeLedger) -> None:
    bad = replace(RECORD, rotation=None, error="canary")  # type: ignore[arg-type] # on purpose
    for refused in (ledger.write(bad), ledger.settle([settled(record=bad)])):
        with pytest.raises(LedgerError) as raised:
            await refused
        assert raised.value.__cause__ is None
        assert raised.value.__context__ is None or raised.value.__suppress_context__
        assert "canary" not in str(raised.value)
        assert "INSERT" not in str(raised.value)


async def test_a_check_passes_and_changes_nothing(ledger: WholeLedger) -> None:
    await ledger.write(RECORD)
    await ledger.check()
    assert await ledger.all_records() == (RECORD,)


async def test_a_closed_ledger_says_so(ledger: WholeLedger) -> None:
    await ledger.aclose()
    await ledger.aclose()
    for refused in (ledger.write(RECORD), ledger.runs(), ledger.check()):
        with pytest.raises(LedgerError, match="is closed"):
            await refused
