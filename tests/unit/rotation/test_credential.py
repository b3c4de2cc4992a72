"""The fields of a secret → the values of a connection's options, with every mistake in a field."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rotator.errors import CredentialInvalid
from rotator.model.credential import AuthData
from rotator.model.rule import FieldOf, Fixed
from rotator.rotation.credential import credential, values
from tests.unit.rotation.values import NOON

CANARY = "canary-7c1e"


def of_field(fields: Mapping[str, object], name: str = "k") -> dict[str, str]:
    """The value of api-key, which is the field of this name."""
    return values({"api-key": FieldOf(name)}, fields)


class TestFields:
    @pytest.mark.parametrize(
        "value",
        ["00123", " sk 1 ", "sk-1\n", "1.0", "true", "{}", "[]", "ключ", "-----BEGIN\nKEY-----\n"],
    )
    def test_text_stays_as_it_is(self, value: str) -> None:
        assert of_field({"k": value}) == {"api-key": value}

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
            of_field({"k": value, "other": CANARY})
        message = str(error.value)
        assert message.startswith("api-key: field 'k' of the secret ")
        assert fault in message
        assert CANARY not in message
        assert "80861447" not in message

    @pytest.mark.parametrize("value", ["nullify-1", "none-of-your-business", "changeme2", "<x>"])
    def test_what_only_resembles_a_placeholder_is_taken(self, value: str) -> None:
        assert of_field({"k": value}) == {"api-key": value}

    def test_a_missing_field_is_named_with_what_is_near(self) -> None:
        with pytest.raises(CredentialInvalid) as error:
            of_field({"apikey": CANARY, "zzz": CANARY}, "api_key")
        message = str(error.value)
        assert message == "api-key: the secret has no field 'api_key', did you mean 'apikey'?"

    @pytest.mark.parametrize("fields", [{}, {CANARY: "x"}, {"zzz": CANARY}])
    def test_a_missing_field_with_nothing_near(self, fields: dict[str, object]) -> None:
        with pytest.raises(CredentialInvalid) as error:
            of_field(fields, "api_key")
        assert str(error.value) == "api-key: the secret has no field 'api_key'"

    def test_one_bad_field_of_several_is_the_one_named(self) -> None:
        fields = {"u": "admin", "p": ""}
        with pytest.raises(
            CredentialInvalid, match=r"^password: field 'p' of the secret is empty$"
        ):
            values({"username": FieldOf("u"), "password": FieldOf("p")}, fields)

    def test_a_field_that_nothing_asks_for_may_be_anything(self) -> None:
        assert of_field({"k": "x", "nested": {"a": CANARY}, "note": None}) == {"api-key": "x"}


def test_a_constant_needs_no_field() -> None:
    found = values({"username": Fixed("svc"), "password": FieldOf("p")}, {"p": "x", "svc": CANARY})
    assert found == {"username": "svc", "password": "x"}


def test_a_credential_is_what_the_target_sends_with_a_fingerprint_of_it() -> None:
    made = AuthData(
        {"API_KEY": CANARY, "AUTH_TYPE": "API_KEY"}, frozenset({"AUTH_TYPE"}), known=True
    )
    found = credential(made, lambda data: f"{len(data)} keys", "v7", NOON)
    assert found.data == {"API_KEY": CANARY, "AUTH_TYPE": "API_KEY"}
    assert (found.fingerprint, found.secret_version) == ("2 keys", "v7")
    assert (found.changed_at, found.public) == (NOON, frozenset({"AUTH_TYPE"}))
    assert credential(made, str, "v7").changed_at is None
