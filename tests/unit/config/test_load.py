"""What loads, as what; and that nothing at all ends in anything but a problem at a place."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotator.config.fields import format_duration, parse_duration
from rotator.config.load import load
from rotator.config.models import BasicAuth, BearerAuth, Config, FromFile, VaultSource
from rotator.config.yaml import Place, dotted, parse
from rotator.errors import ConfigurationError, Problem

EXAMPLE = Path(__file__).parents[3] / "config" / "rotator.yaml"
MINIMAL = EXAMPLE.with_name("minimal.yaml")
CANARY = "canary-5f2b9c"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rotator.yaml"


def problems(path: Path) -> tuple[Problem, ...]:
    """The problems of a file: none where it loads, and at least one where it doesn't."""
    found: tuple[Problem, ...] = ()
    try:
        load(path)
    except ConfigurationError as error:
        found = error.problems or (Problem("", 0, "", "refused without a word"),)
    assert all(problem.file == str(path) for problem in found)
    assert all("\n" not in str(problem) for problem in found)
    return found


# What loads


def test_the_example() -> None:
    config = load(EXAMPLE)
    assert config.rotations["openai"].verify.statements == "off"
    assert config.rotations["openai"].watch == timedelta(minutes=1)
    assert config.rotations["openai"].match.type == ("OPENAI", "AZUREOPENAI")
    assert config.rotations["mcp"].schedule is None
    assert isinstance(config.targets["prod-us-east-1"].auth, BasicAuth)
    private = config.targets["staging-private"].auth
    assert isinstance(private, BearerAuth)
    assert private.token == FromFile(file=Path("/var/run/rotator/confluent-token"))
    vault = config.sources["vault"]
    assert isinstance(vault, VaultSource)
    assert vault.auth.method == "kubernetes"
    assert config.ledger.path == Path("/var/lib/rotator/ledger.db")


def test_the_example_shows_every_key() -> None:
    text = EXAMPLE.read_text()
    schema = Config.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    keys = {key for section in sections for key in section.get("properties", {})}
    assert {key for key in keys if not re.search(rf"\b{key}:", text)} == set()


def test_the_least_and_its_defaults() -> None:
    config = load(MINIMAL)
    rotation = config.rotations["openai"]
    assert (rotation.rollout.canary, rotation.rollout.batch) == (1, None)
    assert (rotation.rollout.max_failures, rotation.rollout.on_failure) == (0, "halt")
    assert (rotation.match.expect.min, rotation.match.expect.max) == (1, None)
    assert rotation.on_drift == "reapply"
    assert config.targets["prod"].timeout == timedelta(seconds=30)
    assert config.http.listen == "127.0.0.1:9464"
    assert config.ledger.path == Path("./rotator.db")


@pytest.mark.parametrize(
    "written",
    ["off", "on", "yes", "no", "00123", "1:30", "2026-11-20", "1e5", "0x1f", "1_000", "="],
)
def test_text_stays_text(file: Path, written: str) -> None:
    file.write_text(MINIMAL.read_text().replace("path: openai", f"path: {written}"))
    assert load(file).rotations["openai"].secret.path == written


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: "\ufeff" + text, id="byte order mark"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="lines of Windows"),
        pytest.param(lambda text: "---\n" + text + "...\n", id="document markers"),
        pytest.param(lambda text: "%YAML 1.2\n---\n" + text, id="directive"),
    ],
)
def test_the_same_in_other_files(file: Path, change: Callable[[str], str]) -> None:
    file.write_bytes(change(MINIMAL.read_text()).encode())
    assert load(file) == load(MINIMAL)


# What is no configuration at all


def missing(path: Path) -> None:
    path.unlink(missing_ok=True)


def folder(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def binary(path: Path) -> None:
    path.write_bytes(b"targets:\n  a\x00: 1\n")


def latin_1(path: Path) -> None:
    path.write_bytes(b"targets: {}\n# caf\xe9\n")


def too_large(path: Path) -> None:
    path.write_bytes(b"# many\n" * 200_000)


def nested_without_end(path: Path) -> None:
    path.write_bytes(b"[" * 100_000)


@pytest.mark.parametrize(
    ("mistake", "line", "said"),
    [
        (missing, 0, "no such file; name it with -c or $ROTATOR_CONFIG"),
        (folder, 0, "is a folder; name a file in it"),
        (loop, 0, "can't be read: Too many levels of symbolic links; check its owner and mode"),
        (empty, 0, "the file is empty; config/minimal.yaml shows the least"),
        (binary, 2, "a character that YAML forbids: is this the right file?"),
        (latin_1, 2, "not UTF-8 text: is this the right file?"),
        (too_large, 0, "larger than 1 MiB: is this the right file?"),
        (nested_without_end, 0, "nested too deeply"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_no_configuration(
    file: Path, mistake: Callable[[Path], None], line: int, said: str
) -> None:
    mistake(file)
    assert problems(file) == (Problem(str(file), line, "", said),)


def test_half_a_file_is_refused(file: Path) -> None:
    lines = MINIMAL.read_text().splitlines(keepends=True)
    for count in range(len(lines)):
        file.write_text("".join(lines[:count]))
        assert problems(file)


# Every key and every value, changed to garbage

_CHOSEN = {("targets",), ("sources",), ("rotations",)}
"""Under these, keys are names that the user chose."""


def _places(data: Any, place: Place = ()) -> Iterator[Place]:
    children: list[tuple[str | int, Any]] = []
    if isinstance(data, dict):
        children = list(data.items())
    elif isinstance(data, list):
        children = list(enumerate(data))
    for key, value in children:
        yield (*place, key)
        yield from _places(value, (*place, key))


def _with(data: Any, place: Place, change: Callable[[Any, Any], None]) -> Any:
    """A copy in which `change` was done to the container of a place."""
    made = copy.deepcopy(data)
    container = made
    for part in place[:-1]:
        container = container[part]
    change(container, place[-1])
    return made


PLACES = list(_places(parse(EXAMPLE).data))


def _written(file: Path, data: Any) -> list[str]:
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    file.write_text(text)
    return text.splitlines()


def _misspelt(container: dict[str, Any], key: str) -> None:
    entries = [(f"{key}x" if name == key else name, value) for name, value in container.items()]
    container.clear()
    container.update(entries)


def _told_of_misspelt(place: Place, container: dict[str, Any]) -> tuple[Place, str, str]:
    """Where and how, and which key the line starts with."""
    parent, key = place[:-1], str(place[-1])
    if list(container) in (["env"], ["file"], ["secret"]):
        # What is in these braces may be a secret, so it isn't repeated.
        return parent, "name the place of this value, don't write it here: ", str(parent[-1])
    if parent[-1:] == ("auth",) and list(container) == ["token"]:
        return parent, "give either api_key and api_secret, or token", "auth"
    if key in {"kind", "method"}:
        return place, "is missing; it must be ", str(parent[-1])
    return (*parent, f"{key}x"), f"unknown key, did you mean {key}?", f"{key}x"


def test_every_misspelt_key_is_reported_at_its_line(file: Path) -> None:
    document = parse(EXAMPLE)
    tried = 0
    for place in PLACES:
        container = document.at(place[:-1])
        if (
            not isinstance(container, dict)
            or place[:-1] in _CHOSEN
            or place[-2:-1] == ("credential",)
        ):
            continue
        lines = _written(file, _with(document.data, place, _misspelt))
        where, said, start = _told_of_misspelt(place, container)
        told = [problem for problem in problems(file) if problem.key == dotted(where)]
        assert [problem.message.startswith(said) for problem in told] == [True], place
        assert lines[told[0].line - 1].lstrip(" -").startswith(f"{start}:"), place
        tried += 1
    assert tried > 80


def _put(value: object) -> Callable[[Any, Any], None]:
    def put(container: Any, key: Any) -> None:
        container[key] = value

    return put


@pytest.mark.parametrize(
    "garbage",
    [{"zzz": {}}, "", -1.5, True, None, "\x07", "a" * 5000],
    ids=lambda value: repr(value)[:12],
)
def test_every_value_changed_to_garbage_is_reported_or_accepted(
    file: Path, garbage: object
) -> None:
    data = parse(EXAMPLE).data
    for place in PLACES:
        lines = _written(file, _with(data, place, _put(garbage)))
        assert all(1 <= problem.line <= len(lines) for problem in problems(file))


def test_a_list_of_lists_is_reported_wherever_it_is(file: Path) -> None:
    data = parse(EXAMPLE).data
    for place in PLACES:
        lines = _written(file, _with(data, place, _put([[1]])))
        told = [problem for problem in problems(file) if problem.key.startswith(dotted(place))]
        assert told, place
        # Where a list belongs, it is its item that is wrong, one line below.
        start = "- - " if isinstance(place[-1], int) or told[0].key.endswith("]") else place[-1]
        assert start in lines[told[0].line - 1], place


def test_no_value_is_ever_repeated(file: Path) -> None:
    document = parse(EXAMPLE)
    told = 0
    for place in PLACES:
        _written(file, _with(document.data, place, _put(CANARY)))
        found = problems(file)
        told += bool(found)
        assert CANARY not in "".join(map(str, found)), place
    assert told > 60


def test_no_secret_in_braces_is_ever_repeated(file: Path) -> None:
    document = parse(EXAMPLE)
    references = [
        place
        for place in PLACES
        if isinstance(value := document.at(place), dict)
        and list(value) in (["env"], ["file"], ["secret"])
    ]
    assert len(references) == 15
    for place in references:
        _written(file, _with(document.data, place, _put({CANARY: None})))
        assert [problem.key for problem in problems(file)] == [dotted(place)]
        assert CANARY not in "".join(map(str, problems(file)))


def test_random_damage_is_reported_or_accepted(file: Path) -> None:
    text = MINIMAL.read_text()
    dice = random.Random(20261120)  # noqa: S311 - seeded, so that a failure comes again
    alphabet = "{}[]:,-#&*!|>'\"%@`\\ \t\n\x00é☃0a~?<="
    told = 0
    for _ in range(1500):
        letters = list(text)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(letters))
            letters[at : at + dice.randint(0, 3)] = dice.choice(alphabet)
        file.write_text("".join(letters))
        told += bool(problems(file))
    assert told > 500


# Durations


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("0s", timedelta(0)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert format_duration(duration) == text


@pytest.mark.parametrize(
    "text",
    ["", "5", "5 m", "-5m", "5M", "1.5h", "5m30s", "\u0665m", "5m\n", "9999999999s", "4000d", 5],
)
def test_no_durations(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)
