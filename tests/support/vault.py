"""A Vault over HTTP: tokens that end, policies, KV, AppRole and Kubernetes logins.

Status codes, envelopes and words are those that an OpenBao 2.6.2 was seen to answer with.
"""

from __future__ import annotations

import json
import secrets
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.faulty import FaultyServer, Reply, Request

ROOT = "root-token"
START = datetime(2026, 11, 20, 12, tzinfo=UTC)
DENIED = ["permission denied"]
DENIED_BY_POLICY = ["1 error occurred:\n\t* permission denied\n\n"]
ROLE_DENIED = ["invalid role or secret ID"]


class Answered(Exception):
    """Ends the handling of a request."""

    def __init__(self, status: int, body: Any = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def refused(status: int, errors: list[str]) -> Answered:
    return Answered(status, {"errors": errors})


def envelope(data: Any, **others: Any) -> dict[str, Any]:
    return {
        "request_id": secrets.token_hex(16),
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": data,
        "wrap_info": None,
        "warnings": None,
        "auth": None,
        **others,
    }


@dataclass(slots=True)
class Token:
    id: str
    policies: tuple[str, ...]
    issued: datetime
    ttl: float
    uses: int = 0
    """How many are left; 0 is no limit."""
    path: str = "auth/token/create"


@dataclass(slots=True)
class Version:
    data: Mapping[str, Any]
    created: datetime
    deleted: datetime | None = None
    destroyed: bool = False

    def metadata(self) -> dict[str, Any]:
        return {
            "created_time": stamp(self.created),
            "deletion_time": stamp(self.deleted) if self.deleted else "",
            "destroyed": self.destroyed,
        }


@dataclass(slots=True)
class Login:
    """A role: what must be sent, and what is granted for it."""

    expected: Mapping[str, str]
    policies: tuple[str, ...]
    ttl: float
    uses: int = 0
    """How many logins are left; 0 is no limit."""
    granted: dict[str, Any] = field(default_factory=dict)
    """Overrides of the answer's `auth`."""


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f789Z")


class FakeVault(FaultyServer):
    """`advance` moves its time; `put` and the like do what a person does; faults as inherited."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._reply, tls)
        self.now = START
        self.sealed = False
        self.namespaces = {""}
        self.mounts = {("", "kv"): 2}
        """(namespace, mount) → version of KV."""
        self.kv: dict[tuple[str, str], list[Version]] = {}
        """(mount, path) → versions, the first first."""
        self.kv1: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.tokens = {ROOT: Token(ROOT, ("root",), START, 0)}
        self.policies: dict[str, tuple[str, ...]] = {"default": ("auth/token/lookup-self",)}
        """Name → paths, a `*` at the end allowed."""
        self.logins: dict[tuple[str, str], Login] = {}
        """(mount, role or role_id) → role."""

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def seconds(self) -> float:
        """Its time, for a client that keeps to it."""
        return self.now.timestamp()

    def token(self, *policies: str, ttl: float = 3600, uses: int = 0) -> str:
        made = Token(f"s.{secrets.token_hex(12)}", policies, self.now, ttl, uses)
        self.tokens[made.id] = made
        return made.id

    def put(self, path: str, data: Mapping[str, Any], mount: str = "kv") -> Version:
        self.advance(1)
        version = Version(data, self.now)
        self.kv.setdefault((mount, path), []).append(version)
        return version

    @property
    def reads(self) -> int:
        return self.count("GET /v1/*/data/*")

    # Answers

    def _reply(self, request: Request) -> Reply:
        try:
            body = self._handle(request)
        except Answered as answered:
            status, body = answered.status, answered.body
        else:
            status = 200
        content = b"" if body is None else json.dumps(body).encode() + b"\n"
        return Reply(status, content)

    def _handle(self, request: Request) -> Any:
        path = unquote(urlsplit(request.path).path).removeprefix("/v1/")
        namespace = request.headers.get("x-vault-namespace", "").strip("/")
        if self.sealed:
            raise refused(503, ["Vault is sealed"])
        if namespace not in self.namespaces:
            raise refused(404, ["namespace not found"])
        if request.method == "POST" and path.startswith("auth/") and path.endswith("/login"):
            mount = path.removeprefix("auth/").removesuffix("/login")
            return self._login(mount, json.loads(request.body))
        token = self._valid(request.headers.get("x-vault-token", ""))
        if not self._permits(token, path):
            raise refused(403, DENIED_BY_POLICY)
        if path == "auth/token/lookup-self":
            return envelope(self._about(token))
        mount, _, rest = path.partition("/")
        version = self.mounts.get((namespace, mount))
        if version is None:
            raise refused(404, [f'no handler for route "{path}". route entry not found.'])
        if version == 1:
            return self._kv1(request, mount, rest)
        return self._kv2(request, mount, rest)

    def _valid(self, presented: str) -> Token:
        token = self.tokens.get(presented)
        if token is None or (token.ttl and (self.now - token.issued).total_seconds() > token.ttl):
            raise refused(403, DENIED)
        if token.uses == 1:
            del self.tokens[presented]
        token.uses = max(0, token.uses - 1)
        return token

    def _permits(self, token: Token, path: str) -> bool:
        if "root" in token.policies:
            return True
        return any(
            path == allowed or (allowed.endswith("*") and path.startswith(allowed[:-1]))
            for name in token.policies
            for allowed in self.policies.get(name, ())
        )

    def _about(self, token: Token) -> dict[str, Any]:
        age = (self.now - token.issued).total_seconds()
        expires = token.issued + timedelta(seconds=token.ttl) if token.ttl else None
        return {
            "accessor": "accessor",
            "creation_time": int(token.issued.timestamp()),
            "creation_ttl": int(token.ttl),
            "display_name": "token",
            "entity_id": "",
            "expire_time": stamp(expires) if expires else None,
            "explicit_max_ttl": 0,
            "id": token.id,
            "issue_time": stamp(token.issued),
            "meta": None,
            "num_uses": token.uses,
            "orphan": "root" in token.policies,
            "path": token.path,
            "policies": list(token.policies),
            "renewable": token.ttl > 0,
            "ttl": int(token.ttl - age) if token.ttl else 0,
            "type": "service",
        }

    def _login(self, mount: str, sent: Mapping[str, str]) -> dict[str, Any]:
        if not any(known == mount for known, _ in self.logins):
            raise refused(403, DENIED)
        kubernetes = any(
            "jwt" in login.expected for (known, _), login in self.logins.items() if known == mount
        )
        key = "role" if kubernetes else "role_id"
        if not sent.get(key):
            raise (
                refused(400, ["missing role"]) if kubernetes else refused(500, ["missing role_id"])
            )
        if kubernetes and not sent.get("jwt"):
            raise refused(400, ["missing jwt"])
        login = self.logins.get((mount, sent[key]))
        if login is None:
            words = [f'invalid role name "{sent[key]}"'] if kubernetes else ROLE_DENIED
            raise refused(400, words)
        if any(sent.get(name) != value for name, value in login.expected.items()):
            raise refused(403, DENIED) if kubernetes else refused(400, ROLE_DENIED)
        if login.uses == 1:
            del self.logins[mount, sent[key]]
            self.logins[mount, ""] = Login({}, (), 0)  # the mount stays
        login.uses = max(0, login.uses - 1)
        token = self.tokens[self.token(*login.policies, "default", ttl=login.ttl)]
        about = {"role": sent[key]} if kubernetes else {"role_name": "app"}
        granted = {
            "client_token": token.id,
            "accessor": "accessor",
            "policies": list(token.policies),
            "token_policies": list(token.policies),
            "metadata": about,
            "lease_duration": int(login.ttl),
            "renewable": True,
            "entity_id": "entity",
            "token_type": "service",
            "orphan": True,
            "mfa_requirement": None,
            "num_uses": 0,
        }
        return envelope(None, auth={**granted, **login.granted})

    def _kv1(self, request: Request, mount: str, path: str) -> Any:
        if request.method in {"POST", "PUT"}:
            self.kv1[mount, path] = json.loads(request.body)
            raise Answered(204)
        data = self.kv1.get((mount, path))
        if data is None:
            raise refused(404, [])
        return envelope(data, lease_duration=2764800)

    def _kv2(self, request: Request, mount: str, rest: str) -> Any:
        part, _, path = rest.partition("/")
        versions = self.kv.get((mount, path), [])
        match request.method, part:
            case "GET", "data":
                return self._read(versions, urlsplit(request.path).query)
            case "POST" | "PUT", "data":
                version = self.put(path, json.loads(request.body)["data"], mount)
                number = len(self.kv[mount, path])
                written = {**version.metadata(), "version": number, "custom_metadata": None}
                return envelope(written)
            case "DELETE", "data" if versions:
                versions[-1].deleted = self.now
            case "POST" | "PUT", "undelete" | "destroy":
                for number in json.loads(request.body)["versions"]:
                    versions[number - 1].deleted = None
                    versions[number - 1].destroyed = part == "destroy"
            case "GET", "metadata":
                return self._metadata(versions)
            case "DELETE", "metadata":
                self.kv.pop((mount, path), None)
            case _:
                warning = "Invalid path for a versioned K/V secrets engine. See the API docs."
                raise Answered(404, envelope(None, warnings=[warning]))
        raise Answered(204)

    def _read(self, versions: list[Version], query: str) -> Any:
        number = int(query.removeprefix("version=")) if query else len(versions)
        if not 0 < number <= len(versions):
            raise refused(404, [])
        version = versions[number - 1]
        gone = version.destroyed or (version.deleted is not None and version.deleted <= self.now)
        metadata = {**version.metadata(), "version": number, "custom_metadata": None}
        body = envelope({"data": None if gone else version.data, "metadata": metadata})
        if gone:
            raise Answered(404, body)
        return body

    def _metadata(self, versions: list[Version]) -> Any:
        if not versions:
            raise refused(404, [])
        return envelope(
            {
                "cas_required": False,
                "created_time": stamp(versions[0].created),
                "current_metadata_version": 0,
                "current_version": len(versions),
                "custom_metadata": None,
                "delete_version_after": "0s",
                "max_versions": 0,
                "metadata_cas_required": False,
                "oldest_version": 0,
                "updated_time": stamp(versions[-1].created),
                "versions": {
                    str(number): version.metadata() for number, version in enumerate(versions, 1)
                },
            }
        )


@contextmanager
def vault_running(tls: ssl.SSLContext | None = None) -> Iterator[tuple[FakeVault, str]]:
    """The fake and its address."""
    vault = FakeVault(tls)
    with vault.serving():
        yield vault, vault.url
