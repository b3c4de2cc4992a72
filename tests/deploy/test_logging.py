"""deploy/logging.md lists what the code logs: all of it, and nothing else."""

from __future__ import annotations

import json
import re

import pytest

from rotator.errors import Cause
from rotator.remedy import remedy
from tests.support.events import EVERYWHERE, PAGE, Logged, documented, misfits, written

LIBRARY = Logged({"warning", "error", "critical"}, {"logger", "message", "error", "at"})
"""Written by no call of ours."""
CODE = {**written(), "library": LIBRARY}


def test_the_events_of_the_page_are_those_of_the_code() -> None:
    assert set(documented()) == set(CODE)


@pytest.mark.parametrize("name", sorted(CODE))
def test_each_has_the_levels_and_fields_that_the_page_says(name: str) -> None:
    page, code = documented()[name], CODE[name]
    if name.startswith("lease."):  # which of the two hangs on what happened
        assert page.levels <= code.levels
    else:
        assert page.levels == code.levels
    assert code.fields <= page.fields <= code.fields | code.perhaps


def test_every_field_is_explained_once() -> None:
    section = PAGE.read_text().partition("## Fields")[2].partition("## Events")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    explained = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert len(explained) == len(set(explained))
    assert set(explained) == set().union(*(logged.fields for logged in documented().values()))


def test_errors_say_what_to_do() -> None:
    """But for a connection of a run, whose last line says it for all of them."""
    lacking = [n for n, e in CODE.items() if "error" in e.levels and "todo" not in e.fields]
    assert lacking == ["connection.settled", "library"]


def test_the_example_is_a_line_that_there_could_be() -> None:
    (line,) = re.findall(r"^```json\n(.*)\n```", PAGE.read_text(), re.MULTILINE)
    assert list(misfits([line])) == []
    read = json.loads(line)
    assert set(read) >= EVERYWHERE
    assert read["todo"] == remedy(Cause.REJECTED, "openai")


def test_what_does_not_fit_is_seen() -> None:
    line = {"time": "", "level": "debug", "event": "run.started", "colour": "red"}
    assert list(misfits([json.dumps(line), '{"event": "no.such"}'])) == [
        "run.started has the level debug",
        "run.started has the field colour",
        "no.such is not documented",
    ]
