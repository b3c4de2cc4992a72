"""Option values → auth data, for every connection type and every wrong combination."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rotator.confluent.types import TYPES, auth_data, fit, is_secret_option
from rotator.errors import CredentialInvalid
from rotator.sandbox.vendors import VENDORS

API_KEY = {"api-key": "API_KEY"}
BASIC = {"username": "USERNAME", "password": "PASSWORD"}
BEARER = {"token": "BEARER_TOKEN"}
OAUTH2 = {
    "token-endpoint": "OAUTH2_TOKEN_ENDPOINT",
    "client-id": "OAUTH2_CLIENT_ID",
    "client-secret": "OAUTH2_CLIENT_SECRET",
    "scope": "OAUTH2_SCOPE",
}
AWS = {"aws-access-key": "AWS_ACCESS_KEY_ID", "aws-secret-key": "AWS_SECRET_ACCESS_KEY"}
AWS_SESSION = {**AWS, "aws-session-token": "AWS_SESSION_TOKEN"}
SSE = {"sse-endpoint": "SSE_ENDPOINT"}
ANY = (API_KEY, "API_KEY"), (BASIC, "BASIC"), (BEARER, "BEARER"), (OAUTH2, "OAUTH2")

WAYS: list[tuple[str, dict[str, str], str | None]] = [
    *((kind, API_KEY, None) for kind in ("OPENAI", "AZUREML", "AZUREOPENAI", "GOOGLEAI")),
    *((kind, API_KEY, None) for kind in ("PINECONE", "ANTHROPIC", "FIREWORKSAI", "COSMOSDB")),
    *((kind, AWS, None) for kind in ("BEDROCK", "SAGEMAKER", "S3VECTORS")),
    *((kind, AWS_SESSION, None) for kind in ("BEDROCK", "SAGEMAKER", "S3VECTORS")),
    ("VERTEXAI", {"service-key": "SERVICE_KEY"}, None),
    *((kind, BASIC, None) for kind in ("MONGODB", "COUCHBASE", "CONFLUENT_JDBC")),
    ("ELASTIC", API_KEY, "API_KEY"),
    ("ELASTIC", BASIC, "BASIC"),
    *(("REST", keys, auth_type) for keys, auth_type in ANY if auth_type != "API_KEY"),
    *(("A2A", keys, auth_type) for keys, auth_type in ANY),
    *(("MCP_SERVER", keys, auth_type) for keys, auth_type in ANY),
    *(("MCP_SERVER", {**keys, **SSE}, auth_type) for keys, auth_type in ANY),
]
"""Every way of every type, but for the transport of MCP_SERVER."""

CANARY = "canary-7c1e"


def name_of(case: object) -> str | None:
    return "+".join(case) if isinstance(case, dict) else None


def values_of(options: Mapping[str, str]) -> dict[str, str]:
    return {option: f"{CANARY}-{option}" for option in options}


class TestTypes:
    def test_all_19_are_tested(self) -> None:
        assert {kind for kind, _, _ in WAYS} == TYPES.keys()
        assert len(TYPES) == 19

    def test_the_sandbox_and_the_client_know_the_same_types(self) -> None:
        """Each has a table of its own, so that one mistake can't be in both."""
        client = {
            kind: {frozenset(way.required.values()) for way in ways} for kind, ways in TYPES.items()
        }
        assert client == {kind: set(vendor.ways) for kind, vendor in VENDORS.items()}

    @pytest.mark.parametrize(("kind", "options", "auth_type"), WAYS, ids=name_of)
    def test_each_way_makes_its_keys_and_no_other(
        self, kind: str, options: dict[str, str], auth_type: str | None
    ) -> None:
        expected = {key: f"{CANARY}-{option}" for option, key in options.items()}
        if auth_type:
            expected["AUTH_TYPE"] = auth_type
        assert auth_data(kind, values_of(options)).data == expected

    @pytest.mark.parametrize(("kind", "options", "auth_type"), WAYS, ids=name_of)
    def test_a_way_lacks_none_of_its_required_options(
        self, kind: str, options: dict[str, str], auth_type: str | None
    ) -> None:
        for left_out in options.keys() - {"aws-session-token", "sse-endpoint"}:
            with pytest.raises(CredentialInvalid, match=f"^type {kind} can't take ") as error:
                fit(kind, options.keys() - {left_out})
            assert left_out in str(error.value)

    @pytest.mark.parametrize(("kind", "options", "auth_type"), WAYS, ids=name_of)
    def test_a_way_takes_no_other_option(
        self, kind: str, options: dict[str, str], auth_type: str | None
    ) -> None:
        with pytest.raises(CredentialInvalid, match="it doesn't know colour; it takes "):
            fit(kind, {*options, "colour"})


class TestWrongCombinations:
    @pytest.mark.parametrize(
        ("kind", "options", "takes"),
        [
            ("OPENAI", BASIC, "api-key"),
            ("OPENAI", AWS, "api-key"),
            ("BEDROCK", API_KEY, "aws-access-key + aws-secret-key"),
            ("VERTEXAI", API_KEY, "service-key"),
            ("MONGODB", API_KEY, "username + password"),
            ("REST", API_KEY, "username + password or token or token-endpoint + client-id + "),
            ("ELASTIC", BEARER, "api-key or username + password"),
            ("ELASTIC", {**API_KEY, **BASIC}, "api-key or username + password"),
            ("REST", {**BASIC, **BEARER}, "username + password or token or "),
            ("A2A", {**API_KEY, **BEARER}, "username + password or token or "),
            ("A2A", {**API_KEY, **SSE}, "username + password or token or "),
            ("MCP_SERVER", SSE, "username + password or token or "),
            ("MCP_SERVER", {**BASIC, **OAUTH2}, "username + password or token or "),
        ],
        ids=name_of,
    )
    def test_are_refused_with_what_the_type_takes(
        self, kind: str, options: dict[str, str], takes: str
    ) -> None:
        with pytest.raises(CredentialInvalid) as error:
            auth_data(kind, values_of(options))
        message = str(error.value)
        assert message.startswith(f"type {kind} can't take {' + '.join(sorted(options))}: ")
        assert f"it takes {takes}" in message
        assert CANARY not in message

    @pytest.mark.parametrize(
        ("kind", "option", "meant"),
        [
            ("OPENAI", "api_key", "api-key"),
            ("OPENAI", "API_KEY", "api-key"),
            ("OPENAI", "apikey", "api-key"),
            ("MONGODB", "user-name", "username"),
            ("MONGODB", "passwort", "password"),
            ("BEDROCK", "AWS_SECRET_ACCESS_KEY", "aws-secret-key"),
            ("REST", "client_secret", "client-secret"),
            ("MCP_SERVER", "sse_endpoint", "sse-endpoint"),
        ],
    )
    def test_a_misspelt_option_is_recognized(self, kind: str, option: str, meant: str) -> None:
        with pytest.raises(CredentialInvalid) as error:
            fit(kind, {option})
        assert f"it doesn't know {option} (did you mean {meant}?); it takes " in str(error.value)

    def test_an_option_of_another_type_is_not_guessed_at(self) -> None:
        with pytest.raises(CredentialInvalid, match=r"it doesn't know zzz; it takes api-key$"):
            fit("OPENAI", {"zzz"})


class TestUnknownType:
    def test_passes_through_with_the_keys_as_written(self) -> None:
        values = {
            "API_KEY": "k-123",
            "TRANSPORT_TYPE": "CARRIER_PIGEON",
            "SSE_ENDPOINT": "https://x.example",
        }
        sent = auth_data("NEXT_YEARS", values)
        assert sent.data == values
        assert not sent.known
        assert fit("NEXT_YEARS", values) is None


class TestWhatIsSecret:
    def test_all_but_how_it_authenticates_and_by_which_transport(self) -> None:
        sent = auth_data("MCP_SERVER", {"token": CANARY, "transport-type": "SSE"})
        assert sent.known
        assert sent.public == {"AUTH_TYPE", "TRANSPORT_TYPE"}
        assert sent.data.keys() - sent.public == {"BEARER_TOKEN"}
        assert auth_data("OPENAI", {"api-key": CANARY}).public == frozenset()

    def test_no_value_is_in_a_repr(self) -> None:
        assert CANARY not in repr(auth_data("OPENAI", {"api-key": CANARY}))

    def test_the_data_can_not_be_changed(self) -> None:
        with pytest.raises(TypeError):
            auth_data("OPENAI", {"api-key": CANARY}).data["API_KEY"] = "x"  # type: ignore[index]


class TestMcpTransport:
    def data(self, **options: str) -> Mapping[str, str]:
        named = {option.replace("_", "-"): value for option, value in options.items()}
        return auth_data("MCP_SERVER", {"token": "token-1", **named}).data

    def test_sse(self) -> None:
        expected = {"BEARER_TOKEN": "token-1", "TRANSPORT_TYPE": "SSE", "AUTH_TYPE": "BEARER"}
        assert self.data(transport_type="SSE") == expected

    def test_sse_with_its_endpoint(self) -> None:
        data = self.data(transport_type="SSE", sse_endpoint="https://x.example/sse")
        assert data["SSE_ENDPOINT"] == "https://x.example/sse"

    def test_streamable_http(self) -> None:
        data = self.data(transport_type="STREAMABLE_HTTP")
        assert data["TRANSPORT_TYPE"] == "STREAMABLE_HTTP"

    def test_streamable_http_has_no_sse_endpoint(self) -> None:
        with pytest.raises(CredentialInvalid, match=r"^sse-endpoint doesn't go with "):
            self.data(transport_type="STREAMABLE_HTTP", sse_endpoint="https://x.example/sse")

    @pytest.mark.parametrize("word", ["sse", "STDIO", "", " SSE", CANARY])
    def test_no_other_transport(self, word: str) -> None:
        with pytest.raises(CredentialInvalid, match=r"none of SSE and STREAMABLE_HTTP$") as error:
            self.data(transport_type=word)
        assert CANARY not in str(error.value)

    def test_a2a_has_no_transport(self) -> None:
        with pytest.raises(CredentialInvalid, match="it doesn't know transport-type"):
            fit("A2A", {"token", "transport-type"})


class TestConstants:
    def test_which_options_may_be_constants(self) -> None:
        options = {
            option
            for ways in TYPES.values()
            for way in ways
            for option in (*way.required, *way.optional)
        }
        in_clear = {option for option in options if not is_secret_option(option)}
        assert in_clear == {
            "username",
            "aws-access-key",
            "client-id",
            "token-endpoint",
            "scope",
            "transport-type",
            "sse-endpoint",
        }

    @pytest.mark.parametrize("key", ["API_KEY", "Password", "SERVICE_KEY", "BEARER_TOKEN"])
    def test_the_keys_of_unknown_types_are_secrets_by_their_names(self, key: str) -> None:
        assert is_secret_option(key)
