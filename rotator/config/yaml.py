"""YAML with line numbers. Duplicate keys are refused, and there are no surprises of YAML 1.1."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rotator.errors import ConfigurationError, Problem

Place = tuple[str | int, ...]
LARGEST = 1024 * 1024
"""Bytes. Anything larger is not a configuration."""


@dataclass(slots=True)
class Document:
    """A parsed file: its data, the line of every key and item, and what is wrong with it."""

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    empty: list[Place] = field(default_factory=list)
    """Keys and items without a value."""
    problems: set[Problem] = field(default_factory=set)
    _places: set[Place] = field(default_factory=set)

    def line(self, place: Place) -> int:
        """The line of this key, or of the nearest key above it that the file has."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def add(self, place: Place, message: str, line: int | None = None) -> None:
        self.problems.add(Problem(self.file, line or self.line(place), dotted(place), message))
        self._places.add(place)

    def knows(self, place: Place) -> bool:
        """Whether there is a problem at this place already, so that another adds nothing."""
        return place in self._places

    def at(self, place: Place) -> Any:
        """The value at a place; None if there is none."""
        data: Any = self.data
        for part in place:
            try:
                data = data[part]
            except (KeyError, IndexError, TypeError):
                return None
        return data


def dotted(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _StrictLoader(yaml.SafeLoader):
    """Plain scalars as in YAML 1.2's core schema: `off`, dates, 1:30 and 00123 stay text."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - as its parent declares it


_TAG = "tag:yaml.org,2002:"
for _name, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]{0,17})", "-+0123456789"),
    ("float", r"[-+]?(0|[1-9][0-9]{0,17})\.[0-9]+([eE][-+]?[0-9]{1,2})?", "-+0123456789"),
):
    _StrictLoader.add_implicit_resolver(
        f"{_TAG}{_name}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )


def parse(path: Path) -> Document:
    """Raises ConfigurationError if there is no document at all. The document holds all other
    problems."""
    text = _text(path)
    document = Document(str(path))
    try:
        loader = _StrictLoader(text)
        try:
            node = loader.get_single_node()
            if isinstance(node, yaml.MappingNode):
                document.data = _Builder(loader, document).mapping(node, ())
                return document
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _refused(
            path, line, "a character that YAML forbids: is this the right file?"
        ) from None
    except yaml.MarkedYAMLError as error:
        raise _refused(path, _line(error), _in_plain_words(error)) from None
    except RecursionError:
        raise _refused(path, 0, "nested too deeply") from None
    if node is None:
        raise _refused(path, 0, "the file is empty; config/minimal.yaml shows the least")
    raise _refused(path, 1, "must be a mapping with targets, sources and rotations")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise _refused(path, 0, "no such file; name it with -c or $ROTATOR_CONFIG") from None
    except IsADirectoryError:
        raise _refused(path, 0, "is a folder; name a file in it") from None
    except OSError as error:
        raise _refused(
            path, 0, f"can't be read: {error.strerror}; check its owner and mode"
        ) from None
    if len(content) > LARGEST:
        raise _refused(path, 0, "larger than 1 MiB: is this the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused(path, line, "not UTF-8 text: is this the right file?") from None


def _refused(path: Path, line: int, message: str) -> ConfigurationError:
    return ConfigurationError((Problem(str(path), line, "", message),))


_SYNTAX = {
    "another document": "a second document starts here; one file holds one",
    "'\\t'": "a tab; indent with spaces",
    "cannot start any token": "no value starts with this character; put the value in quotes",
    "alias": "a value that starts with * or & must be in quotes; anchors are not supported",
    "anchor": "a value that starts with * or & must be in quotes; anchors are not supported",
    "tag": "a value that starts with ! must be in quotes; tags are not supported",
    "directive": "no value starts with %; put the value in quotes",
    "mapping values are not allowed": "a second colon; put the value in quotes, or fix the indent",
    "expected ':'": "a key without its colon",
    "escape": "an unknown escape in double quotes; in single quotes, a backslash is a backslash",
    "end of stream": "quotes that are opened here and never closed",
    "expected <block end>": "doesn't fit the lines above; fix the indent",
    "',' or": "a bracket that is not closed, or a missing comma",
}
"""Part of what PyYAML says → what it means. PyYAML's own words can repeat text of the file."""


def _in_plain_words(error: yaml.MarkedYAMLError) -> str:
    said = f"{error.context} {error.problem}"
    for part, meaning in _SYNTAX.items():
        if part in said:
            return f"not YAML: {meaning}"
    return "not YAML; fix this line or the one above it"


def _line(error: yaml.MarkedYAMLError) -> int:
    # Unclosed quotes are reported at the end of the file, far from their cause.
    unclosed = "end of stream" in (error.problem or "") and error.context_mark
    mark = error.context_mark if unclosed else error.problem_mark
    return mark.line + 1 if mark else 0


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that only an escape in double quotes can write."""


@dataclass(slots=True)
class _Builder:
    """Turns nodes into plain values. What is refused becomes None, with a problem at its place."""

    loader: _StrictLoader
    document: Document
    seen: set[int] = field(default_factory=set)

    def mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        self.document.lines.setdefault(place, _first_line(node))
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = _first_line(key_node)
            key = self._key(key_node)
            if key is None:
                self.document.add(place, "a key must be plain text; a number needs quotes", line)
            elif key in built:
                first = self.document.line((*place, key))
                self.document.add((*place, key), f"written twice, first in line {first}", line)
            else:
                self.document.lines[*place, key] = line
                built[key] = self._value(value_node, (*place, key))
        return built

    def _key(self, node: yaml.Node) -> str | None:
        if not isinstance(node, yaml.ScalarNode) or node.tag != f"{_TAG}str":
            return None
        key = str(node.value)
        return key if key.isprintable() else None

    def _value(self, node: yaml.Node, place: Place) -> Any:
        self.document.lines.setdefault(place, _first_line(node))
        if id(node) in self.seen:
            self.document.add(place, "anchors and aliases are not supported; write it out")
            return None
        self.seen.add(id(node))
        if self._has_tag(node):
            self.document.add(
                place, "a value that starts with ! must be in quotes; tags are not supported"
            )
            return None
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _has_tag(self, node: yaml.Node) -> bool:
        """Whether the tag is written in the file, instead of resolved from a plain value."""
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        own = self.loader.resolve(  # type: ignore[no-untyped-call]  # the stubs leave it out
            type(node), node.value, (plain, not plain)
        )
        return bool(node.tag not in {own, f"{_TAG}str"})

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        value = self.loader.construct_object(node)
        if value is None:
            self.document.empty.append(place)
        elif isinstance(value, str) and _CONTROL.search(value):
            self.document.add(place, "holds a control character; write it without")
            return None
        return value


def _first_line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
