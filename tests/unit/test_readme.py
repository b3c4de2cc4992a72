"""What README promises, held to the tests that prove it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PROOFS = ROOT / "tests" / "e2e" / "test_promises.py"


def promises() -> list[str]:
    """The first sentence of each promise, as it is written."""
    (section,) = re.findall(
        r"^## What it promises\n(.*?)^## ", README.read_text(), re.MULTILINE | re.DOTALL
    )
    items = re.findall(r"^- (.*)$", section, re.MULTILINE)
    found = [re.match(r"\*\*([^*]+)\.\*\*", item) for item in items]
    assert all(found), "every promise begins with one sentence in bold"
    return [match[1] for match in found if match]


def proofs() -> list[str]:
    """The names of the tests, without `test_`."""
    tree = ast.parse(PROOFS.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.AsyncFunctionDef)]
    names = [node.name for node in functions]
    return [name.removeprefix("test_") for name in names if name.startswith("test_")]


def test_every_promise_of_the_readme_has_a_test_of_the_same_name_and_no_other() -> None:
    named = [re.sub(r"\W+", "_", promise.lower()) for promise in promises()]
    assert named == proofs()
    assert len(named) >= 10
