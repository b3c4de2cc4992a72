"""The auth data of one connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

_SHORTEST_SCRUBBED = 4
"""Characters. A shorter value is part of too many words by chance."""


@dataclass(frozen=True, slots=True)
class AuthData:
    """What an update of one connection sends, by the target's own keys."""

    data: Mapping[str, str] = field(repr=False)
    public: frozenset[str]
    """The keys of `data` whose values are no secrets."""
    known: bool
    """Whether the target knows the connection's type, and so could check the keys."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", MappingProxyType(dict(self.data)))


@dataclass(frozen=True, slots=True)
class Credential:
    """The auth data of one connection, replaced whole by an update."""

    data: Mapping[str, str] = field(repr=False)
    fingerprint: str
    secret_version: str
    changed_at: datetime | None = None
    """When the secret changed, by the clock of its source, where the source tells."""
    public: frozenset[str] = frozenset()
    """The keys of `data` whose values are no secrets."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", MappingProxyType(dict(self.data)))

    def scrub(self, text: str) -> str:
        """Replace every secret value in a text. An endpoint may echo the key that it refuses."""
        values = [value for key, value in self.data.items() if key not in self.public]
        for value in sorted(values, key=len, reverse=True):
            if len(value) >= _SHORTEST_SCRUBBED:
                text = text.replace(value, "<redacted>")
        return text
