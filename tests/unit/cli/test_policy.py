"""The least that a configuration needs, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.cli.policy import Policy, policies
from rotator.config.models import Config
from tests.support.policies import capabilities


def configured(*secrets: dict[str, Any], source: dict[str, Any] | None = None) -> Config:
    """A rotation for each secret; `watch` of a secret is that of its rotation."""
    rotations = {}
    for number, secret in enumerate(secrets):
        watch = {"watch": secret.pop("watch")} if "watch" in secret else {}
        rotations[f"r{number}"] = {
            "targets": ["prod"],
            "match": {"type": ["OPENAI"]},
            "secret": {"source": "vault", **secret},
            "credential": {"api-key": "api_key"},
            **watch,
        }
    auth = {"method": "token", "token": {"env": "VAULT_TOKEN"}}
    vault = {"kind": "vault", "url": "https://vault.example.com", "auth": auth}
    return Config.model_validate(
        {
            "targets": {
                "prod": {
                    "url": "https://flink.us-east-1.aws.confluent.cloud",
                    "organization": "o",
                    "environment": "e",
                    "auth": {"api_key": {"env": "A"}, "api_secret": {"env": "B"}},
                }
            },
            "sources": {"vault": source or vault},
            "rotations": rotations,
        }
    )


def only(config: Config) -> Policy:
    (policy,) = policies(config)
    return policy


def vault(*secrets: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    policy = only(configured(*secrets))
    assert isinstance(policy.policy, str)
    return capabilities(policy.text)


@pytest.mark.parametrize(
    ("secret", "wanted"),
    [
        ({"path": "app", "engine": "kv-v2"}, {"kv/data/app": ("read",)}),
        (
            {"path": "app", "engine": "kv-v2", "mount": "/m/", "watch": "1m"},
            {"m/data/app": ("read",), "m/metadata/app": ("read",)},
        ),
        ({"path": "app", "engine": "kv-v1", "watch": "1m"}, {"kv/app": ("read",)}),
        ({"path": "app"}, {"kv/data/app": ("read",), "kv/app": ("read",)}),
        (
            {"path": "creds/flink", "engine": "database"},
            {"database/creds/flink": ("read",), "sys/leases/revoke": ("update",)},
        ),
        (
            {"path": "static-creds/flink", "engine": "database", "watch": "1m"},
            {"database/static-creds/flink": ("read",)},
        ),
        (
            {"path": "sts/flink", "engine": "aws", "lease": "per-connection"},
            {"aws/sts/flink": ("read",), "sys/leases/revoke": ("update",)},
        ),
        ({"path": "x/y", "engine": "generic", "mount": "m"}, {"m/x/y": ("read",)}),
        (
            {"path": "creds/r", "engine": "generic", "mount": "rabbitmq", "lease": "shared"},
            {"rabbitmq/creds/r": ("read",), "sys/leases/revoke": ("update",)},
        ),
    ],
)
def test_each_engine(secret: dict[str, Any], wanted: dict[str, tuple[str, ...]]) -> None:
    assert vault(secret) == wanted


@pytest.mark.parametrize(
    ("path", "glob"),
    [
        ("{environment}/{connection}", "+/+"),
        ("flink/{connection}/key", "flink/+/key"),
        ("flink/app-{connection}", "flink/app-*"),
        ("flink/{connection}-app", "flink/+"),
        ("a-{target}/{type}-{connection}", "+/+"),
        ('odd"path\\', 'odd\\"path\\\\'),
    ],
)
def test_placeholders_become_globs(path: str, glob: str) -> None:
    assert vault({"path": path, "engine": "kv-v2"}) == {f"kv/data/{glob}": ("read",)}


def test_a_dollar_and_a_brace_are_no_template() -> None:
    config = configured({"path": "a$b", "engine": "kv-v2"})
    assert '"kv/data/a$b"' in only(config).text


def test_a_path_that_two_need_stands_once_with_both_reasons() -> None:
    config = configured({"path": "app", "engine": "kv-v2"}, {"path": "app", "engine": "kv-v2"})
    text = only(config).text
    assert text.count("path ") == 1
    assert "# rotation r0\n# rotation r1\n" in text


def test_settings_count() -> None:
    config = configured({"path": "app", "engine": "kv-v2"})
    document = config.model_dump(mode="json", exclude_unset=True)
    secret = {"source": "vault", "path": "confluent", "field": "key", "engine": "kv-v2"}
    document["targets"]["prod"]["auth"]["api_key"] = {"secret": secret}
    document["sources"] = {
        "vault": {
            "kind": "vault",
            "url": "https://vault.example.com",
            "namespace": "platform",
            "auth": {"method": "token", "token": {"env": "X"}},
        }
    }
    policy = only(Config.model_validate(document))
    assert set(capabilities(policy.text)) == {"kv/data/app", "kv/data/confluent"}
    assert "for namespace platform" in policy.text


def test_events_need_a_subscription() -> None:
    source = {
        "kind": "vault",
        "url": "https://vault.example.com",
        "auth": {"method": "token", "token": {"env": "X"}},
        "events": True,
    }
    found = capabilities(
        only(configured({"path": "a", "engine": "kv-v2", "watch": "1m"}, source=source)).text
    )
    assert found["sys/events/subscribe/kv*"] == ("read",)
    assert found["kv/data/a"] == ("list", "read", "subscribe")


# AWS


def aws(*secrets: dict[str, Any], **options: Any) -> list[Policy]:
    source = {"kind": "aws-secrets-manager", "region": "eu-central-1", **options}
    return policies(configured(*secrets, source=source))


def statements(policy: Policy) -> dict[str, dict[str, Any]]:
    assert isinstance(policy.policy, dict)
    assert policy.policy["Version"] == "2012-10-17"
    found = {statement["Sid"]: statement for statement in policy.policy["Statement"]}
    for statement in found.values():
        assert statement["Effect"] == "Allow"
        assert statement["Action"]
        assert statement["Resource"]
    return found


def test_one_secret_by_its_stage() -> None:
    (policy,) = aws({"path": "flink/a"})
    found = statements(policy)
    assert set(found) == {"Read", "Decrypt"}
    assert found["Read"]["Resource"] == [
        "arn:aws:secretsmanager:eu-central-1:*:secret:flink/a-??????"
    ]
    condition = {"ForAnyValue:StringEquals": {"secretsmanager:VersionStage": ["AWSCURRENT"]}}
    assert found["Read"]["Condition"] == condition


def test_many_are_read_together_and_a_condition_on_stages_would_refuse_that() -> None:
    (policy,) = aws({"path": "flink/{connection}", "watch": "1m"})
    found = statements(policy)
    assert set(found) == {"Read", "Look", "ReadMany", "Decrypt"}
    assert found["ReadMany"]["Resource"] == "*"
    assert "Condition" not in found["Read"]
    assert found["Look"]["Resource"] == [
        "arn:aws:secretsmanager:eu-central-1:*:secret:flink/*-??????"
    ]


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        (
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a-AbCdEf",
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a-AbCdEf",
        ),
        (
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app/key",
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app/key-??????",
        ),
    ],
)
def test_arns_stay_as_they_are(path: str, resource: str) -> None:
    (policy,) = aws({"path": path})
    assert statements(policy)["Read"]["Resource"] == [resource]


@pytest.mark.parametrize(
    ("region", "partition", "domain"),
    [
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
        ("us-east-1", "aws", "amazonaws.com"),
    ],
)
def test_partitions(region: str, partition: str, domain: str) -> None:
    (policy,) = aws({"path": "a"}, region=region)
    found = statements(policy)
    assert found["Read"]["Resource"][0].startswith(f"arn:{partition}:secretsmanager:{region}:")
    via = {"StringEquals": {"kms:ViaService": f"secretsmanager.{region}.{domain}"}}
    assert found["Decrypt"]["Condition"] == via


def test_a_pinned_version_has_no_stage() -> None:
    (policy,) = aws({"path": "a", "version": "v"})
    assert "Condition" not in statements(policy)["Read"]


def test_whoever_takes_a_role_needs_to_be_permitted_to() -> None:
    role = "arn:aws:iam::123456789012:role/rotator"
    its, takers = aws({"path": "a"}, assume_role={"arn": role})
    assert role in its.text
    assert statements(takers)["TakeTheRole"]["Resource"] == [role]


def test_files_need_no_policy() -> None:
    assert policies(configured({"path": "a"}, source={"kind": "file", "root": "/x"})) == []
