"""Secret fields → auth data, for every connection type and every mistake."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rotator.config.models import Constant
from rotator.confluent.types import is_secret_option
from rotator.errors import CredentialInvalid
from rotator.rotation.credential import TYPES, auth_data, fit

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


def fields_of(options: Mapping[str, str]) -> dict[str, object]:
    return {f"{option}-field": f"{CANARY}-{option}" for option in options}


def mapping_of(options: Mapping[str, str]) -> dict[str, str | Constant]:
    return {option: f"{option}-field" for option in options}


class TestTypes:
    def test_all_19_are_tested(self) -> None:
        assert {kind for kind, _, _ in WAYS} == TYPES.keys()
        assert len(TYPES) == 19

    @pytest.mark.parametrize(("kind", "options", "auth_type"), WAYS, ids=name_of)
    def test_each_way_makes_its_keys_and_no_other(
        self, kind: str, options: dict[str, str], auth_type: str | None
    ) -> None:
        expected = {key: f"{CANARY}-{option}" for option, key in options.items()}
        if auth_type:
            expected["AUTH_TYPE"] = auth_type
        assert auth_data(kind, mapping_of(options), fields_of(options)) == expected

    @pytest.mark.parametrize(("kind", "options", "auth_type"), WAYS, ids=name_of)
    def test_fields_that_nothing_asks_for_are_not_sent(
        self, kind: str, options: dict[str, str], auth_type: str | None
    ) -> None:
        more = {**fields_of(options), "API_KEY": CANARY, "note": None, "nested": {"a": CANARY}}
        assert CANARY not in auth_data(kind, mapping_of(options), more).values()

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
            auth_data(kind, mapping_of(options), fields_of(options))
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
        mapping: dict[str, str | Constant] = {
            "API_KEY": "key",
            "TRANSPORT_TYPE": Constant(value="CARRIER_PIGEON"),
            "SSE_ENDPOINT": "url",
        }
        data = auth_data("NEXT_YEARS", mapping, {"key": "k-123", "url": "https://x.example"})
        assert data == {
            "API_KEY": "k-123",
            "TRANSPORT_TYPE": "CARRIER_PIGEON",
            "SSE_ENDPOINT": "https://x.example",
        }
        assert fit("NEXT_YEARS", mapping) is None

    def test_its_fields_are_checked_all_the_same(self) -> None:
        with pytest.raises(
            CredentialInvalid, match=r"^API_KEY: field 'key' of the secret is empty"
        ):
            auth_data("NEXT_YEARS", {"API_KEY": "key"}, {"key": " "})


class TestMcpTransport:
    SECRET: Mapping[str, object] = {"t": "token-1", "url": "https://x.example/sse", "how": "SSE"}

    def data(self, **options: str | Constant) -> dict[str, str]:
        named = {option.replace("_", "-"): place for option, place in options.items()}
        return auth_data("MCP_SERVER", {"token": "t", **named}, self.SECRET)

    def test_sse_as_constant_and_as_field(self) -> None:
        expected = {"BEARER_TOKEN": "token-1", "TRANSPORT_TYPE": "SSE", "AUTH_TYPE": "BEARER"}
        assert self.data(transport_type=Constant(value="SSE")) == expected
        assert self.data(transport_type="how") == expected

    def test_sse_with_its_endpoint(self) -> None:
        data = self.data(transport_type=Constant(value="SSE"), sse_endpoint="url")
        assert data["SSE_ENDPOINT"] == "https://x.example/sse"

    def test_streamable_http(self) -> None:
        data = self.data(transport_type=Constant(value="STREAMABLE_HTTP"))
        assert data["TRANSPORT_TYPE"] == "STREAMABLE_HTTP"

    def test_streamable_http_has_no_sse_endpoint(self) -> None:
        with pytest.raises(CredentialInvalid, match=r"^sse-endpoint doesn't go with "):
            self.data(transport_type=Constant(value="STREAMABLE_HTTP"), sse_endpoint="url")

    @pytest.mark.parametrize("word", ["sse", "STDIO", "", " SSE"])
    def test_no_other_transport(self, word: str) -> None:
        with pytest.raises(CredentialInvalid, match=r"none of SSE and STREAMABLE_HTTP$"):
            self.data(transport_type=Constant(value=word))

    def test_a_secret_that_is_mistaken_for_a_transport_is_not_repeated(self) -> None:
        with pytest.raises(CredentialInvalid) as error:
            self.data(transport_type="t")
        assert "token-1" not in str(error.value)

    def test_a2a_has_no_transport(self) -> None:
        with pytest.raises(CredentialInvalid, match="it doesn't know transport-type"):
            fit("A2A", {"token", "transport-type"})


class TestFields:
    @pytest.mark.parametrize(
        "value",
        ["00123", " sk 1 ", "sk-1\n", "1.0", "true", "{}", "[]", "ключ", "-----BEGIN\nKEY-----\n"],
    )
    def test_text_stays_as_it_is(self, value: str) -> None:
        assert auth_data("OPENAI", {"api-key": "k"}, {"k": value}) == {"API_KEY": value}

    @pytest.mark.parametrize(
        ("value", "fault"),
        [
            pytest.param("", "is empty", id="empty"),
            pytest.param(" \t\n", "is empty", id="blank"),
            pytest.param({"deep": CANARY}, "is nested, not text", id="a mapping"),
            pytest.param([CANARY], "is nested, not text", id="a list"),
            pytest.param({}, "is nested, not text", id="an empty mapping"),
            pytest.param(None, "is no text; write it in quotes", id="null"),
            pytest.param(80861447, "is no text; write it in quotes", id="a number"),
            pytest.param(0.80861447, "is no text; write it in quotes", id="a fraction"),
            pytest.param(True, "is no text; write it in quotes", id="a truth value"),
            pytest.param(b"80861447", "is no text; write it in quotes", id="bytes"),
            pytest.param("<no value>", "holds a placeholder", id="of Go templates"),
            pytest.param("<REDACTED>", "holds a placeholder", id="of Confluent's own answers"),
            pytest.param(" changeme\n", "holds a placeholder", id="with space around it"),
            pytest.param("null", "holds a placeholder", id="of jq"),
            pytest.param("None", "holds a placeholder", id="of Python"),
        ],
    )
    def test_what_is_no_credential_is_refused(self, value: object, fault: str) -> None:
        with pytest.raises(CredentialInvalid) as error:
            auth_data("OPENAI", {"api-key": "k"}, {"k": value, "other": CANARY})
        message = str(error.value)
        assert message.startswith("api-key: field 'k' of the secret ")
        assert fault in message
        assert CANARY not in message
        assert "80861447" not in message

    @pytest.mark.parametrize("value", ["nullify-1", "none-of-your-business", "changeme2", "<x>"])
    def test_what_only_resembles_a_placeholder_is_taken(self, value: str) -> None:
        assert auth_data("OPENAI", {"api-key": "k"}, {"k": value})["API_KEY"] == value

    def test_a_missing_field_is_named_with_what_is_near(self) -> None:
        with pytest.raises(CredentialInvalid) as error:
            auth_data("OPENAI", {"api-key": "api_key"}, {"apikey": CANARY, "zzz": CANARY})
        message = str(error.value)
        assert message == "api-key: the secret has no field 'api_key', did you mean 'apikey'?"

    @pytest.mark.parametrize("fields", [{}, {CANARY: "x"}, {"zzz": CANARY}])
    def test_a_missing_field_with_nothing_near(self, fields: dict[str, object]) -> None:
        with pytest.raises(CredentialInvalid) as error:
            auth_data("OPENAI", {"api-key": "api_key"}, fields)
        assert str(error.value) == "api-key: the secret has no field 'api_key'"

    def test_one_bad_field_of_several_is_the_one_named(self) -> None:
        fields = {"u": "admin", "p": ""}
        with pytest.raises(
            CredentialInvalid, match=r"^password: field 'p' of the secret is empty$"
        ):
            auth_data("MONGODB", {"username": "u", "password": "p"}, fields)


class TestConstants:
    def test_a_constant_needs_no_field(self) -> None:
        data = auth_data(
            "MONGODB", {"username": Constant(value="svc"), "password": "p"}, {"p": "x"}
        )
        assert data == {"USERNAME": "svc", "PASSWORD": "x"}

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
