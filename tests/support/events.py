"""The events of the log: as deploy/logging.md lists them, and as the code writes them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rotator.model.plan import Verdict
from rotator.model.run import Result

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "deploy" / "logging.md"
EVERYWHERE = frozenset({"time", "level", "event"})

_EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
_ROW = re.compile(r"^\| `([a-z_.]+)` \| ([^|]+) \| ([^|]*)\|", re.MULTILINE)
_LEVELS = {"debug", "info", "warning", "error"}


@dataclass(slots=True)
class Logged:
    """One event."""

    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)
    """Fields that depend on the error that the event is about."""

    def add(self, other: Logged) -> None:
        self.levels |= other.levels
        self.fields |= other.fields
        self.perhaps |= other.perhaps


# The page


@cache
def documented() -> dict[str, Logged]:
    found = {}
    for name, levels, fields in _ROW.findall(PAGE.read_text()):
        assert name not in found, f"{name} is there twice"
        found[name] = Logged(set(re.findall(r"\w+", levels)), set(re.findall(r"`(\w+)`", fields)))
    return found


def misfits(lines: Iterable[str]) -> Iterator[str]:
    """What a log of JSON lines holds that the page doesn't list."""
    for line in lines:
        read: dict[str, Any] = json.loads(line)
        known = documented().get(read["event"])
        if known is None:
            yield f"{read['event']} is not documented"
            continue
        if read["level"] not in known.levels:
            yield f"{read['event']} has the level {read['level']}"
        for name in read.keys() - known.fields - EVERYWHERE:
            yield f"{read['event']} has the field {name}"


# The code

_UNPACKED = {
    "verdicts": {str(verdict) for verdict in Verdict},
    "run.counts": {str(result) for result in Result},
}
_OF_ERRORS = Logged(fields={"reason"}, perhaps={"source", "target", "request_id"})


def written() -> dict[str, Logged]:
    """Every event that any call in rotator/ logs. Raises if a name is not a literal."""
    found: dict[str, Logged] = {}
    for path in sorted((ROOT / "rotator").rglob("*.py")):
        tree = ast.parse(path.read_text())
        for name, logged in _Module(path, tree).logged():
            found.setdefault(name, Logged()).add(logged)
    return found


class _Module:
    def __init__(self, path: Path, tree: ast.Module) -> None:
        self._path = path
        self._tree = tree

    def logged(self) -> Iterator[tuple[str, Logged]]:
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        inside = [node for node in ast.walk(self._tree) if isinstance(node, functions)]
        for function in inside:
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    yield from self._call(node, function)

    def _call(self, call: ast.Call, function: ast.AST) -> Iterator[tuple[str, Logged]]:
        called = ast.unparse(call.func)
        owner, _, method = called.rpartition(".")
        if owner == "log" and method in {*_LEVELS, "exception"}:
            logged = self._fields(_named(call, "extra"), function)
            logged.levels.add("error" if method == "exception" else method)
            if method == "exception":
                logged.fields |= {"error", "at"}
            for name in self._names(call.args[0]):
                yield name, logged
        elif called == "self._say":
            logged = Logged(levels=self._levels(call.args[1:2], function) or {"info"})
            for keyword in call.keywords:
                if keyword.arg is None:
                    logged.add(self._fields(keyword.value, function))
                else:
                    logged.fields.add(keyword.arg)
            for name in self._names(call.args[0]):
                yield name, logged
        elif method in {"tell", "_tell"} and len(call.args) == 3:
            match call.args[1]:
                case ast.Constant(value=str(name)) if _EVENT.fullmatch(name):
                    yield name, Logged(self._levels(call.args[:1], function), {"reason"})

    def _names(self, node: ast.expr) -> list[str]:
        if isinstance(node, ast.Subscript):
            (node,) = self._assigned(ast.unparse(node.value), self._tree)
        values = node.values if isinstance(node, ast.Dict) else [node]
        names = [value.value for value in values if isinstance(value, ast.Constant)]
        odd = [name for name in names if not isinstance(name, str) or not _EVENT.fullmatch(name)]
        assert len(names) == len(values), f"{self._path}:{node.lineno}: a name that is no literal"
        assert not odd, f"{self._path}:{node.lineno}: {odd}"
        return [str(name) for name in names]

    def _levels(self, nodes: list[ast.expr], function: ast.AST) -> set[str]:
        found = set()
        for node in nodes:
            if isinstance(node, ast.Name):
                found |= self._levels(self._assigned(node.id, function), function)
            for part in ast.walk(node):
                if isinstance(part, ast.Attribute) and ast.unparse(part.value) == "logging":
                    found.add(part.attr.lower())
        return found

    def _fields(self, node: ast.expr | None, function: ast.AST) -> Logged:
        found = Logged()
        if node is None:
            return found
        if ast.unparse(node) in _UNPACKED:
            found.fields |= _UNPACKED[ast.unparse(node)]
        elif isinstance(node, ast.BinOp):
            found.add(self._fields(node.left, function))
            found.add(self._fields(node.right, function))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".fields"):
            found.add(_OF_ERRORS)
        elif isinstance(node, ast.Dict):
            found.fields |= {str(ast.literal_eval(key)) for key in node.keys if key is not None}
        else:
            assigned = self._assigned(ast.unparse(node), function)
            assert assigned, f"{self._path}:{node.lineno}: which fields are in {ast.unparse(node)}?"
            for value in assigned:
                found.add(self._fields(value, function))
        return found

    def _assigned(self, name: str, scope: ast.AST) -> list[ast.expr]:
        return [
            node.value
            for node in ast.walk(scope)
            if (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name)
            or (isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name)
            if node.value is not None
        ]


def _named(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
