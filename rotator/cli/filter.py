"""What `--connection GLOB` says where it matches nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from fnmatch import fnmatchcase

from rotator.errors import NothingMatches, RotatorError

_MOST = 3
_ALIKE = 0.6


class NoSuchConnection(RotatorError):
    """No rotation that was asked for has a connection that the filter matches."""


def no_such_connection(found: Sequence[NothingMatches]) -> NoSuchConnection:
    """One error for all rotations; there is at least one, and all have the same filter."""
    glob = found[0].glob
    names = ", ".join(each.rotation for each in found)
    rotations = f"rotation {names}" if len(found) == 1 else f"the rotations {names}"
    near = _nearest(glob, sorted({name for each in found for name in each.names}))
    hint = "`rotator connections` lists the names"
    if near:
        hint = f"the nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}"
    return NoSuchConnection(f"no connection of {rotations} is named {glob}; {hint}")


def _nearest(glob: str, names: Iterable[str]) -> list[str]:
    """Those that differ in capitals alone; else those that look most like it."""
    folded = [name for name in names if fnmatchcase(name.lower(), glob.lower())]
    if folded:
        return folded[:_MOST]
    stem = re.sub(r"[*?\[\]]", "", glob)

    def likeness(name: str) -> float:
        part = name[: len(stem)] if glob.endswith("*") else name
        return SequenceMatcher(None, stem, part).ratio()

    alike = [(likeness(name), name) for name in names]
    best = sorted((each for each in alike if each[0] >= _ALIKE), key=lambda each: -each[0])
    return [name for _, name in best[:_MOST]]
