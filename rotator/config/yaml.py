"""YAML with lines: what stands where, duplicates refused, and no surprises of YAML 1.1."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rotator.errors import ConfigurationError, Problem

Place = tuple[str | int, ...]
LARGEST = 1024 * 1024
"""Bytes. A configuration that is larger is something else."""


@dataclass(slots=True)
class Document:
    """A parsed file: its data, and the line of every key and item."""

    file: str
    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """Of this key, or of the nearest one above it that the file has."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def add(self, place: Place, message: str) -> None:
        self.problems.append(Problem(self.file, self.line(place), dotted(place), message))


def dotted(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _Loader(yaml.SafeLoader):
    """Plain scalars as in YAML 1.2's core schema: `off`, dates, 1:30 and 00123 stay text."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - as its parent declares it


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?", "-+0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )


def parse(path: Path) -> Document:
    """Raises ConfigurationError where there is no document at all; other problems are in it."""
    text = _text(path)
    document = Document(str(path))
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise _refused(path, 0, "the file is empty; config/minimal.yaml shows the least")
        document.data = _Builder(loader, document).build(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _refused(path, mark.line + 1 if mark else 0, f"not YAML: {error.problem}") from None
    except yaml.YAMLError:
        raise _refused(path, 0, "not YAML: it holds characters that YAML forbids") from None
    except RecursionError:
        raise _refused(path, 0, "nested too deeply") from None
    finally:
        loader.dispose()
    if not isinstance(document.data, dict):
        raise _refused(path, 1, "must be a mapping with targets, sources and rotations")
    return document


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise _refused(path, 0, "no such file; name it with -c or $ROTATOR_CONFIG") from None
    except IsADirectoryError:
        raise _refused(path, 0, "is a folder; name a file in it") from None
    except OSError as error:
        raise _refused(path, 0, f"can't be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise _refused(path, 0, "larger than 1 MiB: is this the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused(path, 0, "not UTF-8 text: is this the right file?") from None


def _refused(path: Path, line: int, message: str) -> ConfigurationError:
    return ConfigurationError((Problem(str(path), line, "", message),))


@dataclass(slots=True)
class _Builder:
    loader: _Loader
    document: Document
    seen: set[int] = field(default_factory=set)

    def build(self, node: yaml.Node, place: Place) -> Any:
        self.document.lines.setdefault(place, node.start_mark.line + 1)
        if id(node) in self.seen:
            self.document.add(place, "anchors and aliases are not supported; write it out")
            return None
        self.seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.document.add(place, "a key must be text")
                continue
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in built:
                first = self.document.line((*place, key))
                self.document.problems.append(
                    Problem(
                        self.document.file,
                        line,
                        dotted((*place, key)),
                        f"written twice, first in line {first}",
                    )
                )
                continue
            self.document.lines[*place, key] = line
            built[key] = self.build(value_node, (*place, key))
        return built

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        try:
            return self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.document.add(place, f"unknown tag {node.tag}; write a plain value")
            return None
