"""KV v2 over real HTTP: logins, versions, and every way that it goes wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from rotator.config.models import VaultSource
from rotator.errors import (
    LoginDenied,
    SecretDeleted,
    SecretInvalid,
    SecretMissing,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from rotator.model.events import Event, SourceRead
from rotator.model.secret import SecretRef
from rotator.sources.threads import LONGEST_CLOSING, ThreadedSource, on_this_loop
from rotator.sources.vault import VaultReader
from tests.support.certificates import Certificates, certificates
from tests.support.digest import digest
from tests.support.faulty import HTML, NOTHING, Reply, Trouble
from tests.support.vault import ROOT, FakeVault, Login, vault_running
from tests.support.waiting import until

__all__ = ["certificates"]

CANARY = "canary-value-of-a-secret"
SECRET_ID = "canary-secret-id"
JWT = "canary.projected.jwt"
REF = SecretRef("vault", "flink/openai", "kv-v2")
READ = "GET /v1/kv/data/*"
PROBE = "GET /v1/kv/metadata/*"
LOGIN = "POST /v1/auth/*/login"
REVOKE = "POST /v1/auth/token/revoke-self"


@dataclass(slots=True)
class Opened:
    """A source whose time is that of the fake Vault, and what was told of it."""

    source: ThreadedSource
    events: list[Event] = field(default_factory=list)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(e.operation, e.result) for e in self.events if isinstance(e, SourceRead)]


Open = Callable[..., Opened]


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with vault_running() as (vault, _):
        vault.put("flink/openai", {"api_key": CANARY, "number": 7})
        vault.policies["reader"] = ("kv/data/*", "kv/metadata/*")
        yield vault


@pytest.fixture
async def source(vault: FakeVault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("VAULT_TOKEN", "not-this-one")
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("TEST_TOKEN", ROOT)
    (tmp_path / "secret_id").write_text(f"{SECRET_ID}\n")
    (tmp_path / "jwt").write_text(f"{JWT}\n")
    opened: list[ThreadedSource] = []

    def make(server: FakeVault = vault, **options: Any) -> Opened:
        document = {
            "kind": "vault",
            "url": server.url,
            "auth": {"method": "token", "token": {"env": "TEST_TOKEN"}},
            "timeout": "5s",
            **options,
        }
        config = VaultSource.model_validate(document)
        events: list[Event] = []
        reader = VaultReader(
            "vault",
            config,
            on_this_loop(events.append),
            digest,
            server.seconds,
        )
        made = ThreadedSource("vault", reader, config.timeout.total_seconds(), events.append)
        opened.append(made)
        return Opened(made, events)

    yield make
    for made in opened:
        await made.aclose()


@pytest.fixture
def approle(vault: FakeVault, tmp_path: Path) -> dict[str, Any]:
    vault.logins["approle", "rotator"] = Login({"secret_id": SECRET_ID}, ("reader",), 3600)
    secret_id = {"file": str(tmp_path / "secret_id")}
    return {"method": "approle", "role_id": "rotator", "secret_id": secret_id}


@pytest.fixture
def kubernetes(vault: FakeVault, tmp_path: Path) -> dict[str, Any]:
    vault.logins["kubernetes", "rotator"] = Login({"jwt": JWT}, ("reader",), 3600)
    return {"method": "kubernetes", "role": "rotator", "token_file": str(tmp_path / "jwt")}


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.__dict__)


# Versions


async def test_read_and_probe_agree(vault: FakeVault, source: Open) -> None:
    opened = source()
    secret = await opened.source.read(REF)
    assert secret.fields == {"api_key": CANARY, "number": 7}
    assert (await opened.source.probe(REF)).version == secret.version
    assert secret.version.startswith("1@2026-11-20T")
    assert CANARY not in repr(secret)
    vault.put("flink/openai", {"api_key": "other"})
    assert (await opened.source.probe(REF)).version != secret.version
    assert opened.told == [("read", "ok"), ("probe", "ok"), ("probe", "ok")]


async def test_a_probe_reads_no_value(vault: FakeVault, source: Open) -> None:
    await source().source.probe(REF)
    assert vault.reads == 0


async def test_deleted_and_made_again_is_another_version(vault: FakeVault, source: Open) -> None:
    opened = source()
    before = (await opened.source.probe(REF)).version
    vault.kv.clear()
    vault.put("flink/openai", {"api_key": CANARY})
    after = (await opened.source.probe(REF)).version
    assert (before[:2], after[:2]) == ("1@", "1@")
    assert before != after


async def test_to_be_deleted_later_is_live_until_then(vault: FakeVault, source: Open) -> None:
    opened = source()
    before = (await opened.source.probe(REF)).version
    version = vault.kv["kv", "flink/openai"][-1]
    vault.advance(60)
    version.deleted = vault.now
    vault.advance(-30)
    assert (
        (await opened.source.read(REF)).version
        == before
        == (await opened.source.probe(REF)).version
    )
    vault.advance(60)
    for ask in (opened.source.read, opened.source.probe):
        with pytest.raises(SecretMissing, match="was deleted"):
            await ask(REF)
    version.deleted = None
    assert (await opened.source.probe(REF)).version == before, (
        "undeleted, it is the same version again"
    )


async def test_without_metadata_rights_the_probe_reads(
    vault: FakeVault, source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.policies["data"] = ("kv/data/*",)
    monkeypatch.setenv("TEST_TOKEN", vault.token("data", "default"))
    opened = source()
    version = (await opened.source.probe(REF)).version
    assert version == (await opened.source.read(REF)).version
    await opened.source.probe(REF)
    assert vault.count(PROBE) == 1, "a refusal is remembered"


async def test_a_login_that_fails_says_nothing_of_metadata(
    vault: FakeVault, source: Open, approle: dict[str, Any]
) -> None:
    login = vault.logins.pop(("approle", "rotator"))
    opened = source(auth=approle)
    with pytest.raises(SourceDenied):
        await opened.source.probe(REF)
    vault.logins["approle", "rotator"] = login
    vault.advance(60)
    await opened.source.probe(REF)
    assert vault.reads == 0


# Logins


async def test_no_login_carries_a_token(
    vault: FakeVault, source: Open, approle: dict[str, Any]
) -> None:
    opened = source(auth=approle)
    await opened.source.read(REF)
    vault.advance(4000)
    await opened.source.read(REF)
    logins = [seen for seen in vault.requests if seen.path.endswith("/login")]
    assert len(logins) == 2
    assert all("x-vault-token" not in seen.headers for seen in logins)
    assert all(seen.headers["x-vault-request"] == "true" for seen in vault.requests)


async def test_a_revoked_token_is_replaced_once_for_all(
    vault: FakeVault, source: Open, approle: dict[str, Any]
) -> None:
    opened = source(auth=approle)
    await opened.source.read(REF)
    vault.tokens = {ROOT: vault.tokens[ROOT]}
    secrets = await asyncio.gather(*(opened.source.read(REF) for _ in range(8)))
    assert {secret.fields["api_key"] for secret in secrets} == {CANARY}
    assert vault.count(LOGIN) == 2


async def test_a_login_that_is_refused_is_not_hammered(
    vault: FakeVault, source: Open, approle: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "secret_id").write_text("canary-wrong")
    opened = source(auth=approle)
    outcomes = await asyncio.gather(
        *(opened.source.read(REF) for _ in range(20)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {LoginDenied}
    assert vault.count(LOGIN) == 1, "one refusal holds for all who waited"
    assert "canary-wrong" not in "".join(map(told, filter(None, map(as_error, outcomes))))
    for _ in range(100):
        vault.advance(10)
        with pytest.raises(SourceDenied, match=r"approle login was refused \(HTTP 400\)"):
            await opened.source.read(REF)
    assert vault.count(LOGIN) < 14

    (tmp_path / "secret_id").write_text(SECRET_ID)
    vault.advance(301)
    await opened.source.read(REF)
    assert {event for event in opened.told if event[0] == "login"} == {
        ("login", "login_denied"),
        ("login", "ok"),
    }


def as_error(outcome: object) -> BaseException | None:
    return outcome if isinstance(outcome, BaseException) else None


async def test_a_login_that_gets_no_answer_is_tried_again_soon(
    vault: FakeVault, source: Open, kubernetes: dict[str, Any]
) -> None:
    opened = source(auth=kubernetes)
    vault.fail(LOGIN, Reply(500, b'{"errors": ["local node not active"]}'))
    vault.fail(LOGIN, Trouble.RESET_AFTER)
    for words in ("answered by HTTP 500", "login: no answer"):
        with pytest.raises(SourceUnavailable, match=words):
            await opened.source.read(REF)
        vault.advance(2)
    await opened.source.read(REF)


@pytest.mark.parametrize(
    "granted",
    [
        {"client_token": ""},
        {"client_token": None},
        {"client_token": "", "mfa_requirement": {"mfa_request_id": "x"}},
    ],
)
async def test_a_login_without_a_token_is_none(
    vault: FakeVault, source: Open, approle: dict[str, Any], granted: dict[str, Any]
) -> None:
    vault.logins["approle", "rotator"].granted = granted
    with pytest.raises(SourceDenied, match="gave no token"):
        await source(auth=approle).source.read(REF)


async def test_a_token_without_an_end_is_kept(
    vault: FakeVault, source: Open, approle: dict[str, Any]
) -> None:
    vault.logins["approle", "rotator"].ttl = 0
    opened = source(auth=approle)
    await opened.source.read(REF)
    vault.advance(10**9)
    await opened.source.read(REF)
    assert vault.count(LOGIN) == 1


async def test_a_token_in_a_file_is_read_again(
    vault: FakeVault, source: Open, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(vault.token("reader", "default", ttl=60) + "\n")
    opened = source(auth={"method": "token", "token": {"file": str(file)}})
    await opened.source.read(REF)
    vault.advance(61)
    with pytest.raises(SourceDenied, match="permission denied"):
        await opened.source.read(REF)
    file.write_text(vault.token("reader", "default") + "\n")
    await opened.source.read(REF)


# Requests


async def test_the_namespace_goes_with_every_request(
    vault: FakeVault, source: Open, approle: dict[str, Any]
) -> None:
    vault.namespaces = {"platform/flink"}
    vault.mounts = {("platform/flink", "kv"): 2}
    await source(auth=approle, namespace="platform/flink").source.read(REF)
    assert {seen.headers["x-vault-namespace"] for seen in vault.requests} == {"platform/flink"}
    with pytest.raises(SourceDenied, match="login was refused"):
        await source(auth=approle, namespace="other").source.read(REF)
    with pytest.raises(SecretMissing, match="no such namespace"):
        await source(namespace="other").source.read(REF)


async def test_connections_are_kept_but_not_for_long(vault: FakeVault, source: Open) -> None:
    opened = source()
    await opened.source.read(REF)
    vault.fail(READ, Trouble.RESET)
    await opened.source.read(REF)
    assert vault.reads == 3, "a read that was cut off is tried again"
    vault.fail(READ, Trouble.RESET, None)
    with pytest.raises(SourceUnavailable, match="no answer"):
        await opened.source.read(REF)
    vault.faults.clear()
    await opened.source.read(REF)
    vault.advance(3600)
    await opened.source.read(REF)


@pytest.mark.parametrize("path", ["flink/a b?c#d ü", "/flink/a b?c#d ü/", "flink/%2e%2e/x"])
async def test_odd_names_are_one_path(vault: FakeVault, source: Open, path: str) -> None:
    vault.put(path.strip("/"), {"x": "1"})
    opened = source()
    secret = await opened.source.read(SecretRef("vault", path))
    assert secret.fields == {"x": "1"}
    assert (await opened.source.probe(SecretRef("vault", path))).version == secret.version


@pytest.mark.parametrize("path", ["flink/../admin", "flink//x", ".", "a/./b", "", "/", "a\nb"])
async def test_paths_that_lead_elsewhere_are_refused_unsent(
    vault: FakeVault, source: Open, path: str
) -> None:
    with pytest.raises(SecretInvalid, match="no part of mount and path"):
        await source().source.read(SecretRef("vault", path))
    assert vault.count("*") == 0


async def test_a_redirect_is_not_followed(vault: FakeVault, source: Open) -> None:
    with vault_running() as (other, url):
        other.put("flink/openai", {"api_key": "foreign"})
        vault.fail(READ, Reply(307, b"", {"Location": f"{url}/v1/kv/data/flink/openai"}))
        with pytest.raises(SourceUnavailable, match="it redirects"):
            await source().source.read(REF)
        assert other.count("*") == 0, "the token was sent to another server"


# What goes wrong


def deleted(vault: FakeVault) -> None:
    vault.kv["kv", "flink/openai"][-1].deleted = vault.now


def destroyed(vault: FakeVault) -> None:
    vault.kv["kv", "flink/openai"][-1].destroyed = True


def absent(vault: FakeVault) -> None:
    vault.kv.clear()


def no_mount(vault: FakeVault) -> None:
    vault.mounts.clear()


def mount_of_kv1(vault: FakeVault) -> None:
    vault.mounts["", "kv"] = 1


def value_of_kv1(vault: FakeVault) -> None:
    vault.mounts["", "kv"] = 1
    vault.kv1["kv", "data/flink/openai"] = {"api_key": CANARY}


def upgrading(vault: FakeVault) -> None:
    said = "Upgrading from non-versioned to versioned data. This backend will be unavailable"
    vault.fail(READ, Reply(400, json.dumps({"errors": [said]}).encode()), None)


def sealed(vault: FakeVault) -> None:
    vault.sealed = True


def html(vault: FakeVault) -> None:
    vault.fail(READ, HTML, None)


def nothing(vault: FakeVault) -> None:
    vault.fail(READ, NOTHING, None)


def null(vault: FakeVault) -> None:
    vault.fail(READ, Reply(200, b'{"data": null}'), None)


def a_list(vault: FakeVault) -> None:
    vault.fail(READ, Reply(200, b"[1, 2]"), None)


def no_version(vault: FakeVault) -> None:
    body = {"data": {"data": {"api_key": CANARY}, "metadata": {"version": None}}}
    vault.fail(READ, Reply(200, json.dumps(body).encode()), None)


def cut_off(vault: FakeVault) -> None:
    vault.fail(READ, Trouble.TRUNCATED, None)


def half_of_the_json(vault: FakeVault) -> None:
    vault.fail(READ, Reply(200, b'{"data": {"data": {"api_key": "' + CANARY.encode()), None)


def half_a_character(vault: FakeVault) -> None:
    vault.fail(
        READ, Reply(200, b'{"data": {"data": {"api_key": "' + CANARY.encode() + b"\xff"), None
    )


def too_much(vault: FakeVault) -> None:
    vault.fail(READ, Reply(200, b'{"data": "' + CANARY.encode() * 200_000 + b'"}'), None)


def error_with_a_value(vault: FakeVault) -> None:
    vault.fail(READ, Reply(500, json.dumps({"errors": [f"echo {CANARY}"]}).encode()), None)


def error_of_a_proxy(vault: FakeVault) -> None:
    vault.fail(READ, Reply(502, b"<html>" + CANARY.encode(), {"Content-Type": "text/html"}), None)


def error_of_an_odd_shape(vault: FakeVault) -> None:
    body = json.dumps({"errors": [7, {"x": CANARY}]}).encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    vault.fail(READ, Reply(400, body, headers), None)


def errors_that_are_no_list(vault: FakeVault) -> None:
    vault.fail(READ, Reply(404, json.dumps({"errors": 7, "warnings": CANARY}).encode()), None)


def throttled(vault: FakeVault) -> None:
    vault.fail(READ, Reply(429, b'{"errors": ["rate limit quota exceeded"]}'), None)


def not_replicated(vault: FakeVault) -> None:
    vault.fail(READ, Reply(412, b'{"errors": ["required index state not present"]}'), None)


def hangs(vault: FakeVault) -> None:
    vault.fail(READ, Trouble.HANG, None)


def drips(vault: FakeVault) -> None:
    vault.fail(READ, Trouble.DRIP, None)


def lookup_fails(vault: FakeVault) -> None:
    vault.fail(READ, Reply(403, b'{"errors": ["permission denied"]}'), None)
    vault.fail(
        "GET /v1/auth/token/lookup-self", Reply(503, b'{"errors": ["Vault is sealed"]}'), None
    )


Break = Callable[[FakeVault], None]
BROKEN: dict[Break, tuple[type[SourceError], str]] = {
    deleted: (SecretDeleted, "current version was deleted"),
    destroyed: (SecretDeleted, "current version was destroyed"),
    absent: (SecretMissing, "nothing at this path of mount kv"),
    no_mount: (SecretMissing, "there is no mount kv"),
    mount_of_kv1: (SecretMissing, "or it is no KV v2"),
    value_of_kv1: (SecretInvalid, "is it KV v1"),
    upgrading: (SourceUnavailable, "being upgraded"),
    sealed: (SourceUnavailable, "it is sealed"),
    html: (SourceUnavailable, "no JSON"),
    nothing: (SourceUnavailable, "no JSON"),
    null: (SecretInvalid, "not as KV v2"),
    a_list: (SourceUnavailable, "no JSON"),
    no_version: (SourceUnavailable, "no version"),
    cut_off: (SourceUnavailable, "cut off|no answer from"),
    half_of_the_json: (SourceUnavailable, "no JSON"),
    half_a_character: (SourceUnavailable, "no JSON"),
    too_much: (SourceUnavailable, "more than 4 MiB"),
    error_with_a_value: (SourceUnavailable, "HTTP 500"),
    error_of_a_proxy: (SourceUnavailable, "HTTP 502"),
    error_of_an_odd_shape: (SecretInvalid, "HTTP 400"),
    errors_that_are_no_list: (SecretMissing, "nothing at this path"),
    throttled: (SourceUnavailable, "HTTP 429"),
    not_replicated: (SourceUnavailable, "HTTP 412"),
    hangs: (SourceUnavailable, "no answer"),
    drips: (SourceUnavailable, "no answer"),
    lookup_fails: (SourceUnavailable, "sealed"),
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_what_goes_wrong_is_named_and_holds_no_value(
    vault: FakeVault, source: Open, broken: Break, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broken(vault)
    kind, words = BROKEN[broken]
    opened = source(timeout="400ms" if broken in {hangs, drips} else "5s")
    started = monotonic()
    with pytest.raises(kind, match=words) as caught:
        await opened.source.read(REF)
    assert monotonic() - started < 4
    assert str(caught.value).startswith("source vault, flink/openai: ")
    assert isinstance(caught.value, kind)
    for value in (CANARY, ROOT):
        assert value not in told(caught.value)
        assert value not in caplog.text
    assert opened.told == [("read", kind.result)]


@pytest.mark.parametrize("broken", [destroyed, absent, no_mount, sealed], ids=lambda b: b.__name__)
async def test_a_probe_fails_as_a_read_does(vault: FakeVault, source: Open, broken: Break) -> None:
    broken(vault)
    with pytest.raises(BROKEN[broken][0]):
        await source().source.probe(REF)


async def test_metadata_without_versions_is_no_secret(vault: FakeVault, source: Open) -> None:
    vault.fail(PROBE, Reply(200, b'{"data": {"current_version": 0, "versions": {}}}'))
    with pytest.raises(SecretMissing, match="no version"):
        await source().source.probe(REF)


async def test_no_token_or_one_that_no_header_can_hold(
    source: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = source()
    monkeypatch.setenv("TEST_TOKEN", "wrong")
    with pytest.raises(SourceDenied, match="permission denied: its token is not valid"):
        await opened.source.read(REF)
    for bad in ("canary\r\nX-Evil: 1", "canary token", "canary-tökén", "canary-\u2028"):
        monkeypatch.setenv("TEST_TOKEN", bad)
        with pytest.raises(SourceDenied, match="a character that no token has") as caught:
            await opened.source.read(REF)
        assert "canary" not in told(caught.value)
    monkeypatch.delenv("TEST_TOKEN")
    with pytest.raises(SourceDenied, match=r"auth\.token: environment variable TEST_TOKEN"):
        await opened.source.read(REF)
    monkeypatch.setenv("TEST_TOKEN", ROOT)
    with pytest.raises(SourceUnavailable, match="what no HTTP header can"):
        await source(namespace="日本").source.read(REF)


async def test_nobody_there(source: Open) -> None:
    opened = source(url="http://127.0.0.1:9")
    with pytest.raises(SourceUnavailable, match=r"no answer from http://127\.0\.0\.1:9 \("):
        await opened.source.read(REF)


# TLS


async def test_the_ca_of_ca_file_is_trusted_and_no_other(
    source: Open, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with vault_running(certificates.server) as (vault, _):
        vault.put("flink/openai", {"api_key": CANARY})
        trusting = source(vault, ca_file=str(certificates.ca))
        assert (await trusting.source.read(REF)).fields == {"api_key": CANARY}

        for bundle in (None, str(certificates.other_ca)):
            options = {"ca_file": bundle} if bundle else {}
            with pytest.raises(SourceUnavailable, match="is not trusted"):
                await source(vault, **options).source.read(REF)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.ca))
        with pytest.raises(SourceUnavailable, match="is not trusted"):
            await source(vault).source.read(REF)

        (tmp_path / "empty.pem").touch()
        for name, words in (("none.pem", "No such file"), ("empty.pem", "no certificate")):
            with pytest.raises(SourceError, match=rf"ca_file .*{name} .*{words}"):
                await source(vault, ca_file=str(tmp_path / name)).source.read(REF)


# Closing


async def test_a_server_that_hangs_while_a_source_is_closed_does_not_stop_the_event_loop(
    vault: FakeVault, source: Open, approle: dict[str, Any]
) -> None:
    opened = source(auth=approle)
    await opened.source.read(REF)
    vault.fail(REVOKE, Trouble.HANG)
    started = monotonic()
    closing = asyncio.create_task(opened.source.aclose())
    await until(lambda: vault.count(REVOKE) == 1)
    assert not closing.done(), "nothing else ran until it was closed"
    await closing
    assert monotonic() - started < LONGEST_CLOSING
