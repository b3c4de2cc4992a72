"""AWS Secrets Manager: moto's server for the straight path, a fake for what goes wrong."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rotator.config.models import AwsSource
from rotator.errors import (
    SecretInvalid,
    SecretMissing,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from rotator.model import SecretRef
from rotator.sources import open_source
from rotator.sources.threads import ThreadedSource
from tests.support.aws import aws_that_fails, moto_running

pytestmark = pytest.mark.filterwarnings(
    # botocore and moto still ask for naive times in places.
    "ignore:datetime.datetime.utcnow:DeprecationWarning"
)

CANARY = "canary-value-of-a-secret"
REF = SecretRef("aws", "flink/openai")

Open = Callable[..., ThreadedSource]


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[Any, str]]:
    with moto_running() as running:
        yield running


@pytest.fixture
def client(moto: tuple[Any, str]) -> Iterator[Any]:
    client, _ = moto
    yield client
    for secret in client.list_secrets()["SecretList"]:
        client.delete_secret(SecretId=secret["Name"], ForceDeleteWithoutRecovery=True)


@pytest.fixture
def source(moto: tuple[Any, str], monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-aws-key")

    def make(url: str = moto[1], **options: Any) -> ThreadedSource:
        document = {
            "kind": "aws-secrets-manager",
            "region": "us-east-1",
            "endpoint_url": url,
            **options,
        }
        return open_source("aws", AwsSource.model_validate(document), lambda _: None)

    return make


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.__dict__)


async def test_read_and_probe_agree(client: Any, source: Open) -> None:
    client.create_secret(Name="flink/openai", SecretString=json.dumps({"api_key": CANARY}))
    opened = source()
    secret = await opened.read(REF)
    assert secret.fields == {"api_key": CANARY}
    assert await opened.probe(REF) == secret.version
    client.put_secret_value(SecretId="flink/openai", SecretString='{"api_key": "other"}')
    assert (await opened.read(REF)).fields == {"api_key": "other"}
    assert await opened.probe(REF) != secret.version
    await opened.aclose()


async def test_numbers_stay_numbers_and_plain_text_is_one_field(client: Any, source: Open) -> None:
    client.create_secret(Name="flink/openai", SecretString='{"port": 7, "pin": "00123"}')
    assert (await source().read(REF)).fields == {"port": 7, "pin": "00123"}
    client.put_secret_value(SecretId="flink/openai", SecretString="00123")
    assert (await source().read(REF)).fields == {"value": "00123"}


async def test_a_role_is_assumed(client: Any, source: Open, monkeypatch: pytest.MonkeyPatch,
                                 moto: tuple[Any, str]) -> None:  # fmt: skip
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto[1])
    client.create_secret(Name="flink/openai", SecretString='{"api_key": "x"}')
    role = {"arn": "arn:aws:iam::123456789012:role/rotator", "external_id": "flink"}
    assert (await source(assume_role=role).read(REF)).fields == {"api_key": "x"}


async def test_binary_missing_and_deleted(client: Any, source: Open) -> None:
    with pytest.raises(SecretMissing, match="no such secret"):
        await source().read(REF)
    client.create_secret(Name="flink/openai", SecretBinary=b"\x00\x01")
    with pytest.raises(SecretInvalid, match="binary"):
        await source().read(REF)
    client.delete_secret(SecretId="flink/openai")
    with pytest.raises(SecretMissing, match="deletion"):
        await source().probe(REF)
    with pytest.raises(SecretMissing):
        await source().read(REF)
    client.restore_secret(SecretId="flink/openai")


@pytest.mark.parametrize(
    "text",
    ['{"api_key": "' + CANARY, '{"api_key": "' + CANARY + '", "api_key": "2"}'],
    ids=["truncated", "twice"],
)
async def test_json_that_is_none_is_not_repeated(client: Any, source: Open, text: str) -> None:
    client.create_secret(Name="flink/openai", SecretString=text)
    with pytest.raises(SecretInvalid) as caught:
        await source().read(REF)
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        ("AccessDeniedException", 400, SourceDenied, "GetSecretValue"),
        ("DecryptionFailure", 400, SourceDenied, "kms:Decrypt"),
        ("ExpiredTokenException", 400, SourceDenied, "expired"),
        ("UnrecognizedClientException", 400, SourceDenied, "access key"),
        ("ThrottlingException", 400, SourceUnavailable, "Throttling"),
        ("InternalServiceError", 500, SourceUnavailable, "InternalServiceError"),
        ("InternalServiceError", 400, SourceUnavailable, "InternalServiceError"),
        ("SomethingNew", 400, SourceUnavailable, "SomethingNew"),
    ],
)
async def test_errors_by_their_code(
    source: Open,
    code: str,
    status: int,
    kind: type[SourceError],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    failing = aws_that_fails(code, f"Credential={CANARY}", status)
    with failing as url, pytest.raises(kind, match=words) as caught:
        await source(url).read(REF)
    for value in (CANARY, "canary-aws-key"):
        assert value not in told(caught.value) + caplog.text


async def test_nobody_there_and_no_credentials(
    source: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    with pytest.raises(SourceUnavailable, match="no answer"):
        await source("http://127.0.0.1:9", timeout="1s").read(REF)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SourceDenied, match="no AWS credentials"):
        await source().read(REF)
