"""A connection's type and a secret's fields → auth data.

The table is data: which keys each type takes, as the Confluent CLI sends them
(https://github.com/confluentinc/cli, pkg/flink/utils.go). A type that isn't in it passes through
with a warning; its mapping names the keys of `auth_data.data` themselves.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from rotator.config.models import Constant
from rotator.errors import CredentialInvalid


@dataclass(frozen=True, slots=True)
class Way:
    """One way for a connection to authenticate: option name → key in `auth_data.data`."""

    required: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)
    auth_type: str | None = None
    """Sent as AUTH_TYPE by the types that know more than one way."""

    def takes(self, options: Collection[str]) -> bool:
        given = set(options)
        return self.required.keys() <= given <= self.required.keys() | self.optional.keys()


_API_KEY = {"api-key": "API_KEY"}
_BASIC = {"username": "USERNAME", "password": "PASSWORD"}
_AWS = Way(
    {"aws-access-key": "AWS_ACCESS_KEY_ID", "aws-secret-key": "AWS_SECRET_ACCESS_KEY"},
    {"aws-session-token": "AWS_SESSION_TOKEN"},
)
_OAUTH2 = {
    "token-endpoint": "OAUTH2_TOKEN_ENDPOINT",
    "client-id": "OAUTH2_CLIENT_ID",
    "client-secret": "OAUTH2_CLIENT_SECRET",
    "scope": "OAUTH2_SCOPE",
}
_REST = (
    Way(_BASIC, auth_type="BASIC"),
    Way({"token": "BEARER_TOKEN"}, auth_type="BEARER"),
    Way(_OAUTH2, auth_type="OAUTH2"),
)
_A2A = (*_REST, Way(_API_KEY, auth_type="API_KEY"))
_MCP_OPTIONS = {"transport-type": "TRANSPORT_TYPE", "sse-endpoint": "SSE_ENDPOINT"}

TYPES: Mapping[str, tuple[Way, ...]] = {
    **dict.fromkeys(
        (
            "OPENAI",
            "AZUREML",
            "AZUREOPENAI",
            "GOOGLEAI",
            "PINECONE",
            "ANTHROPIC",
            "FIREWORKSAI",
            "COSMOSDB",
        ),
        (Way(_API_KEY),),
    ),
    **dict.fromkeys(("BEDROCK", "SAGEMAKER", "S3VECTORS"), (_AWS,)),
    "VERTEXAI": (Way({"service-key": "SERVICE_KEY"}),),
    **dict.fromkeys(("MONGODB", "COUCHBASE", "CONFLUENT_JDBC"), (Way(_BASIC),)),
    "ELASTIC": (Way(_API_KEY, auth_type="API_KEY"), Way(_BASIC, auth_type="BASIC")),
    "REST": _REST,
    "A2A": _A2A,
    "MCP_SERVER": tuple(Way(way.required, _MCP_OPTIONS, way.auth_type) for way in _A2A),
}

_TRANSPORTS = ("SSE", "STREAMABLE_HTTP")

_PLACEHOLDERS = frozenset({"<no value>", "<redacted>", "<nil>", "null", "none", "changeme"})
"""What broken templates and careless hands leave where a secret should be."""


def fit(connection_type: str, options: Collection[str]) -> Way | None:
    """The way of this type that these options mean; None for a type that isn't known.

    Raises CredentialInvalid with what the type would take.
    """
    ways = TYPES.get(connection_type)
    if ways is None:
        return None
    for way in ways:
        if way.takes(options):
            return way
    known = {option for way in ways for option in (*way.required, *way.optional)}
    hints = [
        f"{option} (did you mean {close[0]}?)" if close else option
        for option in sorted(set(options) - known)
        for close in [difflib.get_close_matches(option.lower().replace("_", "-"), known, n=1)]
    ]
    unknown = f"it doesn't know {', '.join(hints)}; " if hints else ""
    choices = " or ".join(" + ".join(way.required) for way in ways)
    raise CredentialInvalid(
        f"type {connection_type} can't take {' + '.join(sorted(options))}: "
        f"{unknown}it takes {choices}"
    )


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
