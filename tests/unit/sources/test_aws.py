"""AWS Secrets Manager: moto's server for the straight path, a fake for what goes wrong."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.config.models import AwsSource, LogConfig
from rotator.errors import (
    SecretInvalid,
    SecretMissing,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from rotator.model import Event, SecretRef, SourceRead
from rotator.observe import log
from rotator.sources import open_source
from rotator.sources.threads import ThreadedSource
from tests.support.aws import REGION, FakeAws, aws_running, moto_running, refusal, result
from tests.support.digest import digest
from tests.support.faulty import HTML, NOTHING, Reply, Trouble

pytestmark = pytest.mark.filterwarnings(
    # botocore and moto still ask for naive times in places.
    "ignore:datetime.datetime.utcnow:DeprecationWarning"
)

CANARY = "canary-value-of-a-secret"
KEY = "canary-aws-secret-key"
REF = SecretRef("aws", "flink/openai")
READ = {"ARN": "arn", "Name": REF.path, "VersionId": "v1", "VersionStages": ["AWSCURRENT"]}

Open = Callable[..., ThreadedSource]


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[Any, str]]:
    with moto_running() as running:
        yield running


@pytest.fixture
def client(moto: tuple[Any, str]) -> Iterator[Any]:
    client, _ = moto
    yield client
    for secret in client.list_secrets(IncludePlannedDeletion=True)["SecretList"]:
        client.delete_secret(SecretId=secret["Name"], ForceDeleteWithoutRecovery=True)


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with aws_running() as aws:
        yield aws


@pytest.fixture
async def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    opened: list[ThreadedSource] = []

    def make(
        url: str, observe: Callable[[Event], None] = lambda _: None, **options: Any
    ) -> ThreadedSource:
        document = {
            "kind": "aws-secrets-manager",
            "region": REGION,
            "endpoint_url": url,
            **options,
        }
        opened.append(open_source("aws", AwsSource.model_validate(document), observe, digest))
        return opened[-1]

    yield make
    for source in opened:
        await source.aclose()


@pytest.fixture
def real(source: Open, moto: tuple[Any, str]) -> Open:
    """Sources that read from moto."""
    return lambda **options: source(moto[1], **options)


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.__dict__)


# The straight path


async def test_read_and_probe_agree(client: Any, real: Open) -> None:
    client.create_secret(Name="flink/openai", SecretString=json.dumps({"api_key": CANARY}))
    events: list[Event] = []
    opened = real(observe=events.append)
    secret = await opened.read(REF)
    assert secret.fields == {"api_key": CANARY}
    assert (await opened.probe(REF)).version == secret.version
    client.put_secret_value(SecretId="flink/openai", SecretString='{"api_key": "other"}')
    assert (await opened.read(REF)).fields == {"api_key": "other"}
    assert (await opened.probe(REF)).version != secret.version
    assert CANARY not in repr(secret)
    assert [(e.operation, e.result) for e in events if isinstance(e, SourceRead)] == [
        ("read", "ok"),
        ("probe", "ok"),
        ("read", "ok"),
        ("probe", "ok"),
    ]


async def test_only_the_current_version_counts(client: Any, real: Open) -> None:
    created = client.create_secret(Name="flink/openai", SecretString='{"a": "current"}')
    opened = real()
    client.put_secret_value(
        SecretId="flink/openai", SecretString='{"a": "pending"}', VersionStages=["AWSPENDING"]
    )
    assert (await opened.probe(REF)).version == created["VersionId"]
    assert (await opened.read(REF)).fields == {"a": "current"}
    client.tag_resource(SecretId="flink/openai", Tags=[{"Key": "a", "Value": "b"}])
    assert (await opened.probe(REF)).version == created["VersionId"], (
        "another tag is no other version"
    )


async def test_a_label_that_moves_back_is_seen(client: Any, real: Open) -> None:
    first = client.create_secret(Name="flink/openai", SecretString='{"a": "1"}')["VersionId"]
    second = client.put_secret_value(SecretId="flink/openai", SecretString='{"a": "2"}')
    client.update_secret_version_stage(
        SecretId="flink/openai",
        VersionStage="AWSCURRENT",
        MoveToVersionId=first,
        RemoveFromVersionId=second["VersionId"],
    )
    opened = real()
    assert (await opened.probe(REF)).version == first
    secret = await opened.read(REF)
    assert (secret.version, secret.fields) == (first, {"a": "1"})


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('{"port": 7, "pin": "00123"}', {"port": 7, "pin": "00123"}),
        ('  {"a": "b"}\n', {"a": "b"}),
        ("00123", {"value": "00123"}),
        ("plain text\n", {"value": "plain text\n"}),
        ('["a"]', {"value": '["a"]'}),
        ('"quoted"', {"value": '"quoted"'}),
    ],
)
async def test_objects_have_fields_and_any_other_text_is_one(
    client: Any, real: Open, text: str, fields: dict[str, object]
) -> None:
    client.create_secret(Name="flink/openai", SecretString=text)
    assert (await real().read(REF)).fields == fields


async def test_a_role_is_assumed(
    client: Any, source: Open, aws: FakeAws, moto: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto[1])
    aws.answers["GetSecretValue"] = result({**READ, "SecretString": '{"api_key": "x"}'})
    role = {"arn": "arn:aws:iam::123456789012:role/rotator", "external_id": "flink"}
    opened = source(aws.url, assume_role=role)
    assert (await opened.read(REF)).fields == {"api_key": "x"}
    (request,) = aws.requests
    assert "Credential=ASIA" in request.headers["authorization"], "a temporary key, of the role"
    assert "x-amz-security-token" in request.headers


async def test_a_role_that_is_refused_is_named(
    source: Open, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = "<Error><Code>AccessDenied</Code><Message>x</Message></Error>"
    denied = f"<ErrorResponse>{error}</ErrorResponse>"
    with aws_running() as sts:
        sts.fail("*", Reply(403, denied.encode(), {"Content-Type": "text/xml"}), times=None)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        role = {"arn": "arn:aws:iam::123456789012:role/rotator"}
        with pytest.raises(SourceDenied, match=r"may not assume arn:aws:iam::.*\(AccessDenied\)"):
            await source(aws.url, assume_role=role).read(REF)


async def test_new_credentials_are_found_where_the_old_have_expired(
    source: Open, aws: FakeAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    keys = "[default]\naws_access_key_id = {}\naws_secret_access_key = x\n"
    (tmp_path / "credentials").write_text(keys.format("FIRST"))
    aws.answers["GetSecretValue"] = result({**READ, "SecretString": "{}"})
    opened = source(aws.url)
    await opened.read(REF)
    (tmp_path / "credentials").write_text(keys.format("SECOND"))
    aws.fail("*", refusal("ExpiredTokenException"))
    await opened.read(REF)
    used = [seen.headers["authorization"].split("/")[0].split("=")[1] for seen in aws.requests]
    assert used == ["FIRST", "FIRST", "SECOND"]


# What goes wrong


async def test_missing_and_deleted(client: Any, real: Open) -> None:
    opened = real()
    for ask in (opened.read, opened.probe):
        with pytest.raises(SecretMissing, match=f"no such secret in {REGION}"):
            await ask(REF)
    client.create_secret(Name="flink/openai", SecretString="{}")
    client.delete_secret(SecretId="flink/openai")
    for ask in (opened.read, opened.probe):
        with pytest.raises(SecretMissing, match="marked for deletion"):
            await ask(REF)
    client.restore_secret(SecretId="flink/openai")
    assert (await opened.probe(REF)).version == (await opened.read(REF)).version


async def test_a_secret_without_a_value(client: Any, real: Open) -> None:
    client.create_secret(Name="flink/openai")
    for ask in (real().read, real().probe):
        with pytest.raises(SecretMissing):
            await ask(REF)


GONE = "You can't perform this operation on the secret because it was marked for deletion."
NO_VALUE = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"
NO_SECRET = "Secrets Manager can't find the specified secret."


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (refusal("AccessDeniedException", CANARY), SourceDenied, "GetSecretValue"),
        (refusal("DecryptionFailure", CANARY), SourceDenied, "kms:Decrypt"),
        (refusal("ExpiredTokenException", CANARY), SourceDenied, "expired"),
        (refusal("UnrecognizedClientException", CANARY), SourceDenied, "access key"),
        (refusal("InvalidSignatureException", CANARY), SourceDenied, "signature"),
        (refusal("ResourceNotFoundException", NO_SECRET), SecretMissing, "no such secret"),
        (refusal("ResourceNotFoundException", NO_VALUE), SecretMissing, "has no value"),
        (refusal("InvalidRequestException", GONE), SecretMissing, "marked for deletion"),
        (refusal("InvalidParameterException", CANARY), SecretInvalid, "does not take this name"),
        (refusal("ThrottlingException", CANARY), SourceUnavailable, "ThrottlingException"),
        (refusal("InternalServiceError", CANARY, 500), SourceUnavailable, "InternalServiceError"),
        (refusal("InternalServiceError", CANARY), SourceUnavailable, "InternalServiceError"),
        (refusal("SomethingNew", CANARY), SourceUnavailable, "SomethingNew"),
        (refusal(f"odd code {CANARY}"), SourceUnavailable, "an unknown error"),
        (Reply(503, f"<html>{CANARY}".encode()), SourceUnavailable, "503"),
        (HTML, SourceUnavailable, "is endpoint_url right"),
        (NOTHING, SourceUnavailable, "is endpoint_url right"),
        (Reply(200, b"[1]"), SourceUnavailable, "is endpoint_url right"),
        (Reply(200, b'"' + CANARY.encode() + b'"'), SourceUnavailable, "is endpoint_url right"),
        (Reply(200, b'{"SecretString": "' + CANARY.encode()), SourceUnavailable, "endpoint_url"),
        (result({**READ, "CreatedDate": CANARY}), SourceUnavailable, "endpoint_url"),
        (result(READ), SecretMissing, "has no value"),
        (result({**READ, "SecretString": '{"a": "' + CANARY}), SecretInvalid, "column 7"),
        (
            result({**READ, "SecretString": f'{{"a": "{CANARY}", "a": "2"}}'}),
            SecretInvalid,
            "a field twice",
        ),
        (Trouble.RESET, SourceUnavailable, "no answer of AWS"),
        (Trouble.RESET_AFTER, SourceUnavailable, "no answer of AWS"),
        (Trouble.TRUNCATED, SourceUnavailable, "no answer of AWS"),
        (Trouble.HANG, SourceUnavailable, "no answer"),
        (Trouble.DRIP, SourceUnavailable, "no answer"),
    ],
)
async def test_what_goes_wrong_is_named_and_holds_no_value(
    source: Open,
    aws: FakeAws,
    reply: Reply | Trouble,
    kind: type[SourceError],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    aws.answers["GetSecretValue"] = result({**READ, "SecretString": f'{{"a": "{CANARY}"}}'})
    aws.fail("*", reply, times=None)
    timeout = "300ms" if reply in (Trouble.HANG, Trouble.DRIP) else "10s"
    with pytest.raises(kind, match=words) as caught:
        await source(aws.url, timeout=timeout).read(REF)
    assert str(caught.value).startswith("source aws, flink/openai: ")
    for value in (CANARY, KEY):
        assert value not in told(caught.value) + caplog.text


async def test_a_hiccup_is_got_over(source: Open, aws: FakeAws) -> None:
    aws.answers["GetSecretValue"] = result({**READ, "SecretString": "{}"})
    aws.fail("*", refusal("ThrottlingException"))
    aws.fail("*", Trouble.RESET)
    assert (await source(aws.url).read(REF)).version == "v1"


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({"ARN": "a", "VersionIdsToStages": {"v1": ["AWSPREVIOUS"]}}, SecretMissing, "AWSCURRENT"),
        ({"ARN": "a"}, SecretMissing, "AWSCURRENT"),
        ({"ARN": "a", "DeletedDate": 1795209696}, SecretMissing, "marked for deletion"),
        ({}, SourceUnavailable, "is endpoint_url right"),
    ],
)
async def test_probes_that_find_no_version(
    source: Open, aws: FakeAws, body: dict[str, Any], kind: type[SourceError], words: str
) -> None:
    aws.answers["DescribeSecret"] = result(body)
    with pytest.raises(kind, match=words):
        await source(aws.url).probe(REF)


async def test_nobody_there_and_no_credentials(
    source: Open, aws: FakeAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SourceUnavailable, match="no answer of AWS"):
        await source("http://127.0.0.1:9", timeout="5s").read(REF)
    with pytest.raises(SecretInvalid, match="not a name or ARN"):
        await source(aws.url).read(SecretRef("aws", ""))

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    role = {"arn": "arn:aws:iam::123456789012:role/rotator"}
    for options in ({}, {"assume_role": role}):
        with pytest.raises(SourceDenied, match="no usable AWS credentials"):
            await source(aws.url, **options).read(REF)
    (tmp_path / "credentials").write_text(f"[default]\naws_secret_access_key = {KEY}\n[broken")
    with pytest.raises(SourceDenied, match="no usable AWS credentials") as caught:
        await source(aws.url).read(REF)
    assert KEY not in told(caught.value)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(SourceDenied, match="no usable AWS credentials"):
        await source(aws.url).read(REF)
    assert not aws.requests


async def test_no_level_of_our_log_makes_botocore_tell(
    source: Open, aws: FakeAws, capsys: pytest.CaptureFixture[str]
) -> None:
    """At DEBUG, botocore writes whole answers."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log.configure(LogConfig(level="debug"))
    try:
        aws.answers["GetSecretValue"] = result({**READ, "SecretString": f'{{"a": "{CANARY}"}}'})
        assert (await source(aws.url).read(REF)).fields == {"a": CANARY}
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)
    captured = capsys.readouterr()
    assert CANARY not in captured.out + captured.err
