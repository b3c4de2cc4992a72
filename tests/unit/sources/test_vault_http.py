"""The way to Vault: retries within the deadline, redirects, TLS, proxies."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from rotator.errors import SourceError, SourceUnavailable
from tests.support.certificates import Certificates, certificates
from tests.support.faulty import FaultyServer, Reply, Request, Trouble
from tests.support.vault import FakeVault, vault_running
from tests.support.vault_reading import KV, Readers, reader, vault

__all__ = ["certificates", "reader", "vault"]

READ = "GET /v1/kv/data/*"


def said(status: int, text: str, **headers: str) -> Reply:
    body = f'{{"errors": ["{text}"]}}'.encode()
    return Reply(status, body, {"Content-Type": "application/json", **headers})


FLEETING = {
    "election": said(500, "local node not active but active cluster node not found"),
    "sealed": said(503, "Vault is sealed"),
    "third party": said(502, "bad gateway"),
    "throttled": said(429, "rate limit quota exceeded"),
    "not replicated": said(412, "required index state not present"),
}


@pytest.mark.parametrize("name", FLEETING)
def test_what_passes_is_tried_again(vault: FakeVault, reader: Readers, name: str) -> None:
    vault.fail(READ, FLEETING[name], 2)
    assert reader().read(KV).fields == {"api_key": "canary-value"}
    assert vault.reads == 3
    assert len(reader.slept) == 2
    vault.fail(READ, FLEETING[name], None)
    with pytest.raises(SourceUnavailable):
        reader().read(KV)
    assert vault.reads == 6, "and three times only"


def test_it_waits_for_as_long_as_the_server_asks(vault: FakeVault, reader: Readers) -> None:
    """As Retry-After says where the server sends it; otherwise the pauses grow."""
    vault.fail(READ, said(429, "rate limit quota exceeded", **{"Retry-After": "2"}))
    reader().read(KV)
    assert reader.slept == [2.0]
    vault.fail(READ, said(429, "rate limit quota exceeded", **{"Retry-After": "60"}), None)
    with pytest.raises(SourceUnavailable, match="HTTP 429"):
        reader().read(KV)
    assert reader.slept == [2.0], "not beyond the deadline"


def test_a_reset_is_tried_again_and_a_refusal_is_not(vault: FakeVault, reader: Readers) -> None:
    vault.fail(READ, Trouble.RESET)
    reader().read(KV)
    assert vault.reads == 2
    vault.fail(READ, said(400, "no"), None)
    with pytest.raises(SourceError):
        reader().read(KV)
    assert vault.reads == 3


@pytest.mark.parametrize("trouble", [Trouble.HANG, Trouble.DRIP])
def test_one_deadline_for_all_tries(vault: FakeVault, reader: Readers, trouble: Trouble) -> None:
    vault.fail(READ, trouble, None)
    started = monotonic()
    with pytest.raises(SourceUnavailable, match=r"no answer from http://127.0.0.1:\d+"):
        reader(timeout="500ms").read(KV)
    assert monotonic() - started < 2


# Redirects


def leading_to(url: str) -> Reply:
    return Reply(307, b"", {"Location": f"{url}/v1/kv/data/flink/openai"})


def test_a_standby_leads_to_the_active_node(reader: Readers, vault: FakeVault) -> None:
    """The method and the token stay the same, and the configuration allows the address."""
    with vault_running() as (standby, url):
        standby.fail("*", leading_to(vault.url), None)
        opened = reader(url=url, redirects=[vault.url], namespace=None)
        assert opened.read(KV).fields == {"api_key": "canary-value"}
    (seen,) = vault.requests
    assert (seen.method, seen.headers["x-vault-request"]) == ("GET", "true")
    assert seen.headers["x-vault-token"]


def test_the_token_is_sent_nowhere_else(reader: Readers, vault: FakeVault) -> None:
    with vault_running() as (standby, url):
        standby.fail("*", leading_to(vault.url), None)
        with pytest.raises(SourceUnavailable, match="not among redirects"):
            reader(url=url).read(KV)
    assert vault.requests == []


def test_a_circle_of_redirects_ends(reader: Readers, vault: FakeVault) -> None:
    vault.fail("*", leading_to(vault.url), None)
    with pytest.raises(SourceUnavailable, match="it redirects again and again"):
        reader().read(KV)
    assert len(vault.requests) == 3


# TLS


def secure(reader: Readers, server: FakeVault, **options: Any) -> Any:
    server.put("flink/openai", {"api_key": "canary-secure"})
    return reader(url=server.url, **options).read(KV).fields


def test_a_client_certificate_is_shown(reader: Readers, certificates: Certificates) -> None:
    ca = {"ca_file": str(certificates.ca)}
    with vault_running(certificates.mutual) as (server, _):
        own = {"client_certificate": {"cert_file": str(certificates.client)}}
        assert secure(reader, server, **ca, **own) == {"api_key": "canary-secure"}
        with pytest.raises(SourceUnavailable, match=r"wants one of ours|no answer"):
            secure(reader, server, **ca)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "can't be read: No such file"),
        ("", "holds no certificate in PEM, or key_file not its key"),
        ("-----BEGIN CERTIFICATE-----\n", "holds no certificate in PEM"),
    ],
)
def test_an_invalid_client_certificate(
    reader: Readers, certificates: Certificates, tmp_path: Path, content: str | None, words: str
) -> None:
    file = tmp_path / "own.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SourceError, match=f"client_certificate.cert_file {file} {words}"):
        reader(client_certificate={"cert_file": str(file)}).read(KV)


def test_a_ca_file_without_a_certificate(reader: Readers, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(SourceError, match=f"ca_file {file} holds no certificate in PEM"):
        reader(ca_file=str(file)).read(KV)


def test_another_ca_and_another_name_are_refused(
    reader: Readers, certificates: Certificates
) -> None:
    with vault_running(certificates.server) as (server, _):
        with pytest.raises(SourceUnavailable, match="not trusted, or not its own"):
            secure(reader, server, ca_file=str(certificates.other_ca))
        with pytest.raises(SourceUnavailable, match="not trusted, or not its own"):
            secure(reader, server, ca_file=str(certificates.ca), tls_server_name="vault.internal")
        assert secure(
            reader, server, ca_file=str(certificates.ca), tls_server_name="127.0.0.1"
        ) == {"api_key": "canary-secure"}


# Proxies


def test_a_proxy_only_where_one_is_configured(vault: FakeVault, reader: Readers) -> None:
    asked: list[str] = []

    def forward(request: Request) -> Reply:
        asked.append(request.path)
        return Reply(502, b"")

    proxy = FaultyServer(forward)
    with proxy.serving():
        reader.environment.setenv("HTTP_PROXY", proxy.url)
        assert reader().read(KV).fields
        assert asked == []
        with pytest.raises(SourceUnavailable, match="HTTP 502"):
            reader(proxy=proxy.url).read(KV)
    assert asked
    assert asked[0].startswith(vault.url)
