"""Who reads from AWS: every way to credentials, their renewal, and several in one process."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time as machine
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.errors import LoginDenied, SourceUnavailable
from rotator.model.secret import SecretRef
from rotator.sources import open_source
from rotator.sources.aws_identity import open_session, secrets_manager, sts
from rotator.sources.aws_wire import Wire
from tests.support.aws import ACCOUNT, REGION, FakeAws, aws_running, refusal
from tests.support.aws_reading import USER, OpenReader, Time, shared_file, source_of
from tests.support.digest import digest
from tests.support.faulty import HTML, NOTHING, Reply, Trouble

pytest_plugins = ["tests.support.aws_fixtures"]
pytestmark = pytest.mark.filterwarnings(
    # botocore still asks for naive times in places.
    "ignore:datetime.datetime.utcnow:DeprecationWarning"
)

NAME = "flink/openai"
REF = SecretRef("aws", NAME)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/rotator"
ASSUMED = f"arn:aws:sts::{ACCOUNT}:assumed-role/rotator/"


@pytest.fixture(autouse=True)
def stored(aws: FakeAws) -> None:
    aws.secrets.put(NAME, '{"api_key": "x"}')


def readers_of(aws: FakeAws) -> list[str]:
    return [arn for _, arn in aws.asked]


# Every way


def test_keys_by_reference(
    aws: FakeAws, bare: OpenReader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = aws.sts.hand_out(USER, temporary=True)
    monkeypatch.setenv("ROTATOR_KEY_ID", key.id)
    (tmp_path / "secret").write_text(f"{key.secret}\n")
    (tmp_path / "token").write_text(key.token or "")
    keys = {
        "access_key_id": {"env": "ROTATOR_KEY_ID"},
        "secret_access_key": {"file": str(tmp_path / "secret")},
        "session_token": {"file": str(tmp_path / "token")},
    }
    assert bare(keys=keys).read(REF).fields == {"api_key": "x"}
    assert readers_of(aws) == [USER]


def test_a_profile(aws: FakeAws, bare: OpenReader, tmp_path: Path) -> None:
    key = aws.sts.hand_out(USER)
    (tmp_path / "credentials").write_text(shared_file(key.id, key.secret, "flink"))
    bare(profile="flink").read(REF)
    assert readers_of(aws) == [USER]
    with pytest.raises(LoginDenied, match="in the profile nobody"):
        bare(profile="nobody").read(REF)


def test_the_profile_wins_over_the_environment(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = aws.sts.hand_out("arn:aws:iam::123456789012:user/of-the-profile")
    (tmp_path / "credentials").write_text(shared_file(key.id, key.secret, "flink"))
    bare(profile="flink").read(REF)
    assert readers_of(aws) == [key.arn]


def test_a_role_is_assumed_with_external_id_and_session_name(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch
) -> None:
    aws.sts.roles[ROLE] = "flink"
    role = {"arn": ROLE, "external_id": "flink", "session_name": "rotator-of-flink"}
    reader = bare(assume_role=role)
    reader.read(REF)
    reader.read(REF)
    assert readers_of(aws) == [f"{ASSUMED}rotator-of-flink"] * 2
    (taken,) = aws.sts.assumed
    assert (taken.role, taken.session_name) == (ROLE, "rotator-of-flink")
    assert (taken.external_id, taken.by) == ("flink", USER)


def test_a_web_identity_by_configuration_reads_its_token_at_each_refresh(
    aws: FakeAws, bare: OpenReader, tmp_path: Path
) -> None:
    aws.sts.lifetime = timedelta(minutes=5)  # botocore refreshes what has less than ten
    aws.sts.web_tokens = {"first": ROLE, "second": ROLE}
    token = tmp_path / "token"
    token.write_text("first \n\n")
    reader = bare(web_identity={"role_arn": ROLE, "token_file": str(token)})
    reader.read(REF)
    token.write_text("second")
    reader.read(REF)
    used = [taken.by for taken in aws.sts.assumed]
    assert (used[0], used[-1]) == ("first", "second")
    assert set(readers_of(aws)) == {f"{ASSUMED}rotator"}


def test_a_role_on_top_of_a_web_identity(aws: FakeAws, bare: OpenReader, tmp_path: Path) -> None:
    other = f"arn:aws:iam::{ACCOUNT}:role/reader"
    aws.sts.web_tokens["token"] = ROLE
    aws.sts.roles[other] = None
    (tmp_path / "token").write_text("token")
    web = {"role_arn": ROLE, "token_file": str(tmp_path / "token"), "session_name": "pod"}
    bare(web_identity=web, assume_role={"arn": other}).read(REF)
    assert [(taken.role, taken.by) for taken in aws.sts.assumed] == [
        (ROLE, "token"),
        (other, f"{ASSUMED}pod"),
    ]


def test_irsa_by_the_environment(
    aws: FakeAws, bare: OpenReader, bare_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    aws.sts.web_tokens["token"] = ROLE
    (tmp_path / "token").write_text("token")
    bare_environment.setenv("AWS_ROLE_ARN", ROLE)
    bare_environment.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    bare_environment.setenv("AWS_ENDPOINT_URL_STS", aws.url)
    bare().read(REF)
    assert readers_of(aws)[0].startswith(ASSUMED)


def test_eks_pod_identity(
    aws: FakeAws, bare: OpenReader, bare_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    aws.sts.lifetime = timedelta(minutes=5)
    aws.pod_token = "first"
    token = tmp_path / "token"
    token.write_text("first")
    bare_environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/v1/credentials")
    bare_environment.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    reader = bare()
    reader.read(REF)
    aws.pod_token = "second"
    token.write_text("second")
    reader.read(REF)
    assert readers_of(aws) == [aws.pod_arn] * 2


def test_two_identities_in_one_process(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each source has its own, and the environment stays as it is."""
    first, second = aws.sts.hand_out(f"{USER}-1"), aws.sts.hand_out(f"{USER}-2")
    (tmp_path / "credentials").write_text(
        shared_file(first.id, first.secret, "first") + shared_file(second.id, second.secret, "two")
    )
    aws.sts.roles[ROLE] = None
    before = dict(os.environ)
    readers = [
        bare(profile="first"),
        bare(profile="two"),
        bare(profile="two", assume_role={"arn": ROLE}),
        bare(),
    ]
    for _ in range(2):
        for reader in readers:
            reader.read(REF)
    assert readers_of(aws) == [f"{USER}-1", f"{USER}-2", f"{ASSUMED}rotator", USER] * 2
    assert dict(os.environ) == before


def test_an_address_that_is_given_is_taken_as_it_is(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch
) -> None:
    """fips and dualstack are then of the other service only."""
    aws.sts.roles[ROLE] = None
    bare(assume_role={"arn": ROLE}, fips=True, dualstack=True).read(REF)
    assert readers_of(aws) == [f"{ASSUMED}rotator"]


def test_a_client_keeps_few_of_the_models_that_botocore_parses() -> None:
    """The addresses of all services are seven MiB of it."""
    script = """
import gc, time, tracemalloc
from rotator.sources.aws_identity import open_session, secrets_manager
from rotator.sources.aws_wire import Wire
from rotator.config.models import AwsSource
config = AwsSource.model_validate({"kind": "aws-secrets-manager", "region": "us-east-1"})
tracemalloc.start()
clients = []
for _ in range(3):
    clients.append(secrets_manager(open_session(config, Wire(10, time.monotonic)), config))
gc.collect()
print(tracemalloc.get_traced_memory()[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) < 4 * 1024 * 1024


# Credentials that have been replaced


def test_keys_that_expired_are_read_again(aws: FakeAws, bare: OpenReader, tmp_path: Path) -> None:
    """The shared file holds new keys by then."""
    old, new = aws.sts.hand_out(USER), aws.sts.hand_out(f"{USER}-new")
    file = tmp_path / "credentials"
    file.write_text(shared_file(old.id, old.secret))
    reader = bare()
    reader.read(REF)
    file.write_text(shared_file(new.id, new.secret))
    reader.read(REF)
    del aws.sts.keys[old.id]
    reader.read(REF)
    assert readers_of(aws) == [USER, USER, f"{USER}-new"]


def test_keys_by_reference_are_read_again(
    aws: FakeAws, bare: OpenReader, tmp_path: Path, time: Time
) -> None:
    """An id and a secret that don't belong together were read while they were replaced."""
    old, new = aws.sts.hand_out(USER), aws.sts.hand_out(f"{USER}-new")
    for name, text in {"id": new.id, "secret": old.secret}.items():
        (tmp_path / name).write_text(text)
    keys = {
        "access_key_id": {"file": str(tmp_path / "id")},
        "secret_access_key": {"file": str(tmp_path / "secret")},
    }
    reader = bare(keys=keys)
    with pytest.raises(LoginDenied, match="the signature is wrong; the secret access key under"):
        reader.read(REF)
    (tmp_path / "secret").write_text(new.secret)
    time.seconds += 11
    reader.read(REF)
    assert readers_of(aws) == [new.arn]


def test_how_often_refused_credentials_are_looked_for(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch, time: Time
) -> None:
    """Static keys of the environment have expired; the error says where they came from."""
    key = aws.sts.hand_out(USER, temporary=True)
    environment.setenv("AWS_ACCESS_KEY_ID", key.id)
    environment.setenv("AWS_SECRET_ACCESS_KEY", key.secret)
    environment.setenv("AWS_SESSION_TOKEN", key.token or "")
    reader = bare()
    reader.read(REF)
    aws.ahead = timedelta(minutes=2)
    key.expires = aws.sts.now() - timedelta(seconds=1)
    seen = len(aws.requests)
    for _ in range(5):
        with pytest.raises(LoginDenied, match="credentials in the environment have expired"):
            reader.read(REF)
    assert len(aws.requests) - seen == 2 + 4, "a second try with a new session, once"
    time.seconds += 11
    with pytest.raises(LoginDenied):
        reader.read(REF)
    assert len(aws.requests) - seen == 2 + 4 + 2
    key.expires = None
    assert reader.read(REF).fields == {"api_key": "x"}


@pytest.mark.parametrize("half", ["[default]\naws_access_key_id = {id}\n", "[default]\naws_acc"])
def test_a_file_of_credentials_that_is_half_written(
    aws: FakeAws, bare: OpenReader, tmp_path: Path, time: Time, half: str
) -> None:
    """It is read again a moment later."""
    key = aws.sts.hand_out(USER)
    file = tmp_path / "credentials"
    file.write_text(half.format(id=key.id))
    time.on_pause = lambda: file.write_text(shared_file(key.id, key.secret))
    assert bare().read(REF).fields == {"api_key": "x"}
    assert time.seconds < 1002


@pytest.mark.parametrize("half", ["[default]\naws_access_key_id = {id}\n", "[default]\naws_acc"])
def test_a_file_of_credentials_that_stays_half_written(
    aws: FakeAws, bare: OpenReader, tmp_path: Path, time: Time, half: str
) -> None:
    key = aws.sts.hand_out(USER)
    file = tmp_path / "credentials"
    file.write_text(half.format(id=key.id))
    reader = bare()
    with pytest.raises(LoginDenied, match="no usable AWS credentials"):
        reader.read(REF)
    file.write_text(shared_file(key.id, key.secret))
    time.seconds += 11
    assert reader.read(REF).fields == {"api_key": "x"}


def test_a_role_whose_keys_are_revoked_is_taken_again(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch
) -> None:
    aws.sts.roles[ROLE] = None
    reader = bare(assume_role={"arn": ROLE})
    reader.read(REF)
    for key in [key for key in aws.sts.keys if key.startswith("ASIA")]:
        del aws.sts.keys[key]
    reader.read(REF)
    assert len(aws.sts.assumed) == 2


def test_keys_that_a_role_is_assumed_with_are_read_again(
    aws: FakeAws, bare: OpenReader, tmp_path: Path, time: Time
) -> None:
    """Here STS refuses the keys, with other codes."""
    old, new = aws.sts.hand_out(USER), aws.sts.hand_out(f"{USER}-new")
    aws.sts.roles[ROLE] = None
    aws.sts.lifetime = timedelta(minutes=5)
    file = tmp_path / "credentials"
    file.write_text(shared_file(old.id, old.secret))
    reader = bare(assume_role={"arn": ROLE})
    reader.read(REF)
    del aws.sts.keys[old.id]
    with pytest.raises(LoginDenied, match="access key that the role is to be assumed with"):
        reader.read(REF)
    file.write_text(shared_file(new.id, new.secret))
    time.seconds += 11
    reader.read(REF)
    assert [taken.by for taken in aws.sts.assumed][-1] == new.arn


async def test_all_threads_share_one_new_session(
    aws: FakeAws, environment: pytest.MonkeyPatch
) -> None:
    """Eight reads are refused at once, and the role is assumed once more, not eight times."""
    aws.sts.roles[ROLE] = None
    refs = [SecretRef("aws", NAME, stage="AWSCURRENT", holder=str(n)) for n in range(8)]
    role = {"arn": ROLE}
    source = open_source("aws", source_of(aws.url, assume_role=role), lambda _: None, digest)
    for _ in range(2):
        answers = await asyncio.gather(*(source.read(ref) for ref in refs))
        assert all(secret.fields == {"api_key": "x"} for secret in answers)
        for key in [key for key in aws.sts.keys if key.startswith("ASIA")]:
            del aws.sts.keys[key]
    await source.aclose()
    assert len(aws.sts.assumed) == 2


# What goes wrong


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "secret_access_key: file .* does not exist"),
        ("", "is empty"),
        ("two words", "characters that none of AWS has"),
        ("line\nbreak", "characters that none of AWS has"),
        ("\x00", "is binary"),
    ],
)
def test_keys_that_can_t_be_had(
    bare: OpenReader, aws: FakeAws, tmp_path: Path, value: str | None, words: str
) -> None:
    (tmp_path / "id").write_text("AKIA")
    if value is not None:
        (tmp_path / "secret").write_text(value)
    keys = {
        "access_key_id": {"file": str(tmp_path / "id")},
        "secret_access_key": {"file": str(tmp_path / "secret")},
    }
    with pytest.raises(LoginDenied, match=words) as caught:
        bare(keys=keys).read(REF)
    assert str(caught.value).startswith(f"source aws, {NAME}: ")
    assert value is None or value == "" or value not in str(caught.value)
    assert not aws.requests


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ("AccessDenied", LoginDenied, rf"may not assume {ROLE}: the role must trust"),
        ("ExpiredTokenException", LoginDenied, "is its file still renewed"),
        ("InvalidIdentityToken", LoginDenied, "does not take the web identity token"),
        ("IDPCommunicationError", SourceUnavailable, "can't reach the identity provider"),
        ("PackedPolicyTooLarge", SourceUnavailable, "STS says PackedPolicyTooLarge"),
    ],
)
def test_web_identities_that_sts_refuses(
    aws: FakeAws,
    bare: OpenReader,
    tmp_path: Path,
    answer: str,
    error: type[Exception],
    words: str,
) -> None:
    aws.sts.web_tokens["canary-token"] = answer
    (tmp_path / "token").write_text("canary-token")
    web = {"role_arn": ROLE, "token_file": str(tmp_path / "token")}
    with pytest.raises(error, match=words) as caught:
        bare(web_identity=web).read(REF)
    assert "canary-token" not in str(caught.value)


def test_a_token_file_that_is_empty_or_gone(bare: OpenReader, tmp_path: Path) -> None:
    """The file is named, as the place to look at."""
    token = tmp_path / "token"
    web = {"role_arn": ROLE, "token_file": str(token)}
    with pytest.raises(LoginDenied, match=r"web_identity\.token_file: file .* does not exist"):
        bare(web_identity=web).read(REF)
    token.write_text("")
    with pytest.raises(LoginDenied, match=r"web_identity\.token_file: file .* is empty"):
        bare(web_identity=web).read(REF)


def test_a_role_that_is_refused(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch
) -> None:
    """The error is about the role, not about a secret."""
    aws.sts.roles[ROLE] = "flink"
    role = {"arn": ROLE, "external_id": "another"}
    with pytest.raises(LoginDenied, match=rf"may not assume {ROLE}: .*external_id"):
        bare(assume_role=role).read(REF)


@pytest.mark.parametrize("trouble", [HTML, NOTHING, Reply(503), Trouble.RESET, Trouble.TRUNCATED])
def test_an_sts_that_makes_no_sense(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch, trouble: Reply | Trouble
) -> None:
    with aws_running() as broken:
        broken.fail("*", trouble, times=None)
        reader = bare(sts_endpoint_url=broken.url, assume_role={"arn": ROLE})
        with pytest.raises(SourceUnavailable):
            reader.read(REF)
    assert not aws.requests


@pytest.mark.parametrize("trouble", [Trouble.HANG, Trouble.DRIP])
def test_an_sts_that_hangs_ends_within_the_deadline(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch, trouble: Trouble
) -> None:
    with aws_running() as broken:
        broken.fail("*", trouble, times=None)
        reader = bare(
            sts_endpoint_url=broken.url,
            assume_role={"arn": ROLE},
            timeout="300ms",
            monotonic=machine.monotonic,
        )
        started = machine.monotonic()
        with pytest.raises(SourceUnavailable, match="no answer"):
            reader.read(REF)
        assert machine.monotonic() - started < 5


@pytest.mark.parametrize("answer", [Reply(403, b"{}"), Reply(200, b"{}")])
def test_a_credentials_endpoint_that_has_none(
    bare: OpenReader, aws: FakeAws, bare_environment: pytest.MonkeyPatch, answer: Reply
) -> None:
    bare_environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/v1/credentials")
    aws.fail("GET *", answer, times=None)
    with pytest.raises(SourceUnavailable, match="can't be had now"):
        bare().read(REF)


def test_a_metadata_service_that_never_answers_delays_nobody_for_long(
    bare: OpenReader, aws: FakeAws, bare_environment: pytest.MonkeyPatch
) -> None:
    bare_environment.setenv("AWS_EC2_METADATA_DISABLED", "false")
    with aws_running() as metadata:
        metadata.fail("*", Trouble.HANG, times=None)
        bare_environment.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        reader = bare()
        started = machine.monotonic()
        for _ in range(3):
            with pytest.raises(LoginDenied, match="no usable AWS credentials"):
                reader.read(REF)
        assert machine.monotonic() - started < 5
        asked = len(metadata.requests)
    assert asked <= 2, "the second and third read did not ask again"


def test_a_clock_that_is_wrong(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch
) -> None:
    """The error names the clock, and no new session is made."""
    aws.ahead = timedelta(minutes=10)
    with pytest.raises(LoginDenied, match="the clock of this machine is wrong"):
        bare().read(REF)
    assert len(aws.requests) == 1
    aws.sts.roles[ROLE] = None
    with pytest.raises(LoginDenied, match="the clock of this machine is wrong"):
        bare(assume_role={"arn": ROLE}).read(REF)


def test_no_refusal_of_credentials_tells_them(
    aws: FakeAws,
    bare: OpenReader,
    environment: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    key = aws.sts.hand_out(USER)
    environment.setenv("AWS_ACCESS_KEY_ID", key.id)
    environment.setenv("AWS_SECRET_ACCESS_KEY", key.secret)
    for code in ("InvalidSignatureException", "UnrecognizedClientException"):
        aws.refuse("GetSecretValue", refusal(code, f"Credential={key.id} {key.secret}"), times=2)
        with pytest.raises(LoginDenied) as caught:
            bare().read(REF)
        said = f"{caught.value!s} {caught.value!r} {caught.value.__dict__} {caplog.text}"
        assert key.secret not in said


# Addresses


@pytest.mark.parametrize(
    ("options", "secrets", "tokens"),
    [
        ({}, f"secretsmanager.{REGION}.amazonaws.com", f"sts.{REGION}.amazonaws.com"),
        (
            {"fips": True},
            f"secretsmanager-fips.{REGION}.amazonaws.com",
            f"sts-fips.{REGION}.amazonaws.com",
        ),
        ({"dualstack": True}, f"secretsmanager.{REGION}.api.aws", f"sts.{REGION}.api.aws"),
        (
            {"fips": True, "dualstack": True},
            f"secretsmanager-fips.{REGION}.api.aws",
            f"sts-fips.{REGION}.api.aws",
        ),
        (
            {"fips": True, "endpoint_url": "https://vpce.example"},
            "vpce.example",
            f"sts-fips.{REGION}.amazonaws.com",
        ),
        (
            {"sts_endpoint_url": "https://sts.example"},
            f"secretsmanager.{REGION}.amazonaws.com",
            "sts.example",
        ),
    ],
)
def test_addresses(
    environment: pytest.MonkeyPatch, options: dict[str, object], secrets: str, tokens: str
) -> None:
    environment.setenv("AWS_STS_REGIONAL_ENDPOINTS", "legacy")
    config = source_of("https://none.example", **{"endpoint_url": None, **options})
    if "sts_endpoint_url" not in options:
        config = config.model_copy(update={"sts_endpoint_url": None})
    session = open_session(config, Wire(10, machine.monotonic))
    assert secrets_manager(session, config).meta.endpoint_url == f"https://{secrets}"
    assert sts(session, config).meta.endpoint_url == f"https://{tokens}"
