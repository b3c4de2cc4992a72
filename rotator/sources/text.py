"""Secrets that are JSON or YAML. Errors say where, and never hold the text, as the libraries'
do."""

from __future__ import annotations

import json
from typing import Any

import yaml


class NotAnObject(Exception):
    """Says what is wrong with the text, without any of it."""


def json_object(text: str) -> dict[str, object]:
    """A JSON object whose keys are all different. Raises NotAnObject."""
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise NotAnObject(
            f"it is not valid JSON (line {error.lineno}, column {error.colno})"
            if text.strip()
            else "it is empty"
        ) from None
    except (ValueError, RecursionError):
        raise NotAnObject("it is JSON with a number or a depth beyond all sense") from None
    return _fields(document, "JSON")


def yaml_object(text: str) -> dict[str, object]:
    """A YAML mapping; scalars are text as they stand, so that 00123 stays 00123.

    A plain `~`, `null` or nothing is None. Raises NotAnObject.
    """
    try:
        document = yaml.load(text, Loader=_TextLoader)  # noqa: S506 - a BaseLoader, makes text only
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise NotAnObject(f"it is not valid YAML{place}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        # PyYAML lets chr() fail on an escape beyond Unicode.
        raise NotAnObject("it is not valid YAML") from None
    if document is None:
        raise NotAnObject("it is empty")
    return _fields(document, "YAML")


def _fields(document: object, kind: str) -> dict[str, object]:
    if not isinstance(document, dict):
        raise NotAnObject(f"it is {kind}, but no mapping of fields to values")
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NotAnObject("it holds half a character: an escape that is no Unicode") from None
    return document


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    built = dict(pairs)
    if len(built) < len(pairs):
        raise NotAnObject("it has a field twice")
    return built


def _no_constant(_: str) -> object:
    raise NotAnObject("it holds NaN or Infinity, which JSON does not know")


class _TextLoader(yaml.BaseLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # Nine of them in nine lines are a billion values.
            raise NotAnObject("it holds an alias (*name); write the value out")
        return super().compose_node(parent, index)

    def construct_scalar(self, node: yaml.ScalarNode) -> Any:
        if node.style is None and node.value in {"", "~", "null", "Null", "NULL"}:
            return None
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        pairs = super().construct_pairs(node, deep)
        keys = [key for key, _ in pairs]
        if not all(isinstance(key, str) for key in keys):
            raise NotAnObject("it has a key that is no text")
        return _unique(pairs)
