"""KV v2 over real HTTP: logins, versions, and every way that it goes wrong."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.config.models import VaultSource
from rotator.errors import (
    SecretInvalid,
    SecretMissing,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from rotator.model import Event, SecretRef, SourceRead
from rotator.sources import open_source
from rotator.sources.threads import ThreadedSource
from tests.support.vault import ROOT, Answer, Token, Vault, vault_running

CANARY = "canary-value-of-a-secret"
REF = SecretRef("vault", "flink/openai", "kv-v2")
DATA = "kv/data/flink/openai"
METADATA = "kv/metadata/flink/openai"

Open = Callable[..., ThreadedSource]


@pytest.fixture
def server() -> Iterator[tuple[Vault, str]]:
    with vault_running() as running:
        yield running


@pytest.fixture
def vault(server: tuple[Vault, str]) -> Vault:
    server[0].put("flink/openai", {"api_key": CANARY, "number": 7})
    return server[0]


@pytest.fixture
def source(server: tuple[Vault, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Open:
    monkeypatch.setenv("VAULT_TOKEN", "not-this-one")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("TEST_TOKEN", ROOT)
    (tmp_path / "proof").write_text("the-proof\n")

    def make(events: list[Event] | None = None, **options: Any) -> ThreadedSource:
        document = {
            "kind": "vault",
            "url": server[1],
            "auth": {"method": "token", "token": {"env": "TEST_TOKEN"}},
            "timeout": "2s",
            **options,
        }
        config = VaultSource.model_validate(document)
        seen: list[Event] = [] if events is None else events
        return open_source("vault", config, seen.append)

    return make


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.__dict__)


async def test_read_and_probe_agree(vault: Vault, source: Open) -> None:
    events: list[Event] = []
    opened = source(events)
    secret = await opened.read(REF)
    assert secret.fields == {"api_key": CANARY, "number": 7}
    assert await opened.probe(REF) == secret.version
    assert CANARY not in repr(secret)
    vault.put("flink/openai", {"api_key": "other"})
    assert await opened.probe(REF) != secret.version
    assert {(e.operation, e.result) for e in events if isinstance(e, SourceRead)} == {
        ("read", "ok"),
        ("probe", "ok"),
    }


async def test_deleted_and_made_again_is_another_version(vault: Vault, source: Open) -> None:
    before = await source().probe(REF)
    del vault.secrets["flink/openai"]
    vault.put("flink/openai", {"api_key": "other"})
    assert await source().probe(REF) != before


async def test_without_metadata_rights_the_probe_reads(vault: Vault, source: Open) -> None:
    vault.tokens[ROOT] = Token(paths=("kv/data/",))
    opened = source()
    assert await opened.probe(REF) == (await opened.read(REF)).version
    await opened.probe(REF)
    assert vault.requests["GET", METADATA] == 1, "a refusal is remembered"


@pytest.mark.parametrize(
    ("auth", "role"),
    [
        ({"method": "approle", "role_id": "rotator"}, "secret_id"),
        ({"method": "kubernetes", "role": "rotator"}, "token_file"),
    ],
)
async def test_logins(
    vault: Vault, source: Open, tmp_path: Path, auth: dict[str, Any], role: str
) -> None:
    proof = tmp_path / "proof"
    vault.roles["rotator"] = ("the-proof", 3600.0)
    place = str(proof) if role == "token_file" else {"file": str(proof)}
    opened = source(auth={**auth, role: place})
    await opened.read(REF)
    await opened.read(REF)
    path = f"auth/{auth['method']}/login"
    assert vault.requests["POST", path] == 1, "one login serves many reads"

    vault.now += 4000  # the token ends; the proof was rotated on disk meanwhile
    vault.roles["rotator"] = ("another", 3600.0)
    proof.write_text("another")
    await opened.read(REF)
    assert vault.requests["POST", path] == 2

    vault.roles.clear()
    vault.now += 4000
    with pytest.raises(SourceDenied, match="login was refused") as caught:
        await opened.read(REF)
    assert "another" not in told(caught.value)


async def test_a_policy_that_refuses_is_no_login_storm(
    vault: Vault, source: Open, tmp_path: Path
) -> None:
    vault.roles["rotator"] = ("the-proof", 3600.0)
    vault.granted_paths = ("kv/data/elsewhere",)
    secret_id = {"file": str(tmp_path / "proof")}
    opened = source(auth={"method": "approle", "role_id": "rotator", "secret_id": secret_id})
    for _ in range(5):
        with pytest.raises(SourceDenied, match="policies"):
            await opened.read(REF)
    assert vault.requests["POST", "auth/approle/login"] == 1


async def test_the_namespace_goes_with_every_request(vault: Vault, source: Open) -> None:
    await source(namespace="platform/flink").read(REF)
    assert vault.namespaces == {"platform/flink"}


def deleted(vault: Vault) -> None:
    vault.secrets["flink/openai"][-1].deleted = "2026-11-20T12:00:00Z"


def destroyed(vault: Vault) -> None:
    vault.secrets["flink/openai"][-1].destroyed = True


def absent(vault: Vault) -> None:
    vault.secrets.clear()


def sealed(vault: Vault) -> None:
    vault.sealed = True


def html(vault: Vault) -> None:
    page = Answer(200, body=b"<html>" + CANARY.encode(), content_type="text/html")
    vault.fail(DATA, page)


def truncated(vault: Vault) -> None:
    vault.fail(DATA, Answer(200, body=b'{"data": {"data": {"api_key": "' + CANARY.encode()))


def nothing(vault: Vault) -> None:
    vault.fail(DATA, Answer(200, {"data": None}))


def a_list(vault: Vault) -> None:
    vault.fail(DATA, Answer(200, body=b"[1, 2]"))


def an_error_with_a_value(vault: Vault) -> None:
    vault.fail(DATA, Answer(500, {"errors": [f"echo {CANARY}"]}))


def charset(vault: Vault) -> None:
    document = {"errors": [7, {"x": CANARY}]}
    vault.fail(DATA, Answer(400, document, content_type="application/json; charset=utf-8"))


def throttled(vault: Vault) -> None:
    vault.fail(DATA, Answer(429, {"errors": ["rate limit quota exceeded"]}))


def redirect(vault: Vault) -> None:
    vault.fail(DATA, Answer(307, headers={"Location": "http://127.0.0.1:9/v1/kv"}))


def hang(vault: Vault) -> None:
    vault.fail(DATA, Answer(200, hang=True))


Break = Callable[[Vault], None]
BROKEN: dict[Break, tuple[type[SourceError], str]] = {
    deleted: (SecretMissing, "version 1 was deleted"),
    destroyed: (SecretMissing, "version 1 was destroyed"),
    absent: (SecretMissing, "nothing at kv/flink/openai"),
    sealed: (SourceUnavailable, "sealed"),
    html: (SourceUnavailable, "no JSON"),
    truncated: (SourceUnavailable, "no JSON"),
    nothing: (SecretInvalid, "KV v2"),
    a_list: (SourceUnavailable, "no JSON"),
    an_error_with_a_value: (SourceUnavailable, "HTTP 500"),
    charset: (SecretInvalid, "HTTP 400"),
    throttled: (SourceUnavailable, "429"),
    redirect: (SourceUnavailable, "redirect"),
    hang: (SourceUnavailable, "no answer"),
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_what_goes_wrong_is_named_and_holds_no_value(
    vault: Vault, source: Open, broken: Break, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broken(vault)
    kind, words = BROKEN[broken]
    with pytest.raises(kind, match=words) as caught:
        await source(timeout="500ms").read(REF)
    assert str(caught.value).startswith("source vault")
    for value in (CANARY, ROOT):
        assert value not in told(caught.value)
        assert value not in caplog.text


async def test_other_mistakes(vault: Vault, source: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = SecretRef("vault", "flink/openai", mount="secret")
    with pytest.raises(SecretMissing, match="no mount secret"):
        await source().read(elsewhere)
    with pytest.raises(SecretInvalid, match="path"):
        await source().read(SecretRef("vault", "flink/../admin"))
    monkeypatch.setenv("TEST_TOKEN", "wrong")
    with pytest.raises(SourceDenied, match="permission denied"):
        await source().read(REF)
    monkeypatch.delenv("TEST_TOKEN")
    with pytest.raises(SourceDenied, match="TEST_TOKEN"):
        await source().read(REF)
    monkeypatch.setenv("TEST_TOKEN", ROOT)
    with pytest.raises(SourceUnavailable, match="no answer"):
        await source(url="http://127.0.0.1:9").read(REF)


async def test_odd_names_are_one_path(vault: Vault, source: Open) -> None:
    vault.put("flink/a b?c#d ü", {"x": "1"})
    assert (await source().read(SecretRef("vault", "/flink/a b?c#d ü"))).fields == {"x": "1"}
