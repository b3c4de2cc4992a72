"""Which connections a rotation means, and where their secrets are looked for."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.errors import CredentialInvalid
from rotator.model.connection import Connection
from rotator.model.rule import LeaseSharing, Matching, SecretPlace
from rotator.model.secret import SecretRef
from rotator.rotation.match import claimants, matches, only_type, secret_of
from tests.unit.rotation.values import connection, rule


def matching(**conditions: list[str]) -> Matching:
    globs: dict[str, Any] = {name: tuple(given) for name, given in conditions.items()}
    return Matching(**globs)


class TestMatches:
    @pytest.mark.parametrize(
        ("conditions", "matched"),
        [
            pytest.param({}, True, id="no condition"),
            pytest.param({"type": ["OPENAI"]}, True, id="type"),
            pytest.param({"type": ["AZURE*"]}, False, id="another type"),
            pytest.param({"type": ["BEDROCK", "OPEN*"]}, True, id="one of several types"),
            pytest.param({"type": ["OPEN"]}, False, id="a type is matched whole"),
            pytest.param({"name": ["openai-*"]}, True, id="name"),
            pytest.param({"name": ["openai-?"]}, True, id="name, one character"),
            pytest.param({"name": ["openai-[0-9]"]}, True, id="name, a class"),
            pytest.param({"name": ["openai-[!0-9]"]}, False, id="name, not a class"),
            pytest.param({"name": ["openai"]}, False, id="a name is matched whole"),
            pytest.param({"name": ["OPENAI-*"]}, False, id="names keep their case"),
            pytest.param({"name": ["a", "*-1"]}, True, id="one of several names"),
            pytest.param({"name": ["openai.1"]}, False, id="a glob is no regular expression"),
            pytest.param({"exclude": ["*-1"]}, False, id="excluded"),
            pytest.param({"exclude": ["*-2"]}, True, id="another is excluded"),
            pytest.param({"name": ["openai-1"], "exclude": ["*"]}, False, id="exclude wins"),
            pytest.param({"exclude": ["a", "openai-1"]}, False, id="excluded by one of several"),
            pytest.param({"endpoint": ["https://api.openai.com/*"]}, True, id="endpoint"),
            pytest.param({"endpoint": ["https://api.openai.com"]}, False, id="endpoint, whole"),
            pytest.param(
                {"endpoint": ["https://api.openai.com.evil.example/*"]}, False, id="another host"
            ),
            pytest.param(
                {"type": ["OPENAI"], "name": ["other"]}, False, id="all conditions must hold"
            ),
            pytest.param(
                {"type": ["OPENAI"], "name": ["open*"], "endpoint": ["https://*"]},
                True,
                id="all conditions hold",
            ),
        ],
    )
    def test_of_openai_1(self, conditions: dict[str, list[str]], matched: bool) -> None:
        assert matches(matching(**conditions), connection("openai-1")) is matched

    def test_the_listing_may_write_types_in_small_letters(self) -> None:
        assert matches(matching(type=["OPENAI"]), connection(type="openai"))

    def test_a_name_across_lines_is_matched_whole(self) -> None:
        assert not matches(matching(name=["openai-1"]), connection("openai-1\n"))
        assert matches(matching(name=["openai-*"]), connection("openai-\n1"))


@pytest.mark.parametrize(
    ("conditions", "narrowed"),
    [
        ({}, None),
        ({"name": ["x"]}, None),
        ({"type": ["OPENAI"]}, "OPENAI"),
        ({"type": ["OPENAI", "BEDROCK"]}, None),
        ({"type": ["OPEN*"]}, None),
        ({"type": ["OPENA?"]}, None),
        ({"type": ["[OA]PENAI"]}, None),
    ],
)
def test_a_listing_is_narrowed_to_one_type_only(
    conditions: dict[str, list[str]], narrowed: str | None
) -> None:
    assert only_type(matching(**conditions)) == narrowed


def test_claimants_are_those_of_this_target() -> None:
    rules = {
        "all": rule("all", matching=Matching(name=("*",)), targets=("prod", "test")),
        "openai": rule("openai", matching=Matching(type=("OPENAI",))),
        "bedrock": rule("bedrock", matching=Matching(type=("VERTEXAI",))),
        "elsewhere": rule("elsewhere", matching=Matching(name=("*",)), targets=("test",)),
    }
    one = connection("openai-1")
    assert claimants(rules, "prod", one) == ("all", "openai")
    assert claimants(rules, "test", one) == ("all", "elsewhere")
    assert claimants(rules, "other", one) == ()


def ref(path: str, of: Connection, environment: str = "env-a1b2c3") -> SecretRef:
    place = SecretPlace("vault", path, "kv-v2", "kv")
    return secret_of(rule(secret=place), of, environment)


class TestSecretOf:
    @pytest.mark.parametrize(
        ("path", "filled"),
        [
            ("flink/openai", "flink/openai"),
            ("flink/{connection}", "flink/openai-1"),
            ("{target}/{environment}/{type}/{connection}", "prod/env-a1b2c3/OPENAI/openai-1"),
            ("{connection}-{connection}", "openai-1-openai-1"),
        ],
    )
    def test_placeholders_are_filled(self, path: str, filled: str) -> None:
        assert ref(path, connection("openai-1")) == SecretRef("vault", filled, "kv-v2", "kv")

    def test_a_name_is_filled_in_once(self) -> None:
        assert ref("x/{connection}", connection("{type}")).path == "x/{type}"

    @pytest.mark.parametrize("name", ["a.b", "...", "..a", "a..", ".a", "a b", "ä-鍵", "a{b}"])
    def test_names_that_only_look_odd_are_taken(self, name: str) -> None:
        assert ref("flink/{connection}", connection(name)).path == f"flink/{name}"

    @pytest.mark.parametrize(
        "name",
        [
            "..",
            ".",
            "",
            "../root",
            "a/b",
            "/etc",
            "a\\b",
            "..\\x",
            "a\nb",
            "a\x00",
            "..\n",
            "a\x7f",
        ],
    )
    def test_a_name_that_leads_elsewhere_is_refused(self, name: str) -> None:
        with pytest.raises(CredentialInvalid) as refused:
            ref("flink/{connection}", connection(name))
        assert str(refused.value) == f"connection {name!r} can't be part of the path of a secret"
        assert str(refused.value).isprintable()

    @pytest.mark.parametrize("word", ["type", "target", "environment"])
    def test_so_is_every_other_word(self, word: str) -> None:
        of = connection(
            type=".." if word == "type" else "OPENAI", target=".." if word == "target" else "prod"
        )
        with pytest.raises(CredentialInvalid, match=f"^{word} '..' can't be part"):
            ref(f"flink/{{{word}}}", of, ".." if word == "environment" else "env-1")

    def test_a_name_that_isnt_used_may_be_anything(self) -> None:
        assert ref("flink/{type}", connection("../x")).path == "flink/OPENAI"

    def test_connections_that_need_the_same_secret_share_its_reference(self) -> None:
        shared = {ref("flink/{type}", connection(f"openai-{n}")) for n in range(5)}
        assert len(shared) == 1

    def test_a_reference_keeps_all_that_its_place_says(self) -> None:
        place = SecretPlace("aws", "flink/openai", version="v-1", stage="AWSPENDING")
        made = secret_of(rule(secret=place), connection(), "env-1")
        assert made == SecretRef("aws", "flink/openai", version="v-1", stage="AWSPENDING")
        assert not made.dynamic


class TestLeases:
    def of(self, sharing: LeaseSharing, *names: str) -> list[SecretRef]:
        place = SecretPlace("vault", "creds/flink", "database", lease=sharing)
        return [secret_of(rule(secret=place), connection(name), "env-1") for name in names]

    def test_a_shared_lease_is_held_by_the_rotation(self) -> None:
        first, second = self.of(LeaseSharing.SHARED, "a", "b")
        assert first == second
        assert (first.holder, first.dynamic) == ("openai", True)

    def test_else_each_connection_holds_its_own(self) -> None:
        found = self.of(LeaseSharing.PER_CONNECTION, "a", "b")
        assert [each.holder for each in found] == ["openai/prod/a", "openai/prod/b"]
