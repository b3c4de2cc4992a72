"""All that a Vault knows, and what time or an operator changes in it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from tests.support.faulty import Request
from tests.support.vault.answers import DATABASE_DOWN, envelope, failed
from tests.support.vault.policies import DEFAULT, Policy
from tests.support.vault.things import (
    AwsRole,
    DatabaseRole,
    KeySettings,
    Kind,
    LeaseState,
    Login,
    Method,
    SecretId,
    StaticRole,
    Token,
    Version,
    Wrapped,
)

ROOT = "root-token"
START = datetime(2026, 11, 20, 12, tzinfo=UTC)
Profile = Literal["openbao", "vault-ce", "vault-ent"]


class State:
    """A test may change it at any time; `settle` brings it up to `now`.

    Mounts of database, aws and generic roles exist from their first role on, in the root namespace.
    For other namespaces or names, set `mounts`.
    """

    def __init__(self, profile: Profile = "openbao") -> None:
        self.profile = profile
        self.lock = threading.RLock()
        self.now = START
        self.largest_body = 32 * 1024 * 1024
        self.sealed = False
        self.standby: Literal["", "standby", "performance"] = ""
        """Said by sys/health."""
        self.database_down = False
        self.token_review_down = False
        """Whether the API server that checks kubernetes logins is down."""
        self.stale_after_login = 0
        """How many requests of a new token reach a node that doesn't know it yet (vault-ent)."""
        self.sts: Callable[[Request], str | None] | None = None
        """Checks the signed request of an aws login. Returns its ARN, or None if STS refuses."""

        self.namespaces = {""}
        self.mounts: dict[tuple[str, str], int | str] = {("", "kv"): 2}
        """(namespace, mount) → version of KV, or the engine's type."""
        self.auth_mounts: dict[tuple[str, str], Method] = {}
        """(namespace, mount) → method, for methods that may have no role yet."""
        self.upgrading: set[str] = set()
        """Mounts that are being upgraded from KV v1 to v2."""
        self.kv: dict[tuple[str, str], list[Version]] = {}
        """(mount, path) → versions, the oldest first."""
        self.kv_settings: dict[tuple[str, str], KeySettings] = {}
        self.kv1: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.databases: dict[tuple[str, str], DatabaseRole] = {}
        """(mount, role) → role of `<mount>/creds/<role>`."""
        self.static_roles: dict[tuple[str, str], StaticRole] = {}
        """(mount, role) → role of `<mount>/static-creds/<role>`."""
        self.aws_roles: dict[tuple[str, str], AwsRole] = {}
        """(mount, role) → role of `<mount>/creds/<role>` and `<mount>/sts/<role>`."""
        self.generic: dict[tuple[str, str], Mapping[str, Any] | DatabaseRole] = {}
        """(mount, path) → what is read there, or a role that makes it."""

        root = Token(ROOT, ("root",), START, 0, renewable=False, orphan=True, accessor="root")
        self.tokens = {ROOT: root}
        self.policies: dict[str, Policy] = {"default": DEFAULT}
        """Name → policy. Paths in a namespace below that of the token begin with its name."""
        self.logins: dict[tuple[str, str], Login] = {}
        """(mount, role or role_id or user) → role."""
        self.users: dict[str, str] = {}
        """Name → password of all users that were made and still exist."""
        self.leases: dict[str, LeaseState] = {}
        self.revoked: list[str] = []
        """Ids of revoked leases, in order, whether by request or with their token."""
        self.expired: list[str] = []
        """Ids of leases that expired."""
        self.wrapped: dict[str, Wrapped] = {}
        """Wrapping token → what it can be unwrapped to, once."""
        self.limited: dict[str, RateLimit] = {}

    # Time

    def advance(self, seconds: float) -> None:
        with self.lock:
            self.now += timedelta(seconds=seconds)
            self.settle()

    def seconds(self) -> float:
        """Its time, for a client that keeps to it."""
        return self.now.timestamp()

    def settle(self) -> None:
        """Ends what is due to end. What needs a database waits for it."""
        for token in [token for token in self.tokens.values() if token.ended(self.now)]:
            del self.tokens[token.id]
        for lease in list(self.leases.values()):
            if lease.token not in self.tokens or lease.revoking:
                self._end(lease, self.revoked)
            elif lease.expires <= self.now:
                self._end(lease, self.expired)
        for held in [token for token, kept in self.wrapped.items() if kept.ended(self.now)]:
            del self.wrapped[held]
        for (mount, role), static in self.static_roles.items():
            if static.rotated is None:
                self.rotate_static(mount, role)
            elif not static.stuck and not self.database_down:
                while (self.now - static.rotated).total_seconds() >= static.period:
                    self._rotate(static, static.rotated + timedelta(seconds=static.period))

    # What an operator does

    def token(
        self,
        *policies: str,
        ttl: float = 3600,
        uses: int = 0,
        kind: Kind = "service",
        period: float = 0,
        max_ttl: float = 0,
        renewable: bool = True,
        namespace: str = "",
        default: bool = True,
    ) -> str:
        """`max_ttl` is the explicit maximum; a `period` is the ttl too."""
        named = tuple(sorted({*policies, *({"default"} if default else ())}))
        made = Token(
            f"{'b' if kind == 'batch' else 's'}.{secrets.token_hex(12)}",
            named,
            self.now,
            period or (min(ttl, max_ttl) if max_ttl and ttl else ttl),
            uses,
            kind=kind,
            period=period,
            max_ttl=max_ttl,
            renewable=renewable and kind == "service",
            namespace=namespace,
            accessor="" if kind == "batch" else f"accessor-{secrets.token_hex(4)}",
        )
        with self.lock:
            self.tokens[made.id] = made
        return made.id

    def revoke_token(self, token: str) -> None:
        """Revokes a token with all its leases."""
        with self.lock:
            self.tokens.pop(token, None)
            self.settle()

    def revoke_lease(self, lease: str) -> None:
        with self.lock:
            self.end_lease(self.leases[lease])

    def put(self, path: str, data: Mapping[str, Any], mount: str = "kv") -> Version:
        with self.lock:
            self.advance(1)
            settings = self.kv_settings.get((mount, path), KeySettings())
            version = Version(data, self.now)
            if settings.delete_version_after:
                version.deleted = self.now + timedelta(seconds=settings.delete_version_after)
            versions = self.kv.setdefault((mount, path), [])
            versions.append(version)
            for old in versions[: -(settings.max_versions or 10)]:
                old.trimmed = True
            return version

    def rotate_static(self, mount: str, role: str) -> None:
        with self.lock:
            self._rotate(self.static_roles[mount, role], self.now)

    def secret_id(self, mount: str, role_id: str) -> str:
        """Makes another secret_id of a role, with its own number of uses and lifetime."""
        role = self.logins[mount, role_id]
        made = f"secret-id-{secrets.token_hex(8)}"
        ends = self.now + timedelta(seconds=role.secret_id_ttl) if role.secret_id_ttl else None
        role.secret_ids[made] = SecretId(role.secret_id_num_uses, ends)
        return made

    def wrapped_secret_id(self, mount: str, role_id: str, ttl: float = 60) -> str:
        """A wrapping token that holds a secret_id, as a deployment hands it over."""
        data = {"secret_id": self.secret_id(mount, role_id)}
        name = self.logins[mount, role_id].name
        return self.wrap(data, f"auth/{mount}/role/{name}/secret-id", ttl)

    def wrap(self, data: Mapping[str, Any], creation_path: str, ttl: float = 60) -> str:
        return self.wrap_body(envelope(data), creation_path, ttl)

    def wrap_body(self, body: Mapping[str, Any], creation_path: str, ttl: float) -> str:
        made = f"s.{secrets.token_hex(12)}"
        accessor = f"accessor-{secrets.token_hex(4)}"
        with self.lock:
            self.wrapped[made] = Wrapped(body, creation_path, self.now, ttl, accessor)
        return made

    def rate_limit(self, path: str, *, headers: bool = False, times: int | None = None) -> None:
        """Answers 429 for a path (without /v1/). `headers` is whether the server sends rate limit
        headers."""
        self.limited[path] = RateLimit(headers, times)

    # Leases

    def lease(
        self,
        path: str,
        mount: str,
        token: Token,
        role: DatabaseRole | AwsRole,
        user: tuple[str, str],
        *,
        renewable: bool,
        suffix: str = "",
    ) -> LeaseState:
        """Makes a lease on a new user. It ends no later than a batch token."""
        expires = self.now + timedelta(seconds=role.ttl)
        if token.kind == "batch" and token.expires is not None:
            expires = min(expires, token.expires)
        name, password = user
        made = LeaseState(
            f"{path}/{secrets.token_hex(12)}{suffix}",
            path,
            mount,
            token.id,
            self.now,
            role.ttl,
            role.max_ttl,
            renewable,
            name,
            expires,
        )
        self.leases[made.id] = made
        self.users[name] = password
        return made

    def end_lease(self, lease: LeaseState) -> None:
        if self.database_down:
            raise failed("revoke", DATABASE_DOWN)
        self._end(lease, self.revoked)

    def _end(self, lease: LeaseState, how: list[str]) -> None:
        lease.expires = min(lease.expires, self.now)
        if self.database_down or lease.irrevocable:
            return
        del self.leases[lease.id]
        self.users.pop(lease.user, None)
        how.append(lease.id)

    def _rotate(self, role: StaticRole, moment: datetime) -> None:
        role.password = f"{role.prefix}{secrets.token_urlsafe(15)}"
        role.rotated = moment
        self.users[role.username] = role.password

    # Policies

    def policies_of(self, token: Token) -> Iterable[Policy]:
        return [self.policies[name] for name in token.policies if name in self.policies]


class RateLimit:
    """How many more requests it refuses (None: all), and whether it says for how long."""

    def __init__(self, headers: bool, times: int | None) -> None:
        self.headers = headers
        self.times = times

    def strikes(self) -> bool:
        if self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True
