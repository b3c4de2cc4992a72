"""What a filter on names that matches nothing says."""

from __future__ import annotations

import pytest

from rotator.cli.filter import no_such_connection
from rotator.errors import Cause, NothingMatches

NAMES = ("openai-eu-1", "openai-eu-2", "openai-us-1", "anthropic-production", "b")


@pytest.mark.parametrize(
    ("glob", "near"),
    [
        ("openai-eu-3", "the nearest are openai-eu-1, openai-eu-2, openai-us-1"),
        ("OpenAI-EU-*", "the nearest are openai-eu-1, openai-eu-2"),
        ("OPENAI-US-?", "the nearest is openai-us-1"),
        ("antropic*", "the nearest is anthropic-production"),
        ("mongodb-*", "`rotator connections` lists the names"),
        ("*", "`rotator connections` lists the names"),
        ("", "`rotator connections` lists the names"),
    ],
)
def test_it_names_the_nearest(glob: str, near: str) -> None:
    names = () if glob == "*" else NAMES
    error = no_such_connection([NothingMatches("openai", glob, names)])
    assert str(error) == f"no connection of rotation openai is named {glob}; {near}"


def test_it_names_every_rotation_and_each_name_once() -> None:
    found = [NothingMatches(name, "opena-1", ("openai-1",)) for name in ("a", "b")]
    words = "no connection of the rotations a, b is named opena-1; the nearest is openai-1"
    assert str(no_such_connection(found)) == words


def test_the_error_of_one_rotation_says_what_it_is_about() -> None:
    error = NothingMatches("openai", "nomatch-*", ["openai-1"])
    assert str(error) == "no connection of rotation openai is named nomatch-*"
    assert (error.rotation, error.glob, error.names) == ("openai", "nomatch-*", ("openai-1",))
    assert error.cause is Cause.MATCH
