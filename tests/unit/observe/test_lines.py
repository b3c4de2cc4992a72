"""One line for each record, whatever is in it: for machines, and for people."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
from typing import Any

import pytest

from rotator.observe.lines import ConsoleLines, JsonLines, wants_colour

ODD = {
    "forged": 'a"b\nrun.finished result=succeeded',
    "carriage": "a\r\x0b\x0c\x1c\x85\u2028\u2029b",
    "terminal": "\x1b[31mred\x1b]0;title\x07\x9b2J\x08\x7f\0",
    "direction": "a\u202egnp.exe\u2066b\u200f",
    "half": "half \ud800 of one, \udfff",
    "quotes": "'\"\\\\",
    "assignment": "rotation=other",
    "letters": "ü ñ 漢字 🔑",
    "empty": "",
}
odd = pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())


def record(
    event: str, level: int = logging.INFO, name: str = "rotator.events", **fields: object
) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": name, "msg": event, "levelno": level, "levelname": logging.getLevelName(level)}
        | fields
    )


def console(event: str, level: int = logging.INFO, *, colour: bool = False, **fields: Any) -> str:
    return ConsoleLines(coloured=colour).format(record(event, level, **fields))


def without_time(line: str) -> str:
    assert re.match(r"\d\d:\d\d:\d\d ", line)
    return line[9:]


@odd
def test_json_holds_any_text_on_one_line_of_ascii(text: str) -> None:
    line = JsonLines().format(record("connection.settled", connection=text, reason=text))
    assert line.isascii()
    assert line.isprintable()
    assert "\\ud800" not in line, "strict parsers refuse half a character, and the line with it"
    read = json.loads(line)
    assert read["event"] == "connection.settled"
    assert read["connection"] == text.encode(errors="replace").decode()


def test_json_keeps_numbers_and_writes_what_it_does_not_know_as_text() -> None:
    line = JsonLines().format(record("run.finished", seconds=1.5, rotated=2, path=ValueError("x")))
    read = json.loads(line)
    assert (read["seconds"], read["rotated"], read["path"]) == (1.5, 2, "x")


@odd
@pytest.mark.parametrize("key", ["connection", "reason", "todo", "request_id"])
def test_people_see_any_text_on_one_line_that_steers_no_terminal(text: str, key: str) -> None:
    field: dict[str, Any] = {key: text}
    line = console("connection.settled", logging.ERROR, run="run-1", **field)
    assert line.isprintable()
    assert line.endswith(" run=run-1")
    line.encode()
    value = line.partition(f" {key}=")[2].removesuffix(" run=run-1")
    assert (ast.literal_eval(value) if value.startswith('"') else value) == text


def test_letters_of_all_people_stay_readable() -> None:
    assert "connection=schlüssel-漢字" in console("x.y", connection="schlüssel-漢字")
    assert 'reason="größer als 3"' in console("x.y", reason="größer als 3")


def test_the_important_comes_first_and_ids_last() -> None:
    line = console(
        "connection.settled",
        run="run-1",
        request_id="r-7",
        seconds=1.2,
        phase="READY",
        target="prod",
        connection="chat",
        result="rotated",
        rotation="openai",
        extra="more",
    )
    assert without_time(line) == (
        "        connection settled   rotation=openai connection=chat target=prod "
        "result=rotated phase=READY extra=more seconds=1.2 request_id=r-7 run=run-1"
    )


def test_only_levels_that_matter_are_named_and_columns_stay() -> None:
    info = console("run.started", rotation="openai")
    error = console("run.finished", logging.ERROR, rotation="openai")
    assert "INFO" not in info
    assert without_time(error).startswith("ERROR   run finished ")
    assert info.index("rotation=") == error.index("rotation=")
    assert without_time(console("daemon.ready")) == "        daemon ready"


def test_lines_of_libraries_are_marked() -> None:
    line = ConsoleLines(coloured=False).format(record("slow\nsecret", name="urllib3"))
    assert without_time(line) == "        library              logger=urllib3 message=slow"


def test_colours_change_nothing_but_colours() -> None:
    fields: dict[str, Any] = {"rotation": "openai", "reason": "\x1b[0m no"}
    plain = console("run.finished", logging.ERROR, **fields)
    coloured = console("run.finished", logging.ERROR, colour=True, **fields)
    assert "\x1b[31mERROR" in coloured
    took = re.sub(r"\x1b\[\d+m", "", coloured)
    assert took == plain


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "environment", "wanted"),
    [
        (True, {}, True),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_only_for_a_terminal_of_somebody_who_wants_it(
    terminal: bool, environment: dict[str, str], wanted: bool
) -> None:
    stream = _Terminal() if terminal else io.StringIO()
    assert wants_colour(stream, environment) is wanted
