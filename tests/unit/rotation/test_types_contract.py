"""The table of types against the one that was written down from Confluent's own clients."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.rotation.credential import TYPES

FACTS = Path(__file__).resolve().parents[3].parent / "shared" / "confluent-api.md"
HEADING = "| types | keys (option name → key in `data`) |"

Options = frozenset[tuple[str, str | None]]
"""Option and key; None where this row doesn't repeat the key."""


def rows(text: str) -> Iterator[tuple[list[str], str]]:
    table = text.partition(HEADING)[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        types, keys = (cell.strip() for cell in line.strip("|").split("|"))
        yield types.split(", "), re.sub(r"\([^)]*\)", "", keys).removeprefix("one of:")


def pairs(words: str) -> Options:
    options = re.findall(r"`([a-z0-9-]+)`", words)
    keys = re.findall(r"\b[A-Z][A-Z0-9_]+\b", words)
    assert len(keys) in {0, len(options)}, words
    return frozenset(zip(options, keys or [None] * len(options), strict=True))


def ways(cell: str, known: dict[str, set[tuple[Options, Options]]]) -> set[tuple[Options, Options]]:
    """Each way as its required and its optional options."""
    found: set[tuple[Options, Options]] = set()
    for clause in re.split(r";|, or ", cell):
        if as_type := re.match(r"\s*as (\w+)", clause):
            found |= known[as_type[1]]
            continue
        required, *optional = clause.split("optional ")
        further = frozenset[tuple[str, str | None]]().union(*map(pairs, optional))
        if pairs(required):
            found.add((pairs(required), further))
        else:
            found = {(way, more | further) for way, more in found}
    return found


def documented(text: str) -> dict[str, set[tuple[Options, Options]]]:
    known: dict[str, set[tuple[Options, Options]]] = {}
    for types, cell in rows(text):
        for kind in types:
            known[kind] = ways(cell, known)
    keys = {
        option: key
        for kind in known.values()
        for way in kind
        for half in way
        for option, key in half
        if key
    }

    def filled(options: Options) -> Options:
        return frozenset((option, keys[option]) for option, _ in options)

    return {
        kind: {(filled(required), filled(optional)) for required, optional in found}
        for kind, found in known.items()
    }


@pytest.mark.skipif(not FACTS.is_file(), reason="the facts of the API are not beside the project")
def test_types_are_the_documented_ones() -> None:
    table = documented(FACTS.read_text(encoding="utf-8"))
    assert len(table) == 19
    assert table == {
        kind: {(frozenset(way.required.items()), frozenset(way.optional.items())) for way in known}
        for kind, known in TYPES.items()
    }
