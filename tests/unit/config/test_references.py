"""What `{env: …}` and `{file: …}` lead to, and every way for that to fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rotator.config.references import FromEnv, FromFile, resolve_local
from rotator.errors import ValueUnavailable

CANARY = "canary-5f2b9c"
KEY = "targets.prod.auth.api_key"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def refused(reference: FromEnv | FromFile) -> str:
    with pytest.raises(ValueUnavailable) as caught:
        resolve_local(reference, KEY)
    message = str(caught.value)
    assert message.startswith(f"{KEY}: ")
    assert CANARY not in message
    assert "\n" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


@pytest.mark.parametrize(
    ("content", "value"),
    [
        pytest.param(b"secret", "secret", id="as it is"),
        pytest.param(b"secret\n", "secret", id="one newline"),
        pytest.param(b"secret\r\n", "secret", id="one newline of Windows"),
        pytest.param(b"secret\n\n", "secret\n", id="only one newline"),
        pytest.param(b"secret\r", "secret\r", id="a carriage return alone"),
        pytest.param(b" secret ", " secret ", id="blanks"),
        pytest.param("schlüssel".encode(), "schlüssel", id="UTF-8"),
        pytest.param(b"00123", "00123", id="digits"),
        pytest.param(b"line\nline\n", "line\nline", id="lines"),
        pytest.param(b"x" * 65536, "x" * 65536, id="64 KiB"),
    ],
)
def test_a_file_is_its_text(file: Path, content: bytes, value: str) -> None:
    file.write_bytes(content)
    assert resolve_local(FromFile(file=file), KEY) == value


def test_a_file_is_read_again_at_each_use(file: Path) -> None:
    reference = FromFile(file=file)
    file.write_text("first")
    assert resolve_local(reference, KEY) == "first"
    new = file.with_suffix(".new")
    new.write_text("second")
    new.rename(file)
    assert resolve_local(reference, KEY) == "second"
    file.unlink()
    assert "does not exist" in refused(reference)


def missing(path: Path) -> None:
    path.unlink(missing_ok=True)


def folder(path: Path) -> None:
    path.mkdir()


def pipe_that_nobody_writes_to(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def blank(path: Path) -> None:
    path.write_bytes(b" \n")


def latin_1(path: Path) -> None:
    path.write_bytes(CANARY.encode() + b"\xfc")


def binary(path: Path) -> None:
    path.write_bytes(CANARY.encode() + b"\x00")


def too_large(path: Path) -> None:
    path.write_bytes(CANARY.encode().ljust(65537, b"x"))


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (missing, "does not exist; create it or correct the path"),
        (folder, "is a folder; name a file in it"),
        (pipe_that_nobody_writes_to, "is no regular file; name one"),
        (loop, "can't be read: Too many levels of symbolic links; check its owner and mode"),
        (empty, "is empty; put the value there"),
        (blank, "is empty; put the value there"),
        (latin_1, "is not UTF-8 text; is it the right one?"),
        (binary, "is binary; is it the right one?"),
        (too_large, "is larger than 64 KiB; is it the right one?"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_file_that_holds_no_value(file: Path, mistake: Callable[[Path], None], said: str) -> None:
    mistake(file)
    assert refused(FromFile(file=file)) == f"{KEY}: file {file} {said}"


def test_a_variable_is_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTATOR_TEST_VALUE", "00123\n")
    assert resolve_local(FromEnv(env="ROTATOR_TEST_VALUE"), KEY) == "00123\n"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "is not set; set it before rotator starts"),
        ("", "is empty; put the value there"),
        (f"{CANARY}\udcfc", "is not UTF-8 text; is it the right one?"),
    ],
)
def test_a_variable_that_holds_no_value(
    monkeypatch: pytest.MonkeyPatch, value: str | None, said: str
) -> None:
    monkeypatch.delenv("ROTATOR_TEST_VALUE", raising=False)
    if value is not None:
        monkeypatch.setenv("ROTATOR_TEST_VALUE", value)
    message = refused(FromEnv(env="ROTATOR_TEST_VALUE"))
    assert message == f"{KEY}: environment variable ROTATOR_TEST_VALUE {said}"
