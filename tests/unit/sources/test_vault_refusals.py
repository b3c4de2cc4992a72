"""Logins that fail: what is said, how often it is tried, and what an end of the process costs."""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from rotator.errors import LoginDenied, SourceError, SourceUnavailable
from rotator.model.secret import SecretRef
from tests.support.faulty import HTML, NOTHING, Reply, Trouble
from tests.support.vault import DatabaseRole, FakeVault, Login
from tests.support.vault_reading import KV, LOGIN, Readers, reader, vault
from tests.support.waiting import until

__all__ = ["reader", "vault"]

JWT = "canary.jwt.signed"
UNWRAP = "POST /v1/sys/wrapping/unwrap"


@pytest.fixture
def wrapped(vault: FakeVault, tmp_path: Path) -> dict[str, Any]:
    vault.logins["approle", "role"] = Login({}, ("reader",), 600, secret_id_num_uses=0)
    (tmp_path / "wrapped").write_text(vault.wrapped_secret_id("approle", "role", ttl=86400))
    return {
        "method": "approle",
        "role_id": "role",
        "role": "app",
        "wrapped_secret_id": {"file": str(tmp_path / "wrapped")},
    }


@pytest.fixture
def kubernetes(vault: FakeVault, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "jwt").write_text(JWT + "\n")
    vault.logins["kubernetes", "rotator"] = Login({"jwt": JWT}, ("reader",), 3600)
    return {"method": "kubernetes", "role": "rotator", "token_file": str(tmp_path / "jwt")}


# A wrapped secret_id


def test_another_wrapping_token_is_opened(
    vault: FakeVault, reader: Readers, wrapped: dict[str, Any], tmp_path: Path
) -> None:
    """The file holds a new wrapping token by the time that the first secret_id has ended."""
    opened = reader(auth=wrapped)
    assert opened.read(KV).fields
    vault.logins["approle", "role"].secret_ids.clear()
    vault.revoke_token(next(token for token in vault.tokens if token.startswith("s.")))
    with pytest.raises(LoginDenied, match=r"login was refused \(HTTP 400\)"):
        opened.read(KV)
    (tmp_path / "wrapped").write_text(vault.wrapped_secret_id("approle", "role") + "\n")
    vault.advance(10)
    assert opened.read(KV).fields
    assert vault.count(UNWRAP) == 2


@pytest.mark.parametrize("trouble", [Trouble.RESET_AFTER, Trouble.TRUNCATED])
def test_an_unwrapping_whose_answer_is_lost_is_no_theft(
    vault: FakeVault, reader: Readers, wrapped: dict[str, Any], tmp_path: Path, trouble: Trouble
) -> None:
    opened = reader(auth=wrapped)
    vault.fail(UNWRAP, trouble)
    with pytest.raises(SourceUnavailable):
        opened.read(KV)
    assert vault.count(UNWRAP) == 1
    vault.advance(10)
    with pytest.raises(LoginDenied, match="opened here, and its answer was lost"):
        opened.read(KV)
    assert vault.count(UNWRAP) == 1
    (tmp_path / "wrapped").write_text(vault.wrapped_secret_id("approle", "role"))
    vault.advance(10)
    assert opened.read(KV).fields


@pytest.mark.parametrize("trouble", [Trouble.RESET, Trouble.HANG])
def test_an_unwrapping_that_was_not_done_is_done_later(
    vault: FakeVault, reader: Readers, wrapped: dict[str, Any], trouble: Trouble
) -> None:
    """The lookup that comes first shows that nobody has opened it."""
    opened = reader(auth=wrapped, timeout="1s")
    vault.fail(UNWRAP, trouble)
    with pytest.raises(SourceUnavailable):
        opened.read(KV)
    vault.advance(10)
    assert opened.read(KV).fields
    assert vault.count(UNWRAP) == 2


@pytest.mark.parametrize("answer", [HTML, NOTHING, Reply(200, b'{"data": null}'), Reply(503)])
@pytest.mark.parametrize("step", ["lookup", "unwrap"])
def test_a_wrapping_that_is_answered_by_something_else(
    vault: FakeVault, reader: Readers, wrapped: dict[str, Any], answer: Reply, step: str
) -> None:
    vault.fail(f"POST /v1/sys/wrapping/{step}", answer, None)
    with pytest.raises(SourceError) as caught:
        reader(auth=wrapped).read(KV)
    assert isinstance(caught.value, (LoginDenied, SourceUnavailable))
    assert vault.count(LOGIN) == 0
    assert vault.count(f"POST /v1/sys/wrapping/{step}") == 1


# How often


def test_an_api_server_that_stays_down_is_asked_ever_less(
    vault: FakeVault, reader: Readers, kubernetes: dict[str, Any]
) -> None:
    vault.token_review_down = True
    opened = reader(auth=kubernetes)
    for _ in range(720):
        with pytest.raises(LoginDenied):
            opened.read(KV)
        vault.advance(5)
    assert 12 <= vault.count(LOGIN) <= 22
    vault.token_review_down = False
    vault.advance(301)
    assert opened.read(KV).fields


def test_a_login_that_hangs_holds_up_those_who_wait_only_once(
    vault: FakeVault, reader: Readers, kubernetes: dict[str, Any]
) -> None:
    """Twenty reads wait for one login and one timeout."""
    vault.fail(LOGIN, Trouble.HANG, None)
    opened = reader(auth=kubernetes, timeout="500ms")
    outcomes: list[type[SourceError]] = []

    def read() -> None:
        try:
            opened.read(KV)
        except SourceError as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=read) for _ in range(20)]
    started = monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [SourceUnavailable] * 20
    assert vault.count(LOGIN) == 1
    assert monotonic() - started < 3


async def test_the_end_of_the_process_does_not_wait_for_a_login(
    vault: FakeVault, reader: Readers, kubernetes: dict[str, Any]
) -> None:
    """A login under way holds the lock for as long as it takes."""
    vault.fail(LOGIN, Trouble.HANG, None)
    opened = reader(auth=kubernetes, timeout="4s")
    failures: list[SourceError] = []

    def read() -> None:
        try:
            opened.read(KV)
        except SourceError as error:
            failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    await until(lambda: vault.count(LOGIN) == 1)
    started = monotonic()
    opened.close()
    assert 1.5 < monotonic() - started < 3
    thread.join()
    assert len(failures) == 1


# Secrecy


def test_a_token_that_no_header_can_hold_is_not_shown(
    vault: FakeVault, reader: Readers, kubernetes: dict[str, Any]
) -> None:
    vault.logins["kubernetes", "rotator"].granted = {"client_token": "canary\ntoken"}
    with pytest.raises(LoginDenied, match="a character that no token has") as caught:
        reader(auth=kubernetes).read(KV)
    assert "canary" not in str(caught.value)


def test_a_role_that_does_not_exist_is_found_without_making_anything(
    vault: FakeVault, reader: Readers, kubernetes: dict[str, Any]
) -> None:
    made = SecretRef("vault", "creds/flink", "database", holder="mongodb")
    vault.databases["database", "flink"] = DatabaseRole()
    opened = reader(auth={**kubernetes, "role": "other"})
    with pytest.raises(LoginDenied, match=r"check auth \(mount, role, credential\) and namespace"):
        opened.examine([KV, made], [KV])
    assert vault.users == {}
