"""A connection's type and a secret's fields → auth data."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping

from rotator.config.models import Constant
from rotator.confluent.types import TYPES, Way, fit
from rotator.errors import CredentialInvalid

__all__ = ["TYPES", "Way", "auth_data", "fit", "mapping_digest"]

_TRANSPORTS = ("SSE", "STREAMABLE_HTTP")


def mapping_digest(mapping: Mapping[str, str | Constant]) -> str:
    """Which options come from which fields; changes when that does. No secret goes into it."""
    plain = {
        option: {"value": place.value} if isinstance(place, Constant) else place
        for option, place in mapping.items()
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


_PLACEHOLDERS = frozenset({"<no value>", "<redacted>", "<nil>", "null", "none", "changeme"})
"""What broken templates and careless hands leave where a secret should be."""


def auth_data(
    connection_type: str,
    mapping: Mapping[str, str | Constant],
    fields: Mapping[str, object],
) -> dict[str, str]:
    """The whole of `auth_data.data`. Raises CredentialInvalid, which names fields, never values."""
    way = fit(connection_type, mapping)
    keys = {**way.required, **way.optional} if way else {option: option for option in mapping}
    data = {keys[option]: _value(option, place, fields) for option, place in mapping.items()}
    transport = data.get("TRANSPORT_TYPE")
    if way and transport is not None and transport not in _TRANSPORTS:
        raise CredentialInvalid(f"transport-type is none of {' and '.join(_TRANSPORTS)}")
    if way and transport == "STREAMABLE_HTTP" and "SSE_ENDPOINT" in data:
        raise CredentialInvalid("sse-endpoint doesn't go with the transport-type STREAMABLE_HTTP")
    if way and way.auth_type:
        data["AUTH_TYPE"] = way.auth_type
    return data


def _value(option: str, place: str | Constant, fields: Mapping[str, object]) -> str:
    if isinstance(place, Constant):
        return place.value
    if place not in fields:
        near = difflib.get_close_matches(place, fields, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise CredentialInvalid(f"{option}: the secret has no field {place!r}{hint}")
    value = fields[place]
    if isinstance(value, (dict, list)):
        raise CredentialInvalid(f"{option}: field {place!r} of the secret is nested, not text")
    if not isinstance(value, str):
        raise CredentialInvalid(
            f"{option}: field {place!r} of the secret is no text; write it in quotes"
        )
    if not value.strip():
        raise CredentialInvalid(f"{option}: field {place!r} of the secret is empty")
    if value.strip().lower() in _PLACEHOLDERS:
        raise CredentialInvalid(
            f"{option}: field {place!r} of the secret holds a placeholder, not a credential"
        )
    return value
