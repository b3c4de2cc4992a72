"""Looks at secrets of AWS: rotations under way and stuck, deletion, permissions that lack."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.errors import PolicyDenied, SecretDeleted, SecretMissing, SourceUnavailable
from rotator.model.secret import SecretRef
from rotator.sources.aws import AwsReader
from tests.support.aws import FakeAws, result
from tests.support.aws_reading import Time

pytest_plugins = ["tests.support.aws_fixtures"]
pytestmark = pytest.mark.filterwarnings(
    # botocore still asks for naive times in places.
    "ignore:datetime.datetime.utcnow:DeprecationWarning"
)

NAME = "flink/openai"
REF = SecretRef("aws", NAME)
HOUR = 3600.0
DAY = 24 * HOUR


def test_a_look_names_the_version_that_a_read_would_answer_with(
    aws: FakeAws, reader: AwsReader
) -> None:
    version = aws.secrets.put(NAME, "{}")
    probe = reader.probe(REF)
    assert (probe.version, probe.changes_in, probe.warning) == (version, None, "")
    assert reader.read(REF).version == version
    assert aws.operations() == ["DescribeSecret", "GetSecretValue"]


def test_a_secret_marked_for_deletion_is_gone_until_it_is_restored(
    aws: FakeAws, reader: AwsReader
) -> None:
    """Deleted is told apart from missing, and the restored secret has the same version."""
    version = aws.secrets.put(NAME, "{}")
    aws.secrets.delete(NAME)
    for ask in (reader.read, reader.probe):
        with pytest.raises(SecretDeleted, match="marked for deletion"):
            ask(REF)
    aws.secrets.restore(NAME)
    assert reader.probe(REF).version == reader.read(REF).version == version


def test_no_version_is_current(aws: FakeAws, reader: AwsReader) -> None:
    """Either nothing is labelled AWSCURRENT, or what is has no value."""
    aws.secrets.put(NAME, "{}")
    aws.secrets.move(NAME, "AWSCURRENT", None)
    for ask in (reader.read, reader.probe):
        with pytest.raises(SecretMissing, match="it has no value"):
            ask(REF)
    aws.secrets.put(NAME, None)
    with pytest.raises(SecretMissing, match="it has no value"):
        reader.read(REF)


def test_a_rotation_in_progress_is_waited_out(aws: FakeAws, reader: AwsReader) -> None:
    """The old version counts until AWSCURRENT moves, and the next look is soon."""
    old = aws.secrets.put(NAME, '{"a": "old"}')
    new = aws.secrets.pend(NAME, '{"a": "new"}')
    probe = reader.probe(REF)
    assert (probe.version, probe.changes_in) == (old, 5)
    assert "in progress" in probe.warning
    assert reader.read(REF).fields == {"a": "old"}, "AWSPENDING is never read"

    aws.secrets.move(NAME, "AWSCURRENT", new)
    probe = reader.probe(REF)
    assert (probe.version, probe.changes_in, probe.warning) == (new, None, ""), (
        "AWSPENDING may stay where AWSCURRENT is"
    )


def test_a_rotation_that_does_not_end_is_stuck(aws: FakeAws, reader: AwsReader, time: Time) -> None:
    """AWSPENDING stays on one version for an hour; on another version it is another rotation."""
    old = aws.secrets.put(NAME, "{}")
    aws.secrets.pend(NAME)
    assert "in progress" in reader.probe(REF).warning
    time.seconds += HOUR - 1
    assert "in progress" in reader.probe(REF).warning
    time.seconds += 1
    stuck = reader.probe(REF)
    assert "stuck" in stuck.warning
    assert (stuck.version, stuck.changes_in) == (old, None), "no quick looks for good"
    again = aws.secrets.pend(NAME)
    assert "in progress" in reader.probe(REF).warning
    aws.secrets.move(NAME, "AWSPENDING", None)
    assert reader.probe(REF).warning == ""
    aws.secrets.move(NAME, "AWSPENDING", again)
    time.seconds += HOUR
    assert "in progress" in reader.probe(REF).warning, "its time starts again"


@pytest.mark.parametrize(
    ("described", "changes_in", "words"),
    [
        ({"NextRotationDate": 600.0}, 600, ""),
        ({"NextRotationDate": 1.0}, 5, ""),
        ({"NextRotationDate": -HOUR + 1}, None, ""),
        ({"NextRotationDate": -HOUR - 1}, None, "overdue since 2026-06-30"),
        (
            {"LastRotatedDate": -9 * DAY, "RotationRules": {"AutomaticallyAfterDays": 7}},
            None,
            "overdue",
        ),
        ({"LastRotatedDate": -7.5 * DAY, "RotationRules": {"AutomaticallyAfterDays": 7}}, None, ""),
        ({"LastRotatedDate": -9 * DAY, "RotationRules": {"Duration": "2h"}}, None, ""),
        ({"RotationEnabled": False, "NextRotationDate": -DAY}, None, ""),
    ],
)
def test_the_dates_of_rotations(
    aws: FakeAws,
    reader: AwsReader,
    time: Time,
    described: dict[str, object],
    changes_in: float | None,
    words: str,
) -> None:
    """There is a look at the time of the next rotation; one well in the past is a warning."""
    time.seconds = 0
    aws.secrets.put(NAME, "{}")
    dates = {
        key: (time.now() + timedelta(seconds=value)).timestamp()
        for key, value in described.items()
        if isinstance(value, float)
    }
    aws.secrets.of(NAME).described = {"RotationEnabled": True} | described | dates
    probe = reader.probe(REF)
    assert probe.changes_in == changes_in
    assert probe.warning.startswith(f"its rotation is {words}" if words else "")
    assert bool(probe.warning) is bool(words)

    aws.secrets.pend(NAME)
    assert ("stuck" if words else "in progress") in reader.probe(REF).warning


def test_what_moves_between_a_look_and_a_read(aws: FakeAws, reader: AwsReader) -> None:
    """The version is that of the value read."""
    aws.secrets.put(NAME, '{"a": "1"}')
    seen = reader.probe(REF).version
    second = aws.secrets.put(NAME, '{"a": "2"}')
    secret = reader.read(REF)
    assert (secret.version, secret.fields) == (second, {"a": "2"})
    assert secret.version != seen


def test_a_label_moved_back_is_a_change(aws: FakeAws, reader: AwsReader) -> None:
    """AWSCURRENT is back on the version before."""
    first = aws.secrets.put(NAME, '{"a": "1"}')
    second = aws.secrets.put(NAME, '{"a": "2"}')
    assert reader.probe(REF).version == second
    aws.secrets.move(NAME, "AWSCURRENT", first)
    assert reader.probe(REF).version == first
    assert reader.read(REF).fields == {"a": "1"}


def test_tags_are_no_change(aws: FakeAws, reader: AwsReader) -> None:
    """LastChangedDate moves, and the version does not."""
    aws.secrets.put(NAME, "{}")
    before = reader.probe(REF)
    aws.ahead += timedelta(seconds=60)
    aws.secrets.touch(NAME)
    assert reader.probe(REF) == before


def test_pinned_versions_and_other_stages(aws: FakeAws, reader: AwsReader) -> None:
    first = aws.secrets.put(NAME, '{"a": "1"}')
    second = aws.secrets.put(NAME, '{"a": "2"}')
    third = aws.secrets.put(NAME, '{"a": "3"}')
    aws.secrets.pend(NAME)
    previous = replace(REF, stage="AWSPREVIOUS")
    probe = reader.probe(previous)
    assert (probe.version, probe.warning, probe.changes_in) == (second, "", None)
    assert reader.read(previous).fields == {"a": "2"}
    for pinned, text in ((first, "1"), (third, "3")):
        ref = replace(REF, version=pinned)
        assert (reader.probe(ref).version, reader.probe(ref).warning) == (pinned, "")
        assert reader.read(ref).fields == {"a": text}, "a version without labels can be read"
    nowhere = replace(REF, stage="BLUE")
    for ask in (reader.read, reader.probe):
        with pytest.raises(SecretMissing, match="it has no value"):
            ask(nowhere)


def test_a_pinned_version_that_is_gone_is_said_by_the_read(aws: FakeAws, reader: AwsReader) -> None:
    aws.secrets.put(NAME, "{}")
    ref = replace(REF, version="11111111-2222-3333-4444-555555555555")
    assert reader.probe(ref).version == ref.version, "those without labels aren't described"
    with pytest.raises(SecretMissing, match="no such version"):
        reader.read(ref)
    aws.secrets.delete(NAME)
    with pytest.raises(SecretDeleted):
        reader.probe(ref)


def test_who_may_not_describe_reads(aws: FakeAws, reader: AwsReader, time: Time) -> None:
    """That is remembered for an hour, as policies change; every look says it, one line logs it."""
    version = aws.secrets.put(NAME, "{}")
    aws.secrets.denied.add(("DescribeSecret", "*"))
    for _ in range(3):
        probe = reader.probe(REF)
        assert probe.version == version
        assert "lacks secretsmanager:DescribeSecret" in probe.warning
    assert aws.operations() == ["DescribeSecret"] + ["GetSecretValue"] * 3
    aws.secrets.denied.clear()
    time.seconds += HOUR
    assert reader.probe(REF).warning == ""


def test_who_may_neither_describe_nor_read_is_told_so_again(
    aws: FakeAws, reader: AwsReader
) -> None:
    aws.secrets.put(NAME, "{}")
    aws.secrets.denied |= {("DescribeSecret", NAME), ("GetSecretValue", NAME)}
    for _ in range(2):
        with pytest.raises(PolicyDenied, match="GetSecretValue"):
            reader.probe(REF)
    assert aws.operations() == ["DescribeSecret", "GetSecretValue"] * 2


@pytest.mark.parametrize("body", [{}, {"VersionIdsToStages": {"v1": ["AWSCURRENT"]}}])
def test_an_answer_that_is_no_description(
    aws: FakeAws, reader: AwsReader, body: dict[str, object]
) -> None:
    aws.refuse("DescribeSecret", result(body))
    with pytest.raises(SourceUnavailable, match="is endpoint_url right"):
        reader.probe(REF)


def test_texts_of_warnings_stay_the_same_while_what_they_say_does(
    aws: FakeAws, reader: AwsReader, time: Time
) -> None:
    """The watch logs a warning when its text is new."""
    aws.secrets.put(NAME, json.dumps({}))
    aws.secrets.pend(NAME)
    first = reader.probe(REF).warning
    time.seconds += 60
    assert reader.probe(REF).warning == first
