"""The one fake Vault: KV v2, token, AppRole and Kubernetes logins, over real HTTP on loopback.

It answers as a server does (../shared holds 105 answers of a real OpenBao, which a contract test
compares), has a clock of the test's own, and fails on order.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = "root-token"
MOUNT = "kv"
_DENIED = {"errors": ["permission denied"]}


@dataclass(slots=True)
class Answer:
    status: int
    document: Mapping[str, Any] | None = None
    body: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False


@dataclass(slots=True)
class Version:
    data: Mapping[str, Any]
    created: str
    deleted: str = ""
    destroyed: bool = False

    def metadata(self) -> dict[str, Any]:
        return {
            "created_time": self.created,
            "deletion_time": self.deleted,
            "destroyed": self.destroyed,
        }


@dataclass(slots=True)
class Token:
    ends: float = float("inf")
    paths: tuple[str, ...] = ("",)
    """Prefixes that its policies permit."""


class Vault:
    """State and answers; `requests` counts method and path."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tokens: dict[str, Token] = {ROOT: Token()}
        self.secrets: dict[str, list[Version]] = {}
        self.roles: dict[str, tuple[str, float]] = {}
        """Kubernetes role or AppRole id → jwt or secret id that it takes, and the TTL it grants."""
        self.granted_paths: tuple[str, ...] = ("",)
        self.sealed = False
        self.requests: Counter[tuple[str, str]] = Counter()
        self.namespaces: set[str | None] = set()
        self.faults: dict[str, list[Answer]] = {}
        """Path → answers that come first."""
        self.released = threading.Event()
        self._stamp = 0

    def put(self, path: str, data: Mapping[str, Any]) -> None:
        self._stamp += 1
        version = Version(dict(data), f"2026-11-20T12:00:{self._stamp:02d}.123456789Z")
        self.secrets.setdefault(path, []).append(version)

    def fail(self, path: str, *answers: Answer) -> None:
        self.faults.setdefault(path, []).extend(answers)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.requests[method, path] += 1
        self.namespaces.add(headers.get("X-Vault-Namespace"))
        if self.faults.get(path):
            return self.faults[path].pop(0)
        if self.sealed:
            return Answer(503, {"errors": ["Vault is sealed"]})
        if path.startswith("auth/") and path.endswith("/login"):
            return self._login(path, json.loads(body))
        token = self.tokens.get(headers.get("X-Vault-Token", ""))
        if token is None or token.ends <= self.now:
            return Answer(403, _DENIED)
        if path == "auth/token/lookup-self":
            return Answer(200, _envelope({"ttl": 3600, "renewable": False}))
        if not path.startswith(token.paths):
            return Answer(403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]})
        mount, _, rest = path.partition("/")
        if mount != MOUNT:
            return Answer(
                404, {"errors": [f'no handler for route "{path}". route entry not found.']}
            )
        part, _, name = rest.partition("/")
        return self._kv(part, name)

    def _kv(self, part: str, name: str) -> Answer:
        versions = self.secrets.get(name)
        if versions is None or part not in {"data", "metadata"}:
            return Answer(404, {"errors": []})
        number, latest = len(versions), versions[-1]
        if part == "metadata":
            listed = {str(index): version.metadata() for index, version in enumerate(versions, 1)}
            data = {
                "cas_required": False,
                "created_time": versions[0].created,
                "current_version": number,
                "custom_metadata": None,
                "delete_version_after": "0s",
                "max_versions": 0,
                "oldest_version": 0,
                "updated_time": latest.created,
                "versions": listed,
            }
            return Answer(200, _envelope(data))
        gone = latest.destroyed or latest.deleted != ""
        metadata = {**latest.metadata(), "custom_metadata": None, "version": number}
        data = {"data": None if gone else latest.data, "metadata": metadata}
        return Answer(404 if gone else 200, _envelope(data))

    def _login(self, path: str, given: Mapping[str, str]) -> Answer:
        kubernetes = "jwt" in given
        role = given["role"] if kubernetes else given["role_id"]
        proof = given["jwt"] if kubernetes else given["secret_id"]
        wanted, ttl = self.roles.get(role, ("", 0.0))
        if not wanted or proof != wanted:
            said = "permission denied" if kubernetes else "invalid role or secret ID"
            return Answer(403 if kubernetes else 400, {"errors": [said]})
        token = f"hvs.granted-{len(self.tokens)}"
        self.tokens[token] = Token(self.now + ttl, self.granted_paths)
        auth = {
            "client_token": token,
            "accessor": "accessor",
            "lease_duration": int(ttl),
            "renewable": True,
            "token_type": "service",
            "mfa_requirement": None,
        }
        return Answer(200, {**_envelope(None), "auth": auth})


def _envelope(data: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "request_id": "7e1c3f5a-0000-4000-8000-000000000000",
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": data,
        "wrap_info": None,
        "warnings": None,
        "auth": None,
    }


@contextmanager
def vault_running() -> Iterator[tuple[Vault, str]]:
    """The fake and its address."""
    vault = Vault()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(vault.answer, vault.released))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield vault, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        vault.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


Answers = Callable[[str, str, Mapping[str, str], bytes], Answer]


def _handler(answers: Answers, released: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = unquote(urlsplit(self.path).path.removeprefix("/v1/"))
            answer = answers(self.command, path, dict(self.headers.items()), body)
            if answer.hang:
                released.wait()
                return
            content = answer.body
            if content is None:
                content = b"" if answer.document is None else json.dumps(answer.document).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(content)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - as http.server wants it
        do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    return Handler
