"""The aws login of Vault, where AWS itself has to be asked for credentials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.errors import LoginDenied, SourceError, SourceUnavailable
from tests.support.aws import ACCOUNT, FakeAws, aws_running, refusal
from tests.support.aws_reading import USER, shared_file
from tests.support.faulty import HTML, NOTHING, Reply, Trouble
from tests.support.vault import FakeVault, Login
from tests.support.vault_reading import KV, LOGIN, Readers, reader, vault

__all__ = ["reader", "vault"]
pytestmark = pytest.mark.filterwarnings(
    # botocore still asks for naive times in places.
    "ignore:datetime.datetime.utcnow:DeprecationWarning"
)

ROLE = f"arn:aws:iam::{ACCOUNT}:role/rotator"
AUTH = {"method": "aws", "role": "rotator", "region": "eu-central-1"}
PROFILE = f"[profile flink]\nrole_arn = {ROLE}\nsource_profile = base\n"


@pytest.fixture
def aws(vault: FakeVault, reader: Readers, tmp_path: Path) -> Iterator[FakeAws]:
    """A profile whose role is assumed with the keys of another."""
    vault.logins["aws", "rotator"] = Login(
        {"sts_host": "sts.eu-central-1.amazonaws.com"}, ("reader",), 600
    )
    with aws_running() as aws:
        aws.sts.roles[ROLE] = None
        key = aws.sts.hand_out(USER)
        (tmp_path / "credentials").write_text(shared_file(key.id, key.secret, "base"))
        (tmp_path / "config").write_text(PROFILE)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            reader.environment.delenv(name, raising=False)
        reader.environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        reader.environment.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        reader.environment.setenv("AWS_ENDPOINT_URL_STS", aws.url)
        reader.environment.setenv("AWS_PROFILE", "flink")
        yield aws


def test_a_role_is_assumed_for_each_login(vault: FakeVault, reader: Readers, aws: FakeAws) -> None:
    vault.logins["aws", "rotator"].granted = {"renewable": False}
    opened = reader(auth=AUTH)
    for _ in range(3):
        assert opened.read(KV).fields
        vault.advance(550)
    assert [taken.role for taken in aws.sts.assumed] == [ROLE] * 3
    assert vault.count(LOGIN) == 3


def test_a_role_that_is_refused(vault: FakeVault, reader: Readers, aws: FakeAws) -> None:
    aws.sts.roles.clear()
    with pytest.raises(LoginDenied, match="AccessDenied"):
        reader(auth=AUTH).read(KV)
    assert vault.count(LOGIN) == 0
    assert reader.told("login") == ["login_denied"]


@pytest.mark.parametrize(
    "what",
    [HTML, NOTHING, Reply(503), refusal("Throttling"), Trouble.RESET, Trouble.HANG, Trouble.DRIP],
)
def test_an_sts_that_fails_is_asked_again_later(
    vault: FakeVault, reader: Readers, aws: FakeAws, what: Any
) -> None:
    aws.fail("POST *", what, None)
    opened = reader(auth=AUTH, timeout="1s")
    with pytest.raises(SourceUnavailable):
        opened.read(KV)
    aws.faults.clear()
    vault.advance(10)
    assert opened.read(KV).fields


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("credentials", "[base]\naws_access_key_id = AKIACANARY\n"),
        ("credentials", "[base\naws_secret_access_key = canary-half"),
        ("credentials", ""),
        ("config", "canary = [="),
        ("config", ""),
    ],
)
def test_files_that_are_half_written(
    reader: Readers, aws: FakeAws, tmp_path: Path, file: str, content: str
) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(SourceError) as caught:
        reader(auth=AUTH).read(KV)
    assert "unexpected" not in str(caught.value)
    assert "canary" not in str(caught.value).lower()
