"""What `check --online` says of a source of AWS: who we are, what works, and what is missing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rotator.model.secret import SecretRef
from rotator.model.source import Finding
from rotator.sources import open_source
from rotator.sources.aws import AwsReader
from tests.support.aws import ACCOUNT, FakeAws, aws_running
from tests.support.aws_reading import USER, OpenReader, source_of
from tests.support.digest import digest
from tests.support.faulty import HTML, NOTHING, Reply, Trouble

pytest_plugins = ["tests.support.aws_fixtures"]
pytestmark = pytest.mark.filterwarnings(
    # botocore still asks for naive times in places.
    "ignore:datetime.datetime.utcnow:DeprecationWarning"
)

FIRST, SECOND = SecretRef("aws", "flink/first"), SecretRef("aws", "flink/second")
BOTH = [FIRST, SECOND]


@pytest.fixture(autouse=True)
def stored(aws: FakeAws) -> None:
    for ref in BOTH:
        aws.secrets.put(ref.path, "{}")


def problems(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.problem]


def test_all_is_well(reader: AwsReader) -> None:
    assert reader.examine(BOTH, [FIRST]) == (
        Finding(f"log in as {USER}"),
        Finding("read flink/first"),
        Finding("read flink/second"),
        Finding("read 2 secrets at once", required=False),
        Finding("describe flink/first", required=False),
    )


async def test_the_source_reports_it(aws: FakeAws, environment: pytest.MonkeyPatch) -> None:
    source = open_source("aws", source_of(aws.url), lambda _: None, digest)
    findings = await source.examine(BOTH, BOTH)
    await source.aclose()
    assert not problems(findings)
    assert len(findings) == 6


def test_permissions_that_lack(aws: FakeAws, reader: AwsReader) -> None:
    """Each is named, and only those that nothing can replace are required."""
    aws.secrets.denied |= {
        ("GetSecretValue", FIRST.path),
        ("BatchGetSecretValue", "*"),
        ("DescribeSecret", "*"),
    }
    aws.secrets.of(SECOND.path).kms = "denied"
    read, decrypt, together, describe = problems(reader.examine(BOTH, [SECOND]))
    assert (read.what, read.required) == ("read flink/first", True)
    assert "lacks secretsmanager:GetSecretValue" in read.problem
    assert (decrypt.what, decrypt.required) == ("decrypt flink/second (kms:Decrypt)", True)
    assert "lacks kms:Decrypt" in decrypt.problem
    assert (together.what, together.required) == ("read 2 secrets at once", False)
    assert "lacks secretsmanager:BatchGetSecretValue" in together.problem
    assert (describe.what, describe.required) == ("describe flink/second", False)
    assert "lacks secretsmanager:DescribeSecret" in describe.problem


def test_what_was_refused_before_is_tried_again(aws: FakeAws, reader: AwsReader) -> None:
    aws.secrets.denied.add(("BatchGetSecretValue", "*"))
    assert problems(reader.examine(BOTH, []))
    aws.secrets.denied.clear()
    findings = reader.examine(BOTH, [])
    assert Finding("read 2 secrets at once", required=False) in findings
    assert not problems(findings)


def test_one_secret_or_pinned_ones_need_no_batch(aws: FakeAws, reader: AwsReader) -> None:
    aws.secrets.denied.add(("BatchGetSecretValue", "*"))
    version = reader.read(FIRST).version
    pinned = SecretRef("aws", FIRST.path, version=version)
    assert not problems(reader.examine([FIRST], []))
    assert not problems(reader.examine([FIRST, pinned], []))
    assert "BatchGetSecretValue" not in aws.operations()


def test_secrets_that_are_not_there(aws: FakeAws, reader: AwsReader) -> None:
    """Whatever else can be found out is still said."""
    aws.secrets.delete(FIRST.path)
    read, describe = problems(reader.examine(BOTH, BOTH))
    assert (read.what, describe.what) == ("read flink/first", "describe flink/first")
    for finding in (read, describe):
        assert "marked for deletion" in finding.problem
        assert finding.required


def test_a_rotation_that_is_stuck_is_a_finding(aws: FakeAws, reader: AwsReader) -> None:
    aws.secrets.of(FIRST.path).described = {"RotationEnabled": True, "NextRotationDate": 1.0}
    (finding,) = problems(reader.examine([FIRST], [FIRST]))
    assert "overdue since 1970-01-01" in finding.problem
    assert not finding.required


def test_no_login_is_one_finding(aws: FakeAws, bare: OpenReader) -> None:
    (finding,) = bare().examine(BOTH, BOTH)
    assert (finding.what, finding.required) == ("log in", True)
    assert "no usable AWS credentials" in finding.problem
    assert not aws.requests


def test_a_role_that_is_refused_is_one_finding(
    bare: OpenReader, environment: pytest.MonkeyPatch
) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/rotator"
    (finding,) = bare(assume_role={"arn": role}).examine(BOTH, [])
    assert f"may not assume {role}" in finding.problem


def test_keys_that_expired_are_one_finding(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch
) -> None:
    """STS has other codes for it than Secrets Manager."""
    for key in aws.sts.keys.values():
        key.expires = aws.sts.now() - timedelta(seconds=1)
    (finding,) = bare().examine(BOTH, [])
    assert "in the environment have expired" in finding.problem
    aws.sts.keys.clear()
    (finding,) = bare().examine(BOTH, [])
    assert "does not know the access key in the environment" in finding.problem
    aws.ahead = timedelta(hours=1)
    (finding,) = bare().examine(BOTH, [])
    assert finding.required


@pytest.mark.parametrize("trouble", [Trouble.RESET, HTML, NOTHING, Reply(403, b"<html>")])
def test_an_sts_that_can_t_be_reached_is_no_error(
    bare: OpenReader, environment: pytest.MonkeyPatch, trouble: Reply | Trouble
) -> None:
    """A VPC may have an endpoint for Secrets Manager, and none for STS."""
    with aws_running() as broken:
        broken.fail("*", trouble, times=None)
        who, *others = bare(sts_endpoint_url=broken.url).examine(BOTH, BOTH)
    assert who.problem
    assert not who.required
    assert len(others) == 5
    assert not problems(tuple(others))
