"""What the engines of Vault require of a path, and which of them make a credential at every
read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_MAKING = {"database": ("creds",), "aws": ("creds", "sts")}
_STATIC = "static-creds"


def _version(version: object) -> object:
    """A number is a version of KV v2; a VersionId is text."""
    return str(version) if isinstance(version, int) and not isinstance(version, bool) else version


Version = Annotated[
    str,
    BeforeValidator(_version),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}]}),
]


def makes(engine: str | None, path: str) -> bool:
    """Whether every read makes a credential with a lease."""
    return path.partition("/")[0] in _MAKING.get(engine or "", ())


def may_lease(engine: str | None, path: str) -> bool:
    return engine == "generic" or makes(engine, path)


def check_engine(engine: str | None, path: str, version: str | None) -> None:
    """Raises PydanticCustomError, whose `at` names the key that is wrong."""
    if engine in _MAKING:
        first, _, role = path.partition("/")
        ways = (*_MAKING[engine], _STATIC)
        if first not in ways or not role:
            raise PydanticCustomError(
                "engine_path",
                "the engine {engine} is read at {ways}",
                {
                    "engine": engine,
                    "ways": " or ".join(f"{way}/ROLE" for way in ways),
                    "at": "path",
                },
            )
    if version is not None and engine not in {None, "kv-v2"}:
        raise PydanticCustomError("engine_version", "only kv-v2 keeps versions", {"at": "version"})
