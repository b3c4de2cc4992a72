"""Which connections a rotation means, and where the secret of each lives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from rotator.config.models import Match, RotationConfig, SecretConfig
from rotator.errors import CredentialInvalid
from rotator.model.connection import Connection
from rotator.model.secret import SecretRef


def _any(globs: Iterable[str], word: str) -> bool:
    return any(fnmatchcase(word, glob) for glob in globs)


def matches(rule: Match, connection: Connection) -> bool:
    return (
        (rule.type is None or _any(rule.type, connection.type.upper()))
        and (rule.name is None or _any(rule.name, connection.name))
        and (rule.endpoint is None or _any(rule.endpoint, connection.endpoint))
        and not (rule.exclude is not None and _any(rule.exclude, connection.name))
    )


def only_type(rule: Match) -> str | None:
    """The one type that can match, to narrow a listing to; None if there may be more."""
    if rule.type is not None and len(rule.type) == 1 and not re.search(r"[*?\[]", rule.type[0]):
        return rule.type[0]
    return None


def claimants(
    rotations: Mapping[str, RotationConfig], target: str, connection: Connection
) -> tuple[str, ...]:
    """The rotations that match a connection; more than one would overwrite each other's work."""
    return tuple(
        name
        for name, rotation in rotations.items()
        if target in rotation.targets and matches(rotation.match, connection)
    )


_SAFE_WORD = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f\x7f]+")


def secret_of(
    secret: SecretConfig, rotation: str, connection: Connection, environment: str
) -> SecretRef:
    """The reference with its placeholders filled in, and who holds the lease if it makes one.

    Names come from the target, so one that would climb to another secret is refused
    (CredentialInvalid), not quoted.
    """
    words = {
        "connection": connection.name,
        "type": connection.type,
        "target": connection.target,
        "environment": environment,
    }

    holder = {
        "shared": rotation,
        "per-connection": f"{rotation}/{connection.target}/{connection.name}",
    }

    def fill(match: re.Match[str]) -> str:
        word = words[match[1]]
        if not _SAFE_WORD.fullmatch(word):
            raise CredentialInvalid(f"{match[1]} {word!r} can't be part of the path of a secret")
        return word

    return SecretRef(
        source=secret.source,
        path=re.sub(r"\{(connection|type|target|environment)\}", fill, secret.path),
        engine=secret.engine,
        mount=secret.mount,
        version=secret.version,
        stage=secret.stage,
        holder=holder.get(secret.dynamic or ""),
    )
