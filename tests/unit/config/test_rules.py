"""The rotations of the configuration, as the core reads them: no key is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from rotator.config.models import Config, RotationConfig
from rotator.config.rules import rule, rules
from rotator.model.rule import (
    FieldOf,
    Fixed,
    LeaseSharing,
    Matching,
    OnFailure,
    RolloutPolicy,
    Rule,
    SecretPlace,
    VerificationPolicy,
)

LEAST: dict[str, Any] = {
    "targets": ["prod"],
    "match": {"name": ["a"]},
    "secret": {"source": "vault", "path": "flink"},
    "credential": {"api-key": "api_key"},
}
OTHER: dict[str, Any] = {
    "targets": ["prod", "test"],
    "match.type": ["OPENAI"],
    "match.name": ["b"],
    "match.exclude": ["c"],
    "match.endpoint": ["https://*"],
    "match.expect.min": 3,
    "match.expect.max": 9,
    "secret.source": "aws",
    "secret.path": "flink/{connection}",
    "secret.engine": "kv-v2",
    "secret.mount": "team",
    "secret.version": "4",
    "secret.stage": "AWSPREVIOUS",
    "secret.lease": "per-connection",
    "secret.revoke_after": "9m",
    "credential": {"api-key": "another"},
    "rollout.canary": 2,
    "rollout.batch": 20,
    "rollout.max_failures": 3,
    "rollout.max_failures_total": 5,
    "rollout.on_failure": "continue",
    "verify.timeout": "7m",
    "verify.interval": "500ms",
    "verify.stable": 4,
    "verify.settled_version": True,
    "on_drift": "warn",
}
"""Another value for every key that the core reads."""
OF_OTHERS = {
    "schedule",  # when a run starts: the daemon reads these two
    "watch",
    "max_age",  # what the page and the metrics report
    "verify.statements",  # has one value so far
}


def keys(model: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def made(changes: dict[str, Any]) -> Rule:
    read = deepcopy(LEAST)
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = read
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return rule("openai", RotationConfig.model_validate(read))


def test_every_key_is_one_of_these() -> None:
    assert set(keys(RotationConfig)) == OTHER.keys() | OF_OTHERS


@pytest.mark.parametrize("key", OTHER)
def test_every_key_reaches_the_rule(key: str) -> None:
    engine = {"secret.engine": "database", "secret.path": "creds/app"}
    before = engine if key == "secret.lease" else {}
    assert made({**before, key: OTHER[key]}) != made(before)


def test_each_value_reaches_its_own_place() -> None:
    version_and_lease = {"secret.version", "secret.lease"}
    settings = {key: value for key, value in OTHER.items() if key not in version_and_lease}
    settings["credential"] = {"api-key": "api_key", "transport-type": {"value": "SSE"}}
    assert made(settings) == Rule(
        name="openai",
        targets=("prod", "test"),
        matching=Matching(("OPENAI",), ("b",), ("c",), ("https://*",), 3, 9),
        secret=SecretPlace(
            "aws",
            "flink/{connection}",
            "kv-v2",
            "team",
            stage="AWSPREVIOUS",
            revoke_after=timedelta(minutes=9),
        ),
        mapping={"api-key": FieldOf("api_key"), "transport-type": Fixed("SSE")},
        rollout=RolloutPolicy(2, 20, 3, 5, OnFailure.CONTINUE),
        verification=VerificationPolicy(420.0, 0.5, 4, True),
        reapply_drift=False,
    )
    assert made({"secret.version": "4"}).secret.version == "4"


def test_defaults_are_those_of_the_core() -> None:
    expected = Rule(
        name="openai",
        targets=("prod",),
        matching=Matching(name=("a",)),
        secret=SecretPlace("vault", "flink"),
        mapping={"api-key": FieldOf("api_key")},
    )
    assert made({}) == expected


def test_types_are_written_in_capitals() -> None:
    assert made({"match.type": ["openai", "azure*"]}).matching.type == ("OPENAI", "AZURE*")


@pytest.mark.parametrize(
    ("settings", "lease"),
    [
        ({}, None),
        ({"secret.engine": "database"}, LeaseSharing.SHARED),
        ({"secret.engine": "database", "secret.lease": "shared"}, LeaseSharing.SHARED),
        (
            {"secret.engine": "database", "secret.lease": "per-connection"},
            LeaseSharing.PER_CONNECTION,
        ),
    ],
)
def test_what_an_engine_makes_is_leased(
    settings: dict[str, Any], lease: LeaseSharing | None
) -> None:
    assert made({**settings, "secret.path": "creds/app"}).secret.lease is lease


def test_rules_keep_the_order_of_the_file() -> None:
    config = Config.model_construct(
        targets={},
        sources={},
        rotations={name: RotationConfig.model_validate(LEAST) for name in ("b", "a")},
    )
    assert [(name, each.name) for name, each in rules(config).items()] == [("b", "b"), ("a", "a")]


class TestMappingDigest:
    def test_changes_with_the_mapping_alone(self) -> None:
        digest = made({}).mapping_digest
        assert made({"rollout.canary": 3}).mapping_digest == digest
        assert made({"credential": {"api-key": "another"}}).mapping_digest != digest

    def test_a_constant_is_no_field_of_the_same_name(self) -> None:
        named = made({"credential": {"username": "x"}}).mapping_digest
        assert made({"credential": {"username": {"value": "x"}}}).mapping_digest != named
