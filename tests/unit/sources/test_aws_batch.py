"""Many secrets of AWS at once: chunks, per-secret errors, and doing without."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from rotator.errors import (
    PolicyDenied,
    SecretDeleted,
    SecretInvalid,
    SecretMissing,
    SourceError,
    SourceUnavailable,
)
from rotator.model.secret import Secret, SecretRef
from rotator.sources import open_source
from rotator.sources.aws import AwsReader
from rotator.sources.aws_names import asked_for, refused
from tests.support.aws import ACCOUNT, REGION, FakeAws, refusal, result
from tests.support.aws_reading import OpenReader, Time, source_of
from tests.support.digest import digest
from tests.support.faulty import HTML, NOTHING, Reply

pytest_plugins = ["tests.support.aws_fixtures"]
pytestmark = pytest.mark.filterwarnings(
    # botocore still asks for naive times in places.
    "ignore:datetime.datetime.utcnow:DeprecationWarning"
)

OTHER = "999999999999"
BATCH, GET = "BatchGetSecretValue", "GetSecretValue"


def refs(*paths: str) -> list[SecretRef]:
    return [SecretRef("aws", path) for path in paths]


def stored(aws: FakeAws, count: int) -> list[SecretRef]:
    """Secrets whose one field tells their name."""
    paths = [f"flink/{number:03}" for number in range(count)]
    for path in paths:
        aws.secrets.put(path, f'{{"name": "{path}"}}')
    return refs(*paths)


def read_all(reader: AwsReader, asked: Collection[SecretRef]) -> dict[SecretRef, Any]:
    """As ThreadedSource does, but one group after another."""
    answers: dict[SecretRef, Secret | SourceError] = {}
    for group in reader.groups(asked):
        answers |= reader.read_group(group)
    return answers


@pytest.mark.parametrize(
    ("count", "operations"),
    [(1, [GET]), (2, [BATCH]), (20, [BATCH]), (21, [BATCH, GET]), (45, [BATCH, BATCH, BATCH])],
)
def test_twenty_at_a_time(
    aws: FakeAws, reader: AwsReader, count: int, operations: list[str]
) -> None:
    """AWS refuses more than twenty ids, and a single one needs no batch."""
    asked = stored(aws, count)
    answers = read_all(reader, asked)
    assert {ref: secret.fields["name"] for ref, secret in answers.items()} == {
        ref: ref.path for ref in asked
    }
    assert aws.operations() == operations


async def test_two_hundred_secrets_are_ten_requests(
    aws: FakeAws, environment: pytest.MonkeyPatch
) -> None:
    asked = stored(aws, 200)
    source = open_source("aws", source_of(aws.url), lambda _: None, digest)
    answers = await source.read_all(asked)
    await source.aclose()
    assert all(isinstance(answers[ref], Secret) for ref in asked)
    assert aws.operations() == [BATCH] * 10


def test_the_versions_are_those_of_reads_alone(aws: FakeAws, reader: AwsReader) -> None:
    asked = stored(aws, 3)
    answers = read_all(reader, asked)
    assert all(isinstance(answer.changed_at, datetime) for answer in answers.values())
    # moto makes that time up.
    alone = {ref: replace(reader.read(ref), changed_at=None) for ref in asked}
    undated = {ref: replace(answer, changed_at=None) for ref, answer in answers.items()}
    assert undated == alone


def test_duplicates_and_two_names_of_one_secret(aws: FakeAws, reader: AwsReader) -> None:
    """One secret is asked for by name, ARN and partial ARN, by two holders, and twice."""
    name = "flink/openai"
    aws.secrets.put(name, '{"a": "b"}')
    arn = aws.secrets.of(name).arn
    asked = [*refs(name, arn, arn[:-7], name), SecretRef("aws", name, holder="flink")]
    reader.read(asked[0])  # so that the reader knows whose account it is
    answers = read_all(reader, asked)
    assert len(answers) == 4
    assert all(answers[ref].fields == {"a": "b"} for ref in asked)
    assert aws.operations() == [GET, BATCH]


@pytest.mark.parametrize("errors_by", ["id", "arn", "name"])
def test_an_error_is_that_of_one_secret(aws: FakeAws, reader: AwsReader, errors_by: str) -> None:
    """Each has its own error, whatever name the batch uses; the others are read."""
    aws.secrets.errors_by = errors_by
    good, gone, denied, kms, broken, empty = stored(aws, 6)
    aws.secrets.delete(gone.path)
    aws.secrets.denied.add((GET, denied.path))
    aws.secrets.of(kms.path).kms = "denied"
    aws.secrets.of(broken.path).kms = "broken"
    aws.secrets.put(empty.path, None)
    (absent,) = refs("flink/absent")
    answers = read_all(reader, [good, gone, denied, kms, broken, empty, absent])
    assert aws.operations() == [BATCH], "none was asked for again"
    assert answers[good].fields == {"name": good.path}
    for ref, kind, words in (
        (gone, SecretDeleted, "marked for deletion"),
        (denied, PolicyDenied, "secretsmanager:GetSecretValue"),
        (kms, PolicyDenied, "lacks kms:Decrypt"),
        (broken, PolicyDenied, "is the key enabled"),
        (empty, SecretMissing, "has no value"),
        (absent, SecretMissing, "no such secret"),
    ):
        error = answers[ref]
        assert isinstance(error, kind)
        assert error.path == ref.path
        assert words in error.message


def test_a_value_that_is_no_secret_is_an_error_of_its_own(aws: FakeAws, reader: AwsReader) -> None:
    """One of them holds invalid JSON."""
    good, bad = stored(aws, 2)
    aws.secrets.put(bad.path, '{"canary')
    answers = read_all(reader, [good, bad])
    assert answers[good].fields == {"name": good.path}
    assert isinstance(answers[bad], SecretInvalid)
    assert "canary" not in str(answers[bad])


def test_pages(aws: FakeAws, reader: AwsReader) -> None:
    """An answer may come in parts."""
    aws.secrets.page = 3
    asked = stored(aws, 8)
    answers = read_all(reader, asked)
    assert [answers[ref].fields["name"] for ref in asked] == [ref.path for ref in asked]
    assert aws.operations() == [BATCH] * 3


def test_a_page_that_leads_to_itself(aws: FakeAws, reader: AwsReader) -> None:
    """The reader stops following NextToken, and reads alone what no page held."""
    aws.secrets.page = 2
    aws.secrets.tokens = "same"
    asked = stored(aws, 4)
    answers = read_all(reader, asked)
    assert [answers[ref].fields["name"] for ref in asked] == [ref.path for ref in asked]
    assert aws.operations() == [BATCH, BATCH, GET, GET]


@pytest.mark.parametrize("tokens", ["always-new", "empty"])
def test_pages_without_end(aws: FakeAws, reader: AwsReader, tokens: str) -> None:
    """The pages are empty and promise more."""
    asked = stored(aws, 2)
    for number in range(30):
        token = f"token-{number}" if tokens == "always-new" else ""
        aws.refuse(BATCH, result({"SecretValues": [], "Errors": [], "NextToken": token}))
    answers = read_all(reader, asked)
    assert all(isinstance(answers[ref], Secret) for ref in asked)
    assert len(aws.requests) <= 20 + 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"SecretValues": [], "Errors": []},
        {"SecretValues": [{"ARN": "arn:other", "Name": "other", "SecretString": "{}"}]},
        {"Errors": [{"SecretId": "other", "ErrorCode": "AccessDeniedException"}]},
        {"Errors": [{}]},
    ],
)
def test_who_is_in_neither_list_is_read_alone(
    aws: FakeAws, reader: AwsReader, body: dict[str, Any]
) -> None:
    asked = stored(aws, 2)
    aws.refuse(BATCH, result(body))
    answers = read_all(reader, asked)
    assert [answers[ref].fields["name"] for ref in asked] == [ref.path for ref in asked]


def test_who_may_not_read_many_at_once_reads_them_one_by_one(
    aws: FakeAws, reader: AwsReader, time: Time
) -> None:
    """That is remembered for an hour, as policies change."""
    asked = stored(aws, 3)
    aws.secrets.denied.add((BATCH, "*"))
    for _ in range(2):
        answers = read_all(reader, asked)
        assert all(isinstance(answers[ref], Secret) for ref in asked)
    assert [len(group) for group in reader.groups(asked)] == [1, 1, 1], "so that threads share it"
    aws.secrets.denied.clear()
    time.seconds += 3600
    read_all(reader, asked)
    assert aws.operations() == [BATCH, *[GET] * 6, BATCH]


def test_groups_made_before_the_refusal_ask_no_second_time(aws: FakeAws, reader: AwsReader) -> None:
    asked = stored(aws, 40)
    aws.secrets.denied.add((BATCH, "*"))
    groups = list(reader.groups(asked))
    for group in groups:
        answers = reader.read_group(group)
        assert all(isinstance(answers[ref], Secret) for ref in group)
    assert aws.operations().count(BATCH) == 1


@pytest.mark.parametrize(
    "code",
    [
        "InvalidParameterException",
        "ValidationException",
        "DecryptionFailure",
        "ResourceNotFoundException",
        "InvalidRequestException",
    ],
)
def test_a_batch_refused_for_one_of_them_costs_the_others_nothing(
    aws: FakeAws, reader: AwsReader, code: str
) -> None:
    """They are read one by one, and the next batch is tried."""
    asked = stored(aws, 2)
    aws.refuse(BATCH, refusal(code))
    answers = read_all(reader, asked)
    assert all(isinstance(answers[ref], Secret) for ref in asked)
    read_all(reader, asked)
    assert aws.operations() == [GET, GET, BATCH]


@pytest.mark.parametrize(
    "trouble", [refusal("ThrottlingException"), refusal("InternalServiceError"), HTML, NOTHING]
)
async def test_a_batch_that_fails_is_an_error_of_each(
    aws: FakeAws, environment: pytest.MonkeyPatch, trouble: Reply
) -> None:
    """A failure that passes by itself is not made worse by twenty more requests."""
    asked = stored(aws, 2)
    aws.fail("*", trouble, times=None)
    source = open_source("aws", source_of(aws.url), lambda _: None, digest)
    answers = await source.read_all(asked)
    await source.aclose()
    for ref in asked:
        error = answers[ref]
        assert isinstance(error, SourceUnavailable)
        assert error.path == ref.path
    assert len(aws.requests) <= 3


def test_pinned_versions_and_other_stages_are_read_alone(aws: FakeAws, reader: AwsReader) -> None:
    """A batch has neither."""
    plain, pinned, staged = stored(aws, 3)
    version = aws.secrets.put(pinned.path, '{"name": "new"}')
    aws.secrets.put(staged.path, '{"name": "new"}')
    asked = [
        plain,
        replace(pinned, version=version),
        replace(staged, stage="AWSPREVIOUS"),
        replace(pinned, stage="AWSCURRENT"),
    ]
    answers = read_all(reader, asked)
    names = [answers[ref].fields["name"] for ref in asked]
    assert names == [plain.path, "new", staged.path, "new"]
    assert sorted(aws.operations()) == [BATCH, GET, GET]


# Other accounts and regions


def test_secrets_of_other_accounts_are_read_alone(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch
) -> None:
    """The account is known from the role."""
    role = f"arn:aws:iam::{ACCOUNT}:role/rotator"
    aws.sts.roles[role] = None
    reader = bare(assume_role={"arn": role})
    aws.secrets.put("theirs", "{}", OTHER)
    foreign = refs(aws.secrets.of("theirs", OTHER).arn)
    own = stored(aws, 2)
    whole = refs(aws.secrets.of(own[0].path).arn)
    answers = read_all(reader, [*own, *foreign, *whole])
    assert all(isinstance(secret, Secret) for secret in answers.values())
    assert sorted(aws.operations()) == [BATCH, GET]


def test_the_account_is_learnt_from_a_name(aws: FakeAws, reader: AwsReader) -> None:
    own = stored(aws, 2)
    aws.secrets.put("theirs-1", "{}", OTHER)
    aws.secrets.put("theirs-2", "{}", OTHER)
    foreign = refs(*(aws.secrets.of(f"theirs-{n}", OTHER).arn for n in (1, 2)))
    assert [len(group) for group in reader.groups([*own, *foreign])] == [2, 2]
    reader.read(own[0])
    assert sorted(len(group) for group in reader.groups([*own, *foreign])) == [1, 1, 2]


def test_an_unknown_account_is_tried_once(aws: FakeAws, reader: AwsReader, time: Time) -> None:
    """Whole ARNs of one account: a batch tells whether they are ours."""
    for name in ("theirs-1", "theirs-2"):
        aws.secrets.put(name, '{"a": "b"}', OTHER)
    foreign = refs(*(aws.secrets.of(f"theirs-{n}", OTHER).arn for n in (1, 2)))
    for _ in range(2):
        answers = read_all(reader, foreign)
        assert all(answers[ref].fields == {"a": "b"} for ref in foreign)
    assert aws.operations() == [BATCH, *[GET] * 4]
    ours = stored(aws, 2)
    read_all(reader, ours)
    assert aws.operations()[-1] == BATCH, "our own are not affected"


def test_another_region_spoils_no_batch(aws: FakeAws, reader: AwsReader) -> None:
    own = stored(aws, 2)
    reader.read(own[0])
    arn = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:"
    elsewhere = refs(f"{arn}x-AbCdEf", f"{arn}y")
    answers = read_all(reader, [*own, *elsewhere])
    assert all(isinstance(answers[ref], SecretInvalid) for ref in elsewhere)
    assert all(isinstance(answers[ref], Secret) for ref in own)
    assert aws.operations() == [GET, BATCH]
    assert b"eu-west-1" not in b"".join(request.body for request in aws.requests)


def test_time_runs_out_in_the_middle_of_a_group(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch, time: Time
) -> None:
    """What was read until then is kept."""
    first, second, third = stored(aws, 3)
    aws.secrets.denied.add((BATCH, "*"))

    def ticking() -> float:
        """Each request takes four seconds."""
        return time.seconds + 4 * len(aws.requests)

    reader = bare(monotonic=ticking, timeout="10s")
    answers = reader.read_group((first, second, third))
    assert isinstance(answers[first], Secret)
    assert isinstance(answers[third], SourceUnavailable)


# Whom an answer is about


ARN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:flink/openai-AbCdEf"
PARTIAL = ARN[:-7]


def test_whom_an_answer_is_about() -> None:
    paths = [ARN, PARTIAL, "flink/openai", "flink/openai-AbCdEf", PARTIAL.replace("us-", "eu-")]
    assert asked_for(paths, ARN, "flink/openai") == {ARN, PARTIAL, "flink/openai"}
    assert asked_for(paths, "odd", "flink/openai-AbCdEf") == {"flink/openai-AbCdEf"}
    assert asked_for(paths, "", "") == set()


@pytest.mark.parametrize(
    ("asked", "echoed", "about"),
    [
        (["flink/openai"], "flink/openai", True),
        (["flink/openai"], ARN, True),
        ([PARTIAL], ARN, True),
        ([ARN], ARN, True),
        ([ARN], "flink/openai", True),
        ([PARTIAL], "flink/openai", True),
        (["flink/openai-AbCdEf"], ARN, False),
        (["flink/other"], ARN, False),
        ([PARTIAL.replace(ACCOUNT, OTHER)], ARN, False),
        (["flink/openai"], "", False),
    ],
)
def test_whom_an_error_is_about(asked: list[str], echoed: str, about: bool) -> None:
    assert refused(asked, echoed) == (set(asked) if about else set())


def test_what_is_exact_wins() -> None:
    """A name that ends like an ARN's suffix."""
    paths = ["flink/openai", ARN, PARTIAL]
    for path in paths:
        assert refused(paths, path) == {path}


def test_sources_do_not_share_what_was_refused(
    aws: FakeAws, bare: OpenReader, environment: pytest.MonkeyPatch
) -> None:
    asked = stored(aws, 2)
    first, second = bare(), bare()
    aws.secrets.denied.add((BATCH, "*"))
    read_all(first, asked)
    assert [len(group) for group in first.groups(asked)] == [1, 1]
    assert [len(group) for group in second.groups(asked)] == [2]
