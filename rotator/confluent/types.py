"""The connection types of Confluent Cloud, and the keys that each takes.

As the Confluent CLI sends them (https://github.com/confluentinc/cli, pkg/flink/utils.go). A type
that isn't in the table passes through; its mapping names the keys of `auth_data.data` themselves.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from rotator.errors import CredentialInvalid
from rotator.model.credential import AuthData


@dataclass(frozen=True, slots=True)
class Way:
    """One way for a connection to authenticate: option name → key in `auth_data.data`."""

    required: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)
    auth_type: str | None = None
    """The value of AUTH_TYPE, which is sent for types that know more than one way."""

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
_PUBLIC = frozenset({"AUTH_TYPE", "TRANSPORT_TYPE"})
_SECRET = re.compile(r"key|secret|password|token|credential", re.IGNORECASE)
_NO_SECRET = frozenset({"aws-access-key", "token-endpoint"})


def is_secret_option(option: str) -> bool:
    """Whether the option's value must come from a source. A constant would be in clear in the
    file."""
    return option not in _NO_SECRET and _SECRET.search(option) is not None


def fit(connection_type: str, options: Collection[str]) -> Way | None:
    """The way to authenticate that these options mean; None for a type that isn't known.

    Raises CredentialInvalid, which says what the type would take.
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


def auth_data(connection_type: str, values: Mapping[str, str]) -> AuthData:
    """The whole of `auth_data.data`, from the values of the options.

    Raises CredentialInvalid, which names options, never values.
    """
    way = fit(connection_type, values)
    if way is None:
        return _auth_data(values, known=False)
    keys = {**way.required, **way.optional}
    data = {keys[option]: value for option, value in values.items()}
    transport = data.get("TRANSPORT_TYPE")
    if transport is not None and transport not in _TRANSPORTS:
        raise CredentialInvalid(f"transport-type is none of {' and '.join(_TRANSPORTS)}")
    if transport == "STREAMABLE_HTTP" and "SSE_ENDPOINT" in data:
        raise CredentialInvalid("sse-endpoint doesn't go with the transport-type STREAMABLE_HTTP")
    if way.auth_type:
        data["AUTH_TYPE"] = way.auth_type
    return _auth_data(data, known=True)


def _auth_data(data: Mapping[str, str], *, known: bool) -> AuthData:
    return AuthData(data, public=_PUBLIC & data.keys(), known=known)
