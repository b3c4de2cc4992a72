"""No value, however it goes wrong, is in what a Vault source says, logs, tells or shows."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rotator.errors import SourceError
from rotator.model.secret import SecretRef
from rotator.sources.vault import VaultReader
from tests.support.faulty import Reply, Trouble
from tests.support.vault import DatabaseRole, FakeVault, Login
from tests.support.vault_reading import KV, Readers, reader, vault

__all__ = ["reader", "vault"]

CANARY = "canary"
MADE = SecretRef("vault", "creds/flink", "database", holder="mongodb")
ECHO = b'{"errors": ["canary of the body"], "data": {"api_key": "canary-value"}, "auth": "canary"}'

Ask = Callable[[VaultReader], object]
ASKED: dict[str, Ask] = {
    "read": lambda opened: opened.read(KV),
    "probe": lambda opened: opened.probe(KV),
    "make": lambda opened: opened.read(MADE),
    "renew": lambda opened: opened.renew("database/creds/flink/x", 60),
    "revoke": lambda opened: opened.revoke("database/creds/flink/x"),
    "keep_alive": lambda opened: opened.keep_alive(),
    "examine": lambda opened: opened.examine([KV, MADE], [KV]),
}
TROUBLES: dict[str, Reply | Trouble] = {
    "400": Reply(400, ECHO),
    "403": Reply(403, ECHO),
    "404": Reply(404, ECHO),
    "500": Reply(500, ECHO),
    "503": Reply(503, ECHO),
    "418": Reply(418, ECHO),
    "307": Reply(307, ECHO, {"Location": "http://canary.example.com/v1/canary"}),
    "another": Reply(200, ECHO),
    "html": Reply(200, b"<html>canary-value</html>", {"Content-Type": "text/html"}),
    "half": Reply(200, b'{"data": {"data": {"api_key": "canary-value'),
    "latin": Reply(200, b'{"data": {"data": {"api_key": "canary-value\xff"}}}'),
    "cut off": Trouble.TRUNCATED,
    "reset": Trouble.RESET_AFTER,
}


@pytest.fixture
def logins(vault: FakeVault, reader: Readers, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Every credential is a canary, and so is every token that they lead to."""
    vault.databases["database", "flink"] = DatabaseRole(prefix="canary-")
    granted = (("reader",), 600.0)
    for mount, login in {
        "approle": Login({"secret_id": "canary-secret-id"}, *granted),
        "kubernetes": Login({"jwt": "canary.jwt"}, *granted),
        "jwt": Login({"jwt": "canary.jwt"}, *granted, method="jwt"),
        "userpass": Login({"password": "canary-password"}, *granted),
    }.items():
        vault.logins[mount, "rotator"] = login
        login.granted = {"client_token": token(vault, f"canary-token-{mount}")}
    file = tmp_path / "jwt"
    file.write_text("canary.jwt")
    for name in ("SECRET_ID", "PASSWORD", "TEST_TOKEN"):
        reader.environment.setenv(name, f"canary-{name.lower().replace('_', '-')}")
    token(vault, "canary-test-token")
    return {
        "approle": {"method": "approle", "role_id": "rotator", "secret_id": {"env": "SECRET_ID"}},
        "kubernetes": {"method": "kubernetes", "role": "rotator", "token_file": str(file)},
        "jwt": {"method": "jwt", "role": "rotator", "jwt": {"file": str(file)}},
        "userpass": {
            "method": "userpass",
            "username": "rotator",
            "password": {"env": "PASSWORD"},
        },
        "token": {"method": "token", "token": {"env": "TEST_TOKEN"}},
    }


def token(vault: FakeVault, name: str) -> str:
    vault.tokens[name] = replace(vault.tokens[vault.token("reader", ttl=86400)], id=name)
    return name


METHODS = ("approle", "kubernetes", "jwt", "userpass", "token")


def said(outcome: object) -> str:
    if not isinstance(outcome, BaseException):
        return repr(outcome)
    shown = "".join(traceback.format_exception(outcome))
    return f"{shown} {outcome!r} {outcome.__dict__}"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_nothing_is_said(
    vault: FakeVault,
    reader: Readers,
    logins: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    method: str,
    trouble: str,
) -> None:
    """By the login, and by whatever is asked with the token that it gives."""
    caplog.set_level(logging.DEBUG)
    what = TROUBLES[trouble]
    outcomes: list[object] = []
    for route in ("* /v1/auth/*/login*", "* /v1/*"):
        opened = reader(auth=logins[method])
        if route == "* /v1/*":
            opened.read(MADE)
        for name, ask in ASKED.items():
            vault.faults.clear()
            vault.fail(route, what, None)
            vault.advance(61)
            try:
                outcomes.append((name, ask(opened)))
            except SourceError as error:
                outcomes.append(error)
        vault.faults.clear()
        outcomes.append(opened._tokens._token)
    assert any(isinstance(outcome, SourceError) for outcome in outcomes)
    assert CANARY in repr(vault.requests), "it was there to be shown"
    told = [*map(said, outcomes), *map(repr, reader.events), caplog.text]
    told += [repr(record.args) + repr(record.msg) for record in caplog.records]
    assert CANARY not in " ".join(told)
