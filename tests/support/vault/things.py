"""What a Vault keeps: tokens, roles, versions of secrets, leases, and what was wrapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from tests.support.vault.answers import stamp

Kind = Literal["service", "batch"]
Method = Literal["approle", "kubernetes", "jwt", "userpass", "cert", "aws"]


@dataclass(slots=True)
class Token:
    id: str
    policies: tuple[str, ...]
    issued: datetime
    ttl: float
    """Its lifetime in seconds when it was made; 0 is no end."""
    uses: int = 0
    """How many uses are left; 0 is no limit."""
    path: str = "auth/token/create"
    kind: Kind = "service"
    period: float = 0
    max_ttl: float = 0
    """The explicit maximum."""
    role_max_ttl: float = 0
    """The maximum of the role that it logged in to."""
    renewable: bool = True
    namespace: str = ""
    accessor: str = ""
    orphan: bool = False
    entity: str = ""
    metadata: Mapping[str, str] | None = None
    expires: datetime | None = field(init=False)
    spent: bool = False
    """Its last use is in progress."""
    unseen: int = 0
    """How many more requests get 412, since this node doesn't know it yet."""

    def __post_init__(self) -> None:
        self.expires = self.issued + timedelta(seconds=self.ttl) if self.ttl else None

    def ended(self, now: datetime) -> bool:
        return self.expires is not None and self.expires <= now


@dataclass(slots=True)
class Version:
    data: Mapping[str, Any]
    created: datetime
    deleted: datetime | None = None
    destroyed: bool = False
    trimmed: bool = False
    """Gone for good, since more versions came than are kept."""

    def metadata(self) -> dict[str, Any]:
        return {
            "created_time": stamp(self.created),
            "deletion_time": stamp(self.deleted) if self.deleted else "",
            "destroyed": self.destroyed,
        }


@dataclass(slots=True)
class KeySettings:
    """What `metadata/<path>` sets."""

    max_versions: int = 0
    """0: ten are kept."""
    delete_version_after: float = 0
    """Seconds; 0 is never."""
    custom_metadata: Mapping[str, str] | None = None
    updated: datetime | None = None


@dataclass(slots=True)
class SecretId:
    uses: int
    """How many logins are left; 0 is no limit."""
    expires: datetime | None


@dataclass(slots=True)
class Login:
    """A role: what must be sent, and what is granted for it.

    `expected` by method: approle `secret_id`; kubernetes and jwt `jwt`; userpass `password`;
    cert `common_name`; aws `sts_host` and, if it is to be checked, `server_id`.
    """

    expected: Mapping[str, str]
    policies: tuple[str, ...]
    ttl: float
    uses: int = 0
    """How many logins are left; 0 is no limit."""
    granted: dict[str, Any] = field(default_factory=dict)
    """Overrides of the answer's `auth`."""
    method: Method | None = None
    """None: decided by what is expected; a jwt means kubernetes."""
    namespace: str | None = None
    """None: any."""
    name: str = "app"
    """The name of an AppRole; logins know it by its role_id."""
    refuses: str = ""
    """Why a service account or an audience is refused here that is valid elsewhere."""
    token_type: Kind = "service"
    token_period: float = 0
    token_max_ttl: float = 0
    token_explicit_max_ttl: float = 0
    token_num_uses: int = 0
    secret_id_num_uses: int = 1
    secret_id_ttl: float = 3600
    secret_ids: dict[str, SecretId] = field(default_factory=dict)
    """Made by request or by `FakeVault.secret_id`, besides the expected one."""
    spent: bool = False
    """Its uses are over."""

    @property
    def kind(self) -> Method:
        if self.method is not None:
            return self.method
        told: dict[str, Method] = {
            "jwt": "kubernetes",
            "password": "userpass",
            "common_name": "cert",
            "sts_host": "aws",
        }
        return next((told[key] for key in self.expected if key in told), "approle")


Made = Callable[[str, str], Mapping[str, Any]]


def user_and_password(user: str, password: str) -> Mapping[str, Any]:
    return {"username": user, "password": password}


@dataclass(slots=True)
class DatabaseRole:
    """Makes a user at every read: in a database, or in any engine that is configured as generic."""

    ttl: float = 3600
    max_ttl: float = 86400
    renewable: bool = True
    data: Made = user_and_password
    """Makes the answer's data from the user's name and password."""
    prefix: str = ""
    """What passwords start with."""


@dataclass(slots=True)
class StaticRole:
    period: float = 3600
    username: str = "static"
    password: str = ""
    """Empty until the first rotation."""
    rotated: datetime | None = None
    """None: rotated as soon as the server gets to it."""
    prefix: str = ""
    stuck: bool = False
    """Whether it is stuck: it never rotates by itself, and says ttl 0 when it should."""


@dataclass(slots=True)
class AwsRole:
    ttl: float = 3600
    max_ttl: float = 43200
    kind: Literal["iam_user", "sts"] = "iam_user"
    """Temporary credentials of STS can't be renewed."""
    prefix: str = ""


@dataclass(slots=True)
class LeaseState:
    id: str
    path: str
    mount: str
    token: str
    """The id of the token that owns it."""
    issued: datetime
    ttl: float
    """The role's lifetime in seconds, for a renewal that asks for none."""
    max_ttl: float
    renewable: bool
    user: str
    """The user that ends with it."""
    expires: datetime
    last_renewal: datetime | None = None
    revoking: bool = False
    """Its revocation is queued."""
    irrevocable: bool = False
    """The server has given up revoking it."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    body: Mapping[str, Any]
    creation_path: str
    created: datetime
    ttl: float
    accessor: str

    def ended(self, now: datetime) -> bool:
        return self.created + timedelta(seconds=self.ttl) <= now
