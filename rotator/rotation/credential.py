"""The fields of a secret → the values of a connection's options."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import datetime

from rotator.errors import CredentialInvalid
from rotator.model.credential import AuthData, Credential
from rotator.model.rule import FieldOf, Fixed

_PLACEHOLDERS = frozenset({"<no value>", "<redacted>", "<nil>", "null", "none", "changeme"})
"""What broken templates and careless hands leave where a secret should be."""


def values(mapping: Mapping[str, FieldOf | Fixed], fields: Mapping[str, object]) -> dict[str, str]:
    """Option → value. Raises CredentialInvalid, which names fields, never values."""
    return {option: _value(option, place, fields) for option, place in mapping.items()}


def credential(
    made: AuthData,
    fingerprint: Callable[[Mapping[str, str]], str],
    version: str,
    changed_at: datetime | None = None,
) -> Credential:
    """What is put on a connection. `version` is that of the secret, or the id of a lease."""
    return Credential(made.data, fingerprint(made.data), version, changed_at, made.public)


def _value(option: str, place: FieldOf | Fixed, fields: Mapping[str, object]) -> str:
    if isinstance(place, Fixed):
        return place.value
    name = place.name
    if name not in fields:
        near = difflib.get_close_matches(name, fields, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise CredentialInvalid(f"{option}: the secret has no field {name!r}{hint}")
    value = fields[name]
    if isinstance(value, (dict, list)):
        raise CredentialInvalid(f"{option}: field {name!r} of the secret is nested, not text")
    if not isinstance(value, str):
        raise CredentialInvalid(
            f"{option}: field {name!r} of the secret is no text; write it in quotes"
        )
    if not value.strip():
        raise CredentialInvalid(f"{option}: field {name!r} of the secret is empty")
    if value.strip().lower() in _PLACEHOLDERS:
        raise CredentialInvalid(
            f"{option}: field {name!r} of the secret holds a placeholder, not a credential"
        )
    return value
