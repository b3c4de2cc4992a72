"""A fake AWS, and readers of it whose time is moved by hand: a plugin of the tests that name it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.sources.aws import AwsReader
from tests.support.aws import FakeAws, aws_running
from tests.support.aws_reading import USER, OpenReader, Time, source_of


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with aws_running() as aws:
        yield aws


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Without credentials, and without the machine's."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def environment(bare_environment: pytest.MonkeyPatch, aws: FakeAws) -> pytest.MonkeyPatch:
    """With a key of the user."""
    key = aws.sts.hand_out(USER)
    bare_environment.setenv("AWS_ACCESS_KEY_ID", key.id)
    bare_environment.setenv("AWS_SECRET_ACCESS_KEY", key.secret)
    return bare_environment


@pytest.fixture
def bare(aws: FakeAws, time: Time, bare_environment: pytest.MonkeyPatch) -> Iterator[OpenReader]:
    """Readers that find no credentials but those of their options."""
    opened: list[AwsReader] = []

    def make(**options: Any) -> AwsReader:
        monotonic = options.pop("monotonic", time.monotonic)
        config = source_of(options.pop("url", aws.url), **options)
        reader = AwsReader("aws", config, monotonic=monotonic, now=time.now, sleep=time.sleep)
        opened.append(reader)
        return reader

    yield make
    for reader in opened:
        reader.close()


@pytest.fixture
def reader(bare: OpenReader, environment: pytest.MonkeyPatch) -> AwsReader:
    """With the user's key, from the environment."""
    return bare()
