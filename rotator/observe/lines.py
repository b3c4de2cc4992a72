"""Turns a record into one line: a JSON object for machines, or words for people.

Whatever a name or a reason holds, it stays one line, and no terminal takes part of it as a command.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from rotator.observe.text import utf8

ROOT = "rotator"
_MOST_FRAMES = 5
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_FIRST = (
    "rotation",
    "connection",
    "target",
    "source",
    "result",
    "phase",
    "reason",
    "todo",
)
_LAST = ("seconds", "request_id", "run")
"""The order of the fields for people: what it is about first, then the result; ids come last."""
_WIDTH = 20
"""The width of the event's words, so that the fields of most lines are aligned."""

_RESET, _BOLD, _DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
_COLOURS = {"ERROR": "\x1b[31m", "WARNING": "\x1b[33m", "DEBUG": _DIM}


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": _event(record),
            **_fields(record),
        }
        return json.dumps({key: _plain(value) for key, value in line.items()})


class ConsoleLines(logging.Formatter):
    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone()
        level = "" if record.levelno == logging.INFO else record.levelname
        words = _event(record).replace(".", " ").replace("_", " ")
        fields = " ".join(
            f"{self._in(_DIM, f'{key}=')}{_shown(value)}"
            for key, value in _in_order(_fields(record)).items()
        )
        parts = (
            f"{moment:%H:%M:%S}",
            self._in(_COLOURS.get(level, ""), f"{level:<7}"),
            self._in(_BOLD, f"{words:<{_WIDTH}}"),
            fields,
        )
        return " ".join(parts).rstrip()

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._coloured and colour and text.strip() else text


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """https://no-color.org"""
    plain = environment.get("NO_COLOR") or environment.get("TERM") == "dumb"
    return stream.isatty() and not plain


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name == ROOT or record.name.startswith(f"{ROOT}.")


def _event(record: logging.LogRecord) -> str:
    """Our own records are named by their event. The text of a library is a field."""
    return record.getMessage() if _is_ours(record) else "library"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    if _is_ours(record):
        given = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    else:
        given = {"logger": record.name, "message": _first_line(record)}
    if record.exc_info and record.exc_info[0] is not None:
        # Only types and places: messages and frames of other exceptions can hold values.
        given["error"] = record.exc_info[0].__name__
        frames = deque(traceback.walk_tb(record.exc_info[2]), maxlen=_MOST_FRAMES)
        given["at"] = " > ".join(_place(frame, line) for frame, line in frames)
    return given


def _in_order(fields: Mapping[str, Any]) -> dict[str, Any]:
    others = [key for key in fields if key not in _FIRST and key not in _LAST]
    return {key: fields[key] for key in (*_FIRST, *others, *_LAST) if key in fields}


def _place(frame: FrameType, line: int) -> str:
    return f"{'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{line}"


def _first_line(record: logging.LogRecord) -> str:
    """The message without asyncio's second line, which is the repr of an exception and can hold
    values."""
    try:
        text = record.getMessage()
    except (TypeError, ValueError, LookupError):
        # If a message doesn't fit its arguments, logging itself would print the arguments.
        text = str(record.msg)
    return text.partition("\n")[0]


def _plain(value: object) -> object:
    """Replaces halves of surrogate pairs: strict JSON parsers would drop the whole line."""
    return value if isinstance(value, int | float) else utf8(str(value))


def _shown(value: object) -> str:
    """The text as it is if it is one plain word, or else quoted, with invisible characters
    escaped."""
    text = str(value)
    if text and text.isprintable() and not set(text) & set(' "\\='):
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in {'"', "\\"}:
        return f"\\{character}"
    # Marks that turn the direction of text and halves of surrogate pairs are not printable either.
    return character if character.isprintable() else character.encode("unicode_escape").decode()
