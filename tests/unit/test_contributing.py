"""What CONTRIBUTING.md says of the project is true: paths, commands, tests, words and imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
WORDS = re.findall(r"`([^`\n]+)`", PAGE)
TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
PACKAGES = {path.parent.name for path in (ROOT / "rotator").glob("*/__init__.py")}
MODULES = {path.stem for path in (ROOT / "rotator").glob("*.py")} - {"__init__", "__main__"}
FOR_ALL = {"errors", "model", "clock", "backoff", "__version__"}
"""What every package may import."""


def rows(heading: str) -> list[list[str]]:
    """The cells of the table that follows this heading, without its head."""
    lines = PAGE.partition(f"\n{heading}\n")[2].splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("|---"))
    table = []
    for line in lines[first + 1 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def imported(package: str) -> set[str]:
    """The packages and modules of rotator that a package imports, besides itself."""
    found = set()
    for path in (ROOT / "rotator" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            found |= {name.split(".")[1] for name in names(node) if name.startswith("rotator.")}
    return found - {package}


def names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module == "rotator":
        yield from (f"rotator.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module


@pytest.mark.parametrize(
    "path",
    sorted({word for word in WORDS if re.match(r"(rotator|tests|deploy|config|\.ci)/", word)}),
)
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(#([\w-]+)\)", PAGE))))
def test_every_link_leads_to_a_heading(link: str) -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert link in slugs


def test_every_make_target_exists() -> None:
    named = set(re.findall(r"`make ([a-z-]+)", PAGE))
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert named
    assert named <= set(targets)


@pytest.mark.parametrize(
    "name", sorted({word for word in WORDS if re.fullmatch(r"test_\w+", word)})
)
def test_every_test_exists(name: str) -> None:
    assert f"def {name}(" in TESTS


def test_every_package_has_a_row() -> None:
    assert {row[0].strip("`") for row in rows("### The packages")} == {
        f"rotator/{package}" for package in PACKAGES
    }


def test_every_module_of_no_package_is_named() -> None:
    assert {word[8:-3] for word in WORDS if re.fullmatch(r"rotator/\w+\.py", word)} == MODULES


@pytest.mark.parametrize("row", rows("### The packages"), ids=lambda row: row[0].strip("`"))
def test_packages_import_what_the_table_permits(row: list[str]) -> None:
    package, _, permitted = row
    permits = set(re.findall(r"\w+", permitted))
    if permitted.startswith("everything but"):
        permits = (PACKAGES | MODULES) - permits
    else:
        assert permits - {"nothing", "else"} <= PACKAGES | MODULES
    assert imported(package.strip("`").removeprefix("rotator/")) <= permits | FOR_ALL


@pytest.mark.parametrize("row", rows("## Glossary"), ids=lambda row: row[0])
def test_every_word_of_the_glossary_is_in_the_code(row: list[str]) -> None:
    path, name = re.findall(r"`([^`]+)`", row[2])
    assert re.search(
        rf"(class|def) {name}\b|^ *{name}\b.* =", (ROOT / path).read_text(), re.MULTILINE
    )


def test_every_effect_has_a_row() -> None:
    source = (ROOT / "rotator" / "rotation" / "effects.py").read_text()
    work, effects, events = (
        set(re.findall(r"\w+", source.partition(f"\n{kind} = ")[2].splitlines()[0]))
        for kind in ("Work", "Effect", "Event")
    )
    effects = effects - {"Work"} | work
    table = rows("### Decide purely, act simply")
    assert {re.findall(r"`(\w+)`", row[0])[0] for row in table} == effects
    assert set(re.findall(r"`(\w+)`", " ".join(row[1] for row in table))) == events
