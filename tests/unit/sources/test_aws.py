"""AWS Secrets Manager: moto's server for the straight path, a fake for what goes wrong."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic as clock
from typing import Any

import pytest

from rotator.config.models import LogConfig
from rotator.errors import (
    LoginDenied,
    PolicyDenied,
    SecretDeleted,
    SecretInvalid,
    SecretMissing,
    SourceError,
    SourceUnavailable,
)
from rotator.model.events import Event, SourceRead
from rotator.model.secret import SecretRef
from rotator.observe import log
from rotator.sources import open_source
from rotator.sources.aws import AwsReader
from rotator.sources.threads import ThreadedSource
from tests.support.aws import REGION, FakeAws, moto_running, refusal, result
from tests.support.aws_reading import OpenReader, source_of
from tests.support.aws_secrets import GONE, NO_SECRET, NO_VALUE
from tests.support.digest import digest
from tests.support.faulty import HTML, NOTHING, Reply, Trouble

pytest_plugins = ["tests.support.aws_fixtures"]
pytestmark = pytest.mark.filterwarnings(
    # botocore and moto still ask for naive times in places.
    "ignore:datetime.datetime.utcnow:DeprecationWarning"
)

CANARY = "canary-value-of-a-secret"
NAME = "flink/openai"
REF = SecretRef("aws", NAME)
READ = {"ARN": "arn", "Name": NAME, "VersionId": "v1", "VersionStages": ["AWSCURRENT"]}

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
async def source(aws: FakeAws, environment: pytest.MonkeyPatch) -> Any:
    opened: list[ThreadedSource] = []

    def make(
        url: str = aws.url, observe: Callable[[Event], None] = lambda _: None, **options: Any
    ) -> ThreadedSource:
        opened.append(open_source("aws", source_of(url, **options), observe, digest))
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
    client.create_secret(Name=NAME, SecretString=json.dumps({"api_key": CANARY}))
    events: list[Event] = []
    opened = real(observe=events.append)
    secret = await opened.read(REF)
    assert secret.fields == {"api_key": CANARY}
    assert (await opened.probe(REF)).version == secret.version
    client.put_secret_value(SecretId=NAME, SecretString='{"api_key": "other"}')
    assert (await opened.read(REF)).fields == {"api_key": "other"}
    assert (await opened.probe(REF)).version != secret.version
    assert CANARY not in repr(secret)
    assert [(e.operation, e.result) for e in events if isinstance(e, SourceRead)] == [
        ("read", "ok"),
        ("probe", "ok"),
        ("read", "ok"),
        ("probe", "ok"),
    ]


async def test_moto_agrees_on_many_at_once(client: Any, real: Open) -> None:
    refs = [SecretRef("aws", f"flink/{number}") for number in range(3)]
    for ref in refs:
        client.create_secret(Name=ref.path, SecretString=json.dumps({"name": ref.path}))
    missing = SecretRef("aws", "flink/none")
    answers = await real().read_all([*refs, missing])
    assert isinstance(answers[missing], SecretMissing)
    for ref in refs:
        secret = answers[ref]
        assert not isinstance(secret, SourceError)
        assert secret.fields == {"name": ref.path}
        assert secret.version == (await real().probe(ref)).version


async def test_moto_agrees_on_deletion(client: Any, real: Open) -> None:
    opened = real()
    for ask in (opened.read, opened.probe):
        with pytest.raises(SecretMissing, match=f"no such secret in {REGION}"):
            await ask(REF)
    client.create_secret(Name=NAME, SecretString="{}")
    client.delete_secret(SecretId=NAME)
    for ask in (opened.read, opened.probe):
        with pytest.raises(SecretDeleted, match="marked for deletion"):
            await ask(REF)
    client.restore_secret(SecretId=NAME)
    assert (await opened.probe(REF)).version == (await opened.read(REF)).version


async def test_moto_agrees_on_stages_and_versions(client: Any, real: Open) -> None:
    first = client.create_secret(Name=NAME, SecretString='{"a": "1"}')["VersionId"]
    second = client.put_secret_value(SecretId=NAME, SecretString='{"a": "2"}')["VersionId"]
    opened = real()
    previous = await opened.read(replace(REF, stage="AWSPREVIOUS"))
    assert (previous.version, previous.fields) == (first, {"a": "1"})
    assert (await opened.read(replace(REF, version=first))).fields == {"a": "1"}
    client.update_secret_version_stage(
        SecretId=NAME,
        VersionStage="AWSCURRENT",
        MoveToVersionId=first,
        RemoveFromVersionId=second,
    )
    assert (await opened.probe(REF)).version == (await opened.read(REF)).version == first


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ('{"port": 7, "pin": "00123"}', {"port": 7, "pin": "00123"}),
        ('  {"a": "b"}\n', {"a": "b"}),
        ('{"a": {"b": [1, null]}}', {"a": {"b": [1, None]}}),
        ("00123", {"value": "00123"}),
        ("plain text\n", {"value": "plain text\n"}),
        ('["a"]', {"value": '["a"]'}),
        ('"quoted"', {"value": '"quoted"'}),
        ("x" * 65536, {"value": "x" * 65536}),
        (b'{"a": "\xc3\xa9"}', {"a": "é"}),
        ("Schlüssel".encode(), {"value": "Schlüssel"}),
        (b"\xff\x00\x01", {"base64": "/wAB"}),
    ],
)
def test_objects_have_fields_and_any_other_text_is_one(
    aws: FakeAws, reader: AwsReader, value: str | bytes, fields: dict[str, object]
) -> None:
    """Binary is text where it is UTF-8, and else the one field `base64`."""
    aws.secrets.put(NAME, value)
    assert reader.read(REF).fields == fields


@pytest.mark.parametrize("path", ["with space", "with?and#", "schön", "/lead", "a//b", "-x-aBc123"])
def test_names_are_asked_for_as_they_are(aws: FakeAws, reader: AwsReader, path: str) -> None:
    """A name is in the body here, and nothing of it is an address."""
    aws.secrets.put(path, '{"a": "b"}')
    ref = SecretRef("aws", path)
    assert reader.read(ref).fields == {"a": "b"}
    assert reader.probe(ref).version == reader.read(ref).version


def test_a_secret_by_its_arn_whole_and_partial(aws: FakeAws, reader: AwsReader) -> None:
    aws.secrets.put(NAME, '{"a": "b"}')
    whole = aws.secrets.of(NAME).arn
    for path in (whole, whole[:-7]):
        assert reader.read(SecretRef("aws", path)).fields == {"a": "b"}


# What goes wrong


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:flink/openai-AbCdEf",
            f"it is in eu-west-1, but this source asks {REGION}",
        ),
        ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:flink/openai", "region eu-west-1"),
        ("arn:aws:s3:::flink", "not the ARN of a secret"),
        ("", "not a name or ARN"),
    ],
)
def test_a_path_that_this_source_can_t_know(
    aws: FakeAws, reader: AwsReader, path: str, words: str
) -> None:
    """A wrong region is an error before anything is sent."""
    ref = SecretRef("aws", path)
    for ask in (reader.read, reader.probe):
        with pytest.raises(SecretInvalid, match=words):
            ask(ref)
    (error,) = reader.read_group((ref,)).values()
    assert isinstance(error, SecretInvalid)
    assert not aws.requests


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (refusal("AccessDeniedException", CANARY), PolicyDenied, "secretsmanager:GetSecretValue"),
        (
            refusal("AccessDeniedException", f"with an explicit deny in {CANARY}"),
            PolicyDenied,
            "a policy denies it explicitly",
        ),
        (
            refusal("AccessDeniedException", f"Access to KMS is not allowed {CANARY}"),
            PolicyDenied,
            "lacks kms:Decrypt",
        ),
        (refusal("DecryptionFailure", CANARY), PolicyDenied, "is the key enabled"),
        (refusal("ExpiredTokenException", CANARY), LoginDenied, "expired"),
        (refusal("UnrecognizedClientException", CANARY), LoginDenied, "access key"),
        (refusal("InvalidSignatureException", CANARY), LoginDenied, "signature"),
        (
            refusal("InvalidSignatureException", f"Signature not yet current: {CANARY}"),
            LoginDenied,
            "the clock of this machine",
        ),
        (refusal("RequestExpired", CANARY), LoginDenied, "the clock of this machine"),
        (refusal("OptInRequired", CANARY), LoginDenied, "not signed up"),
        (refusal("ResourceNotFoundException", NO_SECRET), SecretMissing, "no such secret"),
        (refusal("ResourceNotFoundException", NO_VALUE), SecretMissing, "has no value"),
        (refusal("InvalidRequestException", GONE), SecretDeleted, "marked for deletion"),
        (refusal("InvalidRequestException", CANARY), SecretInvalid, "does not take this name"),
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
        (result({**READ, "VersionId": None}), SourceUnavailable, "tells no version"),
        (result(READ), SecretMissing, "has no value"),
        (result({**READ, "SecretString": '{"a": "' + CANARY}), SecretInvalid, "column 7"),
        (
            result({**READ, "SecretString": f'{{"a": "{CANARY}", "a": "2"}}'}),
            SecretInvalid,
            "a field twice",
        ),
        (Reply(200, b" " * (17 * 1024 * 1024)), SourceUnavailable, "more than 16 MiB"),
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
    """Each class of error has its own type and its own remedy."""
    caplog.set_level(logging.WARNING)
    aws.secrets.put(NAME, f'{{"a": "{CANARY}"}}')
    aws.fail("*", reply, times=None)
    timeout = "300ms" if reply in (Trouble.HANG, Trouble.DRIP) else "10s"
    with pytest.raises(kind, match=words) as caught:
        await source(timeout=timeout).read(REF)
    assert str(caught.value).startswith(f"source aws, {NAME}: ")
    for value in (CANARY, "secret-of-"):
        assert value not in told(caught.value) + caplog.text


@pytest.mark.parametrize("trouble", [Trouble.HANG, Trouble.DRIP])
def test_the_thread_of_a_hanging_call_ends_soon_after_its_caller(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch, trouble: Trouble
) -> None:
    """botocore alone would wait for as long as bytes come."""
    aws.secrets.put(NAME, json.dumps({"a": "x" * 2000}))
    aws.fail("*", trouble, times=None)
    reader = bare(timeout="300ms", monotonic=clock)
    started = clock()
    with pytest.raises(SourceUnavailable, match="no answer of AWS"):
        reader.read(REF)
    assert clock() - started < 3, "what 2000 bytes would take is 100 s"


@pytest.mark.parametrize(
    "hiccup",
    [
        refusal("ThrottlingException"),
        refusal("InternalServiceError", status=500),
        Reply(503),
        Trouble.RESET,
        Trouble.TRUNCATED,
    ],
)
def test_a_hiccup_is_got_over(aws: FakeAws, reader: AwsReader, hiccup: Reply | Trouble) -> None:
    """One failure of a kind that passes is not seen outside."""
    aws.secrets.put(NAME, '{"a": "b"}')
    aws.fail("*", hiccup)
    assert reader.read(REF).fields == {"a": "b"}
    assert len(aws.requests) == 2


def test_throttling_ends_after_three_attempts(aws: FakeAws, reader: AwsReader) -> None:
    """If it is still throttled then, the next run tries again."""
    aws.fail("*", refusal("ThrottlingException"), times=None)
    with pytest.raises(SourceUnavailable, match="ThrottlingException"):
        reader.read(REF)
    assert len(aws.requests) == 3


async def test_nobody_there(source: Open) -> None:
    with pytest.raises(SourceUnavailable, match="no answer of AWS"):
        await source("http://127.0.0.1:9", timeout="5s").read(REF)


def test_no_credentials_anywhere(aws: FakeAws, bare: OpenReader) -> None:
    role = {"arn": "arn:aws:iam::123456789012:role/rotator"}
    for options in ({}, {"assume_role": role}):
        with pytest.raises(LoginDenied, match="no usable AWS credentials"):
            bare(**options).read(REF)
    assert not aws.requests


async def test_no_level_of_our_log_makes_botocore_tell(
    source: Open, aws: FakeAws, capsys: pytest.CaptureFixture[str]
) -> None:
    """At DEBUG, botocore writes whole answers."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log.configure(LogConfig(level="debug"))
    try:
        aws.secrets.put(NAME, f'{{"a": "{CANARY}"}}')
        assert (await source().read(REF)).fields == {"a": CANARY}
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)
    captured = capsys.readouterr()
    assert CANARY not in captured.out + captured.err
