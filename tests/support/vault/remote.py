"""A Vault that is only used over HTTP, be it the fake or a real one, and is left as it was
found."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.vault.server import vault_running
from tests.support.vault.state import ROOT
from tests.support.waiting import DEADLINE

ADDRESS, TOKEN = "ROTATOR_TEST_VAULT_ADDR", "ROTATOR_TEST_VAULT_TOKEN"
"""Environment variables: the address of a real server, and its root token."""

HAVE_REAL = bool(os.environ.get(ADDRESS) and os.environ.get(TOKEN))


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: dict[str, Any]
    """Empty if there was no body."""
    headers: Mapping[str, str]

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["data"]
        return found

    @property
    def auth(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["auth"]
        return found

    @property
    def errors(self) -> list[str]:
        found: list[str] = self.body["errors"]
        return found


@dataclass(slots=True)
class Remote:
    """What it makes has random names, and `close` removes it."""

    client: httpx.AsyncClient
    root: str
    _undo: list[tuple[str, str, dict[str, Any], str]] = field(default_factory=list)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "",
        namespace: str = "",
        **headers: str,
    ) -> Answer:
        """Sends `token`: by default root's; None sends none."""
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        if token is not None:
            sent["X-Vault-Token"] = token or self.root
        if namespace:
            sent["X-Vault-Namespace"] = namespace
        content = None if body is None else json.dumps(body)
        answer = await self.client.request(method, f"/v1/{path}", headers=sent, content=content)
        return Answer(answer.status_code, answer.json() if answer.content else {}, answer.headers)

    async def do(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """A request that must succeed."""
        answer = await self.ask(method, path, body, **more)
        assert answer.status < 300, (method, path, answer.status, answer.body.get("errors"))
        return answer

    async def mount(self, kind: str, namespace: str = "", **options: str) -> str:
        name = f"rotator-test-{secrets.token_hex(6)}"
        sent = {"type": kind, "options": options}
        await self.do("POST", f"sys/mounts/{name}", sent, namespace=namespace)
        self._undo.append(("DELETE", f"sys/mounts/{name}", {}, namespace))
        if options.get("version") == "2":
            await self._upgraded(name, namespace)
        return name

    async def _upgraded(self, mount: str, namespace: str) -> None:
        """Waits for a new mount of version 2: it answers as version 1 for a moment."""
        async with asyncio.timeout(DEADLINE):
            while True:
                answer = await self.ask("GET", f"{mount}/data/none", namespace=namespace)
                if answer.status != 400:
                    break

    async def login_method(self, kind: str, namespace: str = "") -> str:
        name = f"rotator-test-{secrets.token_hex(6)}"
        await self.do("POST", f"sys/auth/{name}", {"type": kind}, namespace=namespace)
        self._undo.append(("DELETE", f"sys/auth/{name}", {}, namespace))
        return name

    async def policy(self, rules: Mapping[str, list[str]], namespace: str = "") -> str:
        name = f"rotator-test-{secrets.token_hex(6)}"
        paths = {path: {"capabilities": granted} for path, granted in rules.items()}
        sent = {"policy": json.dumps({"path": paths})}
        await self.do("PUT", f"sys/policies/acl/{name}", sent, namespace=namespace)
        self._undo.append(("DELETE", f"sys/policies/acl/{name}", {}, namespace))
        return name

    async def token(self, *policies: str, namespace: str = "", **options: Any) -> str:
        sent = {"policies": list(policies), "ttl": "10m", **options}
        answer = await self.do("POST", "auth/token/create", sent, namespace=namespace)
        made: str = answer.auth["client_token"]
        if options.get("type") != "batch":  # which can't be revoked, and ends by itself
            self._undo.append(("POST", "auth/token/revoke", {"token": made}, namespace))
        return made

    async def namespace(self) -> str | None:
        """Makes a namespace; None if the server has none (Vault's community edition)."""
        name = f"rotator-test-{secrets.token_hex(6)}"
        answer = await self.ask("POST", f"sys/namespaces/{name}", {})
        if answer.status == 404:
            return None
        assert answer.status < 300, answer.body.get("errors")
        self._undo.append(("DELETE", f"sys/namespaces/{name}", {}, ""))
        return name

    async def close(self) -> None:
        """Removes everything that can be removed, even if some of it fails."""
        left = []
        for method, path, body, namespace in reversed(self._undo):
            try:
                answer = await self.ask(method, path, body or None, namespace=namespace)
            except httpx.HTTPError as error:
                left.append(f"{path}: {type(error).__name__}")
            else:
                gone = path == "auth/token/revoke"  # by the test itself
                if answer.status >= 300 and not gone:
                    left.append(f"{path}: HTTP {answer.status}")
        assert not left, f"not removed: {left}"


@asynccontextmanager
async def remote(*, real: bool) -> AsyncIterator[Remote]:
    if real:
        async with _opened(os.environ[ADDRESS], os.environ[TOKEN]) as made:
            yield made
    else:
        with vault_running() as (_, url):
            async with _opened(url, ROOT) as made:
                yield made


@asynccontextmanager
async def _opened(address: str, root: str) -> AsyncIterator[Remote]:
    # A real server may have a certificate of its own: SSL_CERT_FILE names the CA.
    async with httpx.AsyncClient(base_url=address, timeout=DEADLINE) as client:
        made = Remote(client, root)
        try:
            yield made
        finally:
            await made.close()
