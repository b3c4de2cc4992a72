"""A Vault over HTTP. `State` holds what it knows and does; this file holds the order of its checks.

https://github.com/openbao/openbao/blob/main/vault/request_handling.go
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tests.support.faulty import FaultyServer, Reply, Request
from tests.support.vault import (
    engines,
    kv,
    logins,
    roles,
    system,
    tokens,
    wrapping,
)
from tests.support.vault.answers import (
    DENIED,
    DENIED_BY_POLICY,
    DENIED_BY_VAULT,
    Answered,
    refused,
)
from tests.support.vault.calls import Call, call_of
from tests.support.vault.mounts import engine_of, mount_of
from tests.support.vault.policies import NEEDED
from tests.support.vault.state import Profile, State
from tests.support.vault.things import Token

_ROOT_ONLY = ("health", "seal", "unseal", "init", "step-down", "rekey", "storage", "generate-root")


class FakeVault(State, FaultyServer):
    """`advance` moves its time; `put` and others do what a person does; faults work as in
    FaultyServer."""

    def __init__(self, tls: ssl.SSLContext | None = None, profile: Profile = "openbao") -> None:
        State.__init__(self, profile)
        FaultyServer.__init__(self, self._reply, tls, self.lock)

    @property
    def reads(self) -> int:
        return self.count("GET /v1/*/data/*")

    def _reply(self, request: Request) -> Reply:
        self.settle()
        call = call_of(request, self.namespaces)
        try:
            body = self._handle(call)
            if wrapping.HEADER in request.headers and isinstance(body, dict):
                body = wrapping.wrap(self, call, body)
            answered = Answered(200, body)
        except Answered as early:
            answered = early
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if namespace := request.headers.get("x-vault-namespace"):
            headers["X-Vault-Namespace"] = namespace
        body = answered.body
        content = b"" if body is None else json.dumps(body).encode() + b"\n"
        return Reply(answered.status, content, headers | dict(answered.headers))

    def _handle(self, call: Call) -> Any:
        self._check_form(call)
        if call.path == "sys/health":
            return system.health(self, call)
        if call.path == "sys/seal-status":
            return system.seal_status(self, call)
        if self.sealed:
            raise refused(503, ["Vault is sealed"])
        if call.namespace not in self.namespaces:
            raise refused(404, ["namespace not found"])
        if logins.is_login(call.path):
            return logins.answer(self, call)
        if call.path == "sys/wrapping/lookup":
            return wrapping.lookup(self, call)
        if wrapping.unwraps_itself(self, call):
            return wrapping.unwrap(self, call)
        token = self._valid(call.presented)
        try:
            return self._route(replace(call, token=token), token)
        finally:
            if token.spent:
                self.revoke_token(token.id)

    def _check_form(self, call: Call) -> None:
        if not call.path.isprintable():
            raise Answered(400)
        if len(call.request.body) > self.largest_body:
            raise refused(413, ["http: request body too large"])
        first, _, rest = call.path.partition("/")
        if call.namespace and first == "sys" and rest.split("/")[0] in _ROOT_ONLY:
            raise refused(400, ["operation unavailable in namespaces"])
        limit = self.limited.get(call.path)
        if limit is not None and limit.strikes():
            said = f'request path "{call.path}": rate limit quota exceeded'
            told = {"Retry-After": "4", "X-RateLimit-Limit": "1"} if limit.headers else {}
            raise refused(429, [said], told)
        if ".." in call.path.split("/"):
            raise refused(400, ["path cannot contain parent references"])

    def _valid(self, presented: str) -> Token:
        token = self.tokens.get(presented)
        if token is None:
            raise refused(
                403, DENIED_BY_VAULT if presented and self.profile != "openbao" else DENIED
            )
        if token.unseen > 0:
            token.unseen -= 1
            raise refused(412, ["required index state not present"])
        token.spent = token.uses == 1
        token.uses = max(0, token.uses - 1)
        return token

    def _route(self, call: Call, token: Token) -> Any:
        if call.path in tokens.SELF:
            call = replace(call, namespace=token.namespace)
        if call.path.startswith("sys/internal/ui/mounts/") and call.method == "GET":
            return system.mount_details(self, call, token)
        granted = system.allowed(self, token, call, call.path)
        if not granted & (NEEDED.get(call.method, set()) | {"root"}):
            raise refused(403, DENIED_BY_POLICY)
        if call.path.startswith("auth/token/"):
            return tokens.answer(self, call)
        if call.path.startswith("auth/"):
            return roles.of_login(self, call)
        if call.path.startswith("sys/"):
            return system.answer(self, call)
        return self._engine(call)

    def _engine(self, call: Call) -> Any:
        mount = mount_of(self, call.namespace, call.path)
        if mount is None:
            raise refused(404, [f'no handler for route "{call.path}". route entry not found.'])
        engine = engine_of(self, call.namespace, mount)
        below = call.below(mount)
        if engine == 1:
            return kv.version_1(self, below, mount)
        if engine == 2:
            return kv.version_2(self, below, mount)
        if engine == "ssh" and below.path.startswith("roles/"):
            return roles.of_ssh(self, below, mount)
        return engines.answer(self, below, mount)


@contextmanager
def vault_running(
    tls: ssl.SSLContext | None = None, profile: Profile = "openbao"
) -> Iterator[tuple[FakeVault, str]]:
    """The fake and its address."""
    vault = FakeVault(tls, profile)
    with vault.serving():
        yield vault, vault.url
