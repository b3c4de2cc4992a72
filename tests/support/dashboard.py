"""The dashboard as Grafana reads it: its panels, and what it would ask Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "deploy" / "grafana" / "rotator.json"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
ROWS: list[dict[str, Any]] = [p for p in DOCUMENT["panels"] if p["type"] == "row"]
PANELS: list[dict[str, Any]] = [p for p in DOCUMENT["panels"] if p["type"] != "row"]
VARIABLES: dict[str, dict[str, Any]] = {
    variable["name"]: variable for variable in DOCUMENT["templating"]["list"]
}

_VARIABLE = re.compile(r"\$\{(\w+)(?::\w+)?\}|\$([A-Za-z_]\w*)")


class Kind(Enum):
    INSTANT = auto()
    RANGE = auto()


@dataclass(frozen=True, slots=True)
class Expression:
    where: str
    """Panel or mark, and the letter of the query."""
    text: str
    kind: Kind
    exemplars: bool = False

    def __str__(self) -> str:
        return self.where

    def filled(self, values: Mapping[str, str]) -> str:
        """As Grafana sends it. Raises KeyError for a variable that is none; `$1` stays."""
        return _VARIABLE.sub(lambda found: values[found[1] or found[2]], self.text)


def everything(**given: str) -> dict[str, str]:
    """Values of all variables: All where nothing else is given."""
    every = {name: v["allValue"] for name, v in VARIABLES.items() if v.get("includeAll")}
    return every | given


def several(*values: str) -> str:
    """As Grafana writes a choice of several into a pattern."""
    return f"({'|'.join(map(re.escape, values))})"


def expressions() -> list[Expression]:
    return [*_of_panels(), *_of_marks()]


def _of_panels() -> Iterator[Expression]:
    for panel in PANELS:
        for target in panel["targets"]:
            kind = Kind.INSTANT if target["instant"] else Kind.RANGE
            where = f"{panel['title']}, {target['refId']}"
            yield Expression(where, target["expr"], kind, bool(target.get("exemplar")))


def _of_marks() -> Iterator[Expression]:
    for mark in DOCUMENT["annotations"]["list"]:
        yield Expression(f"mark {mark['name']}", mark["expr"], Kind.RANGE)
