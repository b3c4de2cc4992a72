"""The values that the decisions rest on: order of versions, and secrets that stay hidden."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rotator.model.credential import Credential
from rotator.model.plan import Change, Verdict
from rotator.model.secret import Secret
from tests.unit.rotation.values import NOON, REF, at, connection

CANARY = "canary-8f3a-value"


@pytest.mark.parametrize(
    ("now", "then", "moved"),
    [
        pytest.param(("6", None), ("5", None), True, id="a higher number"),
        pytest.param(("5", None), ("5", None), False, id="the same number"),
        pytest.param(("4", None), ("5", None), False, id="a replica that lags"),
        pytest.param(("10", None), ("9", None), True, id="numbers, not text"),
        pytest.param(("9", None), ("10", None), False, id="numbers, not text, backwards"),
        pytest.param(("007", None), ("7", None), False, id="leading zeros are no change"),
        pytest.param(("5", at(9)), ("5", at(0)), False, id="a version outweighs a time"),
        pytest.param(("6", at(0)), ("5", at(9)), True, id="a version outweighs a clock set back"),
        pytest.param(("b", None), ("a", None), True, id="opaque, another"),
        pytest.param(("a", None), ("b", None), True, id="opaque, another, either way"),
        pytest.param(("a", None), ("a", None), False, id="opaque, the same"),
        pytest.param(("b", at(9)), ("a", at(0)), True, id="opaque, another, later"),
        pytest.param(("b", at(0)), ("a", at(0)), True, id="opaque, another, in the same second"),
        pytest.param(("a", at(0)), ("b", at(9)), False, id="opaque, a replica that lags"),
        pytest.param(("a", at(9)), ("a", at(0)), False, id="opaque, only its status is newer"),
        pytest.param(("6", None), ("e5", None), True, id="a number after an opaque one"),
        pytest.param(("-6", None), ("5", None), True, id="a sign is opaque"),
        pytest.param((None, at(9)), (None, at(0)), True, id="no versions, later"),
        pytest.param((None, at(0)), (None, at(0)), False, id="no versions, the same time"),
        pytest.param((None, at(0)), (None, at(9)), False, id="no versions, earlier"),
        pytest.param((None, at(9)), ("5", at(0)), True, id="no version now, later"),
        pytest.param(("5", at(9)), (None, at(0)), True, id="no version then, later"),
        pytest.param(("", at(9)), ("", at(0)), True, id="an empty version is none"),
        pytest.param((None, None), ("5", None), False, id="no version now, no times"),
        pytest.param(("5", None), (None, None), False, id="no version then, no times"),
        pytest.param((None, at(9)), (None, None), False, id="one time alone says nothing"),
        pytest.param((None, None), (None, at(0)), False, id="the other time alone says nothing"),
        pytest.param((None, None), (None, None), False, id="nothing to tell by"),
    ],
)
def test_moved_since(
    now: tuple[str | None, datetime | None], then: tuple[str | None, datetime | None], moved: bool
) -> None:
    earlier = connection(version=then[0], updated_at=then[1])
    assert connection(version=now[0], updated_at=now[1]).moved_since(earlier) is moved


YESTERDAY = NOON - timedelta(days=1)


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        pytest.param({}, True, id="the same view"),
        pytest.param({"resource_version": "9", "phase": "PENDING"}, True, id="a later one"),
        pytest.param({"uid": "uid-2"}, False, id="another uid"),
        pytest.param({"type": "BEDROCK"}, False, id="another type"),
        pytest.param({"endpoint": "https://eu.example"}, False, id="another endpoint"),
        pytest.param({"created_at": YESTERDAY}, True, id="a uid outweighs a time"),
        pytest.param({"uid": None}, True, id="no uid, made at the same time"),
        pytest.param({"uid": None, "created_at": YESTERDAY}, False, id="no uid, made before"),
        pytest.param({"uid": None, "created_at": None}, True, id="nothing to tell by"),
    ],
)
def test_same_as(changed: dict[str, Any], same: bool) -> None:
    one = replace(connection(), created_at=NOON)
    other = replace(one, **changed)
    assert (one.same_as(other), other.same_as(one)) == (same, same)


class TestScrub:
    @pytest.mark.parametrize(
        ("values", "text", "clean"),
        [
            (["sk-123456"], "no sk-123456 here", "no <redacted> here"),
            (["sk-123456"], "sk-123456, sk-123456", "<redacted>, <redacted>"),
            (["sk-123456"], "nothing of it", "nothing of it"),
            (["abcd", "abcdefgh"], "abcdefgh", "<redacted>"),
            (["abcdefgh", "abcd"], "abcdefgh abcd", "<redacted> <redacted>"),
            (["a.c*", "x[1]"], "abcc a.c* x[1]", "abcc <redacted> <redacted>"),
            (
                ["SSE"],
                "SSE is too short to be told from words",
                "SSE is too short to be told from words",
            ),
            (["wxyz"], "wxyz is long enough", "<redacted> is long enough"),
            (["first\nsecond"], "says: first\nsecond.", "says: <redacted>."),
            (["sk-123456"], "", ""),
        ],
    )
    def test_no_value_is_left(self, values: list[str], text: str, clean: str) -> None:
        data = {f"KEY_{at}": value for at, value in enumerate(values)}
        assert Credential(data, "fp", "v1").scrub(text) == clean

    def test_a_value_within_another_leaves_no_rest(self) -> None:
        pair = Credential({"USERNAME": "admin", "PASSWORD": f"{CANARY}-admin"}, "fp", "v1")
        assert pair.scrub(f"login admin:{CANARY}-admin") == "login <redacted>:<redacted>"


class TestNoValueShows:
    def test_in_a_secret(self) -> None:
        secret = Secret(REF, "v1", {"api_key": CANARY, "nested": {"deep": [CANARY]}})
        for shown in (repr(secret), str(secret), f"{secret}", "%s" % (secret,)):  # noqa: UP031 -- as logging does
            assert CANARY not in shown
            assert "v1" in shown

    def test_in_a_credential_and_what_holds_one(self) -> None:
        one = Credential({"API_KEY": CANARY}, "fp-1", "v1")
        change = Change(connection(), Verdict.NEW, "never rotated", credential=one, update=True)
        for holder in (one, change, [one], {"credential": one}):
            assert CANARY not in repr(holder)
            assert "fp-1" in repr(holder)


class TestValuesAreFrozen:
    def test_a_credential_keeps_what_it_was_made_of(self) -> None:
        data = {"API_KEY": "first"}
        one = Credential(data, "fp", "v1")
        data["API_KEY"] = "second"
        assert dict(one.data) == {"API_KEY": "first"}
        with pytest.raises(TypeError):
            one.data["API_KEY"] = "third"  # type: ignore[index]  # the test

    def test_a_secret_keeps_what_it_was_made_of(self) -> None:
        fields: dict[str, object] = {"api_key": "first"}
        secret = Secret(REF, "v1", fields)
        fields.clear()
        assert dict(secret.fields) == {"api_key": "first"}
        with pytest.raises(TypeError):
            secret.fields["api_key"] = "x"  # type: ignore[index]  # the test

    def test_equal_references_are_one(self) -> None:
        assert len({REF, type(REF)("vault", "flink/openai", "kv-v2", "kv")}) == 1
        assert str(REF) == "vault:kv/flink/openai"
        assert str(type(REF)("files", "openai.json")) == "files:openai.json"
