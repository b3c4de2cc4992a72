"""References to secrets: `{env: …}`, `{file: …}` and `{secret: …}`, and the values of the first
two."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Discriminator, model_validator
from pydantic_core import PydanticCustomError

from rotator.config.engines import Version, check_engine, makes
from rotator.config.fields import TAG, Engine, FilePath, FixedPath, Section, Text, Variable, tag
from rotator.errors import ValueUnavailable


class FromEnv(Section):
    """A value from an environment variable."""

    env: Variable


class FromFile(Section):
    """A value from a file, read again at every use. One trailing newline is not part of it."""

    file: FilePath


class SecretField(Section):
    """One field of one secret."""

    source: str
    path: FixedPath
    field: Text
    engine: Engine | None = None
    """For a vault source; default: the kind of KV that the mount is."""
    mount: Text | None = None
    """For a vault source; default: kv, and for database the engine's name."""
    version: Version | None = None
    """Pins a version: a number of KV v2, a VersionId of AWS Secrets Manager."""

    @model_validator(mode="after")
    def _only_read(self) -> SecretField:
        check_engine(self.engine, self.path, self.version)
        if makes(self.engine, self.path):
            raise PydanticCustomError(
                "lease",
                "is made new at every read, and can't be a setting; use static-creds or kv",
                {"at": "path"},
            )
        return self


class FromSecret(Section):
    """A value from a source."""

    secret: SecretField


def _reference(*keys: str) -> BeforeValidator:
    shapes = {
        "env": "{env: NAME}",
        "file": "{file: PATH}",
        "secret": "{secret: {source, path, field}}",
    }
    *others, last = (shapes[key] for key in keys)
    choice = f"{', '.join(others)} or {last}" if others else last

    def check(value: object) -> object:
        if isinstance(value, (FromEnv, FromFile, FromSecret)):
            return value
        if not isinstance(value, dict) or len(value) != 1 or not set(value) <= set(keys):
            raise PydanticCustomError(
                "reference",
                "name the place of this value, don't write it here: {choice}",
                {"choice": choice},
            )
        return value

    return BeforeValidator(check)


def _kind(value: object) -> str:
    """The one key of a reference, whether it is a mapping or a value."""
    if isinstance(value, BaseModel):
        return TAG + next(iter(type(value).model_fields))
    return TAG + str(next(iter(value), "")) if isinstance(value, dict) else TAG


FileReference = Annotated[FromFile, _reference("file")]
# For what is needed before any source works.
LocalReference = Annotated[
    Annotated[
        Annotated[FromEnv, tag("env")] | Annotated[FromFile, tag("file")],
        Discriminator(_kind),
    ],
    _reference("env", "file"),
]
Reference = Annotated[
    Annotated[
        Annotated[FromEnv, tag("env")]
        | Annotated[FromFile, tag("file")]
        | Annotated[FromSecret, tag("secret")],
        Discriminator(_kind),
    ],
    _reference("env", "file", "secret"),
]


LARGEST = 64 * 1024
"""Bytes. A larger file is no secret but a wrong path."""


def resolve_local(reference: FromEnv | FromFile, key: str) -> str:
    """The value of a reference. Raises ValueUnavailable, which names `key` and the place, never a
    value.

    One trailing newline of a file is not part of its value: editors and `echo` leave it.
    """
    if isinstance(reference, FromEnv):
        place = f"{key}: environment variable {reference.env}"
        value = os.environ.get(reference.env)
        if value is None:
            raise ValueUnavailable(f"{place} is not set; set it before rotator starts")
        # Bytes that are no UTF-8 arrive as lone surrogates.
        content = value.encode(errors="surrogateescape")
        return _text(content, place)
    place = f"{key}: file {reference.file}"
    text = _text(_content(reference.file, place), place)
    return text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")


def _content(path: Path, place: str) -> bytes:
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueUnavailable(f"{place} is no regular file; name one")
            return file.read(LARGEST + 1)
    except FileNotFoundError:
        raise ValueUnavailable(f"{place} does not exist; create it or correct the path") from None
    except IsADirectoryError:
        raise ValueUnavailable(f"{place} is a folder; name a file in it") from None
    except OSError as error:
        raise ValueUnavailable(
            f"{place} can't be read: {error.strerror}; check its owner and mode"
        ) from None


def _without_waiting(path: str, flags: int) -> int:
    """Open a file without waiting: opening a pipe that nobody writes to would hang."""
    return os.open(path, flags | os.O_NONBLOCK)


def _text(content: bytes, place: str) -> str:
    if len(content) > LARGEST:
        raise ValueUnavailable(
            f"{place} is larger than {LARGEST // 1024} KiB; is it the right one?"
        )
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueUnavailable(f"{place} is not UTF-8 text; is it the right one?") from None
    if "\0" in text:
        raise ValueUnavailable(f"{place} is binary; is it the right one?")
    if not text.strip():
        raise ValueUnavailable(f"{place} is empty; put the value there")
    return text


def secret_references(section: BaseModel) -> Iterator[FromSecret]:
    """The `{secret: …}` in a section and in all that it holds."""

    def walk(value: Any) -> Iterator[FromSecret]:
        if isinstance(value, FromSecret):
            yield value
        elif isinstance(value, BaseModel):
            for name in type(value).model_fields:
                yield from walk(getattr(value, name))
        elif isinstance(value, Mapping):
            for item in value.values():
                yield from walk(item)
        elif isinstance(value, tuple):
            for item in value:
                yield from walk(item)

    yield from walk(section)
