"""What `{env: …}` and `{file: …}` lead to, looked up anew at every use."""

from __future__ import annotations

import os
from pathlib import Path

from rotator.config.models import FromEnv, FromFile
from rotator.errors import ValueUnavailable

LARGEST = 64 * 1024
"""Bytes; a secret that is larger is no secret but a wrong path."""


def resolve_local(reference: FromEnv | FromFile, key: str) -> str:
    """Raises ValueUnavailable, which names `key` and the place, never a value.

    One trailing newline of a file is not part of its value: editors and `echo` leave it.
    """
    if isinstance(reference, FromEnv):
        value = os.environ.get(reference.env)
        if not value:
            state = "not set" if value is None else "empty"
            raise ValueUnavailable(f"{key}: environment variable {reference.env} is {state}")
        return value
    return _read(reference.file, key)


def _read(path: Path, key: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise ValueUnavailable(f"{key}: file {path} does not exist") from None
    except IsADirectoryError:
        raise ValueUnavailable(f"{key}: {path} is a folder; name a file in it") from None
    except OSError as error:
        raise ValueUnavailable(f"{key}: file {path} can't be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise ValueUnavailable(f"{key}: file {path} is larger than {LARGEST // 1024} KiB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueUnavailable(f"{key}: file {path} is not UTF-8 text") from None
    value = text.removesuffix("\n").removesuffix("\r")
    if not value.strip() or "\0" in value:
        raise ValueUnavailable(f"{key}: file {path} is empty or binary")
    return value
