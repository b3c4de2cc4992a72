"""Each mistake in `mistakes/` is told in the lines that the file itself expects."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotator.config.load import load
from rotator.errors import ConfigurationError

MISTAKES = sorted((Path(__file__).parent / "mistakes").glob("*.yaml"))
CANARY = "canary-5f2b9c"
"""Stands in the fixtures where a person wrote a secret out."""


def told(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


def expected(path: Path) -> list[str]:
    """`# expect: 7: key: message` becomes `FILE:7: key: message`."""
    lines = path.read_text().splitlines()
    said = [line.removeprefix("# expect: ") for line in lines if line.startswith("# expect: ")]
    return [f"{path}:{'' if line[0].isdigit() else ' '}{line}" for line in said]


@pytest.mark.parametrize("path", MISTAKES, ids=lambda path: path.stem)
def test_a_mistake_is_reported_at_its_line(path: Path) -> None:
    problems = told(path)
    assert problems == expected(path)
    assert CANARY not in "".join(problems)


def test_secrets_in_clear_are_among_the_mistakes() -> None:
    assert sum(CANARY in path.read_text() for path in MISTAKES) >= 18
