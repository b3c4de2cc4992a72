"""What a person is told to do about a failure."""

from __future__ import annotations

import re

import pytest

from rotator.cli.main import cli
from rotator.errors import Cause
from rotator.remedy import remedy


@pytest.mark.parametrize("rotation", ["openai", None])
@pytest.mark.parametrize("cause", Cause)
def test_each_is_one_line_whose_commands_exist(cause: Cause, rotation: str | None) -> None:
    line = remedy(cause, rotation)
    assert line.isprintable()
    assert len(line) < 200
    named = re.findall(r"`rotator (\w+)[^`]*`", line)
    assert named
    assert set(named) <= set(cli.commands)
    assert "None" not in line
    assert not set("{}") & set(line)


def test_each_is_another() -> None:
    assert len({remedy(cause, "openai") for cause in Cause}) == len(Cause)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Cause.MATCH, "match and match.expect of rotation openai"),
        (Cause.SECRET, "`rotator check --online`"),
        (Cause.CREDENTIAL, "`rotator plan openai`"),
        (Cause.REJECTED, "put a value that works into the source"),
        (Cause.NOT_READY, "verify.timeout of rotation openai"),
        (Cause.KEY, "check auth of the target"),
        (Cause.LEDGER, "is its volume there, has it space left?"),
        (Cause.INTERNAL, "please report it"),
        (Cause.OTHER, "`rotator status`"),
    ],
)
def test_it_helps_with_this_very_failure(cause: Cause, words: str) -> None:
    assert words in remedy(cause, "openai")


def test_without_a_rotation_it_names_none() -> None:
    assert "`rotator plan` shows" in remedy(Cause.CREDENTIAL)
    assert remedy(Cause.CREDENTIAL).endswith("Then: `rotator rotate`")
