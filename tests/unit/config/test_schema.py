"""The JSON Schema refuses what editors should underline, and takes what `load` takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from rotator.config.schema import json_schema
from rotator.config.yaml import parse
from rotator.errors import ConfigurationError

EXAMPLES = sorted((Path(__file__).parents[3] / "config").glob("*.yaml"))
MISTAKES = sorted((Path(__file__).parent / "mistakes").glob("*.yaml"))

BEYOND_STRUCTURE = {
    "approle-no-secret-id",
    "approle-two-secret-ids",
    "approle-wrapped-without-role",
    "aws-engine-path",
    "aws-two-identities",
    "cert-login-without-certificate",
    "coordination-duration",
    "coordination-url",
    "credential-in-clear",
    "cron-out-of-range",
    "cron-with-four-fields",
    "duration-of-ages",
    "duration-of-nothing",
    "empty-root",
    "engine-of-a-file-source",
    "engine-path",
    "expect-max-below-min",
    "later-postgresql",
    "lease-of-a-static-role",
    "lease-of-kv",
    "ledger-in-memory",
    "ledger-is-a-folder",
    "ledger-url-with-a-password",
    "listen-without-port",
    "mapping-of-another-type",
    "notify-plain-http",
    "notify-twice",
    "notify-unknown-source",
    "notify-url-with-a-password",
    "notify-url-without-scheme",
    "option-with-underscore",
    "plain-http",
    "port-too-high",
    "setting-with-a-lease",
    "stage-of-vault",
    "target-listed-twice",
    "template-in-a-reference",
    "template-with-unknown-word",
    "timezone",
    "unknown-source",
    "unknown-source-in-reference",
    "unknown-source-like-nothing",
    "unknown-target",
    "url-with-a-password",
    "url-with-a-path",
    "vault-proxy",
    "version-and-stage-of-a-file",
    "version-of-kv-v1",
    "version-that-is-no-number",
    "watch-too-often",
}
"""Mistakes that only `load` knows: in the meaning of a text, or between sections."""


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(json.dumps(json_schema()))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_fit_the_schema(validator: Draft202012Validator, path: Path) -> None:
    assert list(validator.iter_errors(parse(path).data)) == []


@pytest.mark.parametrize("path", MISTAKES, ids=lambda path: path.stem)
def test_mistakes_of_structure_do_not(validator: Draft202012Validator, path: Path) -> None:
    try:
        document = parse(path)
    except ConfigurationError:
        return  # This is no YAML: test_mistakes.py checks its message.
    if not document.problems:
        assert validator.is_valid(document.data) == (path.stem in BEYOND_STRUCTURE)


def test_editors_get_words_to_show() -> None:
    schema = json_schema()
    assert schema["title"] == "rotator configuration"
    verify = schema["$defs"]["Verify"]
    assert verify["properties"]["interval"]["description"] == "Between two looks."
    assert verify["properties"]["interval"]["default"] == "2s"
    assert schema["$defs"]["ScheduleConfig"]["properties"]["jitter"]["default"] == "0s"
    ledger = {"url": "sqlite:///./rotator.db", "on_unknown": "apply"}
    assert schema["properties"]["ledger"]["default"] == ledger
    rotation = schema["$defs"]["RotationConfig"]["properties"]
    assert rotation["verify"]["default"] == {
        "timeout": "5m",
        "interval": "2s",
        "stable": 2,
        "settled_version": False,
        "statements": "off",
    }
    assert "null" not in json.dumps(schema)
