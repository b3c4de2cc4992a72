"""Which connections a rotation means, and where the secret of each lives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from rotator.errors import CredentialInvalid
from rotator.model.connection import Connection
from rotator.model.rule import LeaseSharing, Matching, Rule
from rotator.model.secret import SecretRef


def _any(globs: Iterable[str], word: str) -> bool:
    return any(fnmatchcase(word, glob) for glob in globs)


def matches(matching: Matching, connection: Connection) -> bool:
    return (
        (matching.type is None or _any(matching.type, connection.type.upper()))
        and (matching.name is None or _any(matching.name, connection.name))
        and (matching.endpoint is None or _any(matching.endpoint, connection.endpoint))
        and not (matching.exclude is not None and _any(matching.exclude, connection.name))
    )


def only_type(matching: Matching) -> str | None:
    """The one type that can match, to narrow a listing to. None: there may be more than one."""
    types = matching.type
    if types is not None and len(types) == 1 and not re.search(r"[*?\[]", types[0]):
        return types[0]
    return None


def claimants(rules: Mapping[str, Rule], target: str, connection: Connection) -> tuple[str, ...]:
    """The rotations that match a connection; more than one would overwrite each other's work."""
    return tuple(
        name
        for name, rule in rules.items()
        if target in rule.targets and matches(rule.matching, connection)
    )


_SAFE_WORD = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f\x7f]+")


def secret_of(rule: Rule, connection: Connection, environment: str) -> SecretRef:
    """The reference with its placeholders filled in, and who holds the lease if it makes one.

    Names come from the target, so one that would climb to another secret is refused
    (CredentialInvalid), not quoted.
    """
    place = rule.secret
    words = {
        "connection": connection.name,
        "type": connection.type,
        "target": connection.target,
        "environment": environment,
    }

    def fill(match: re.Match[str]) -> str:
        word = words[match[1]]
        if not _SAFE_WORD.fullmatch(word):
            raise CredentialInvalid(f"{match[1]} {word!r} can't be part of the path of a secret")
        return word

    holders = {
        LeaseSharing.SHARED: rule.name,
        LeaseSharing.PER_CONNECTION: f"{rule.name}/{connection.target}/{connection.name}",
    }
    return SecretRef(
        source=place.source,
        path=re.sub(r"\{(connection|type|target|environment)\}", fill, place.path),
        engine=place.engine,
        mount=place.mount,
        version=place.version,
        stage=place.stage,
        holder=holders[place.lease] if place.lease is not None else None,
    )
