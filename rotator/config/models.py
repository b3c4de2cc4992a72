"""The configuration as frozen values; `rotator schema` is generated from these.

Only `load` makes a Config: what no section can know alone is checked there.

The parts are in `fields`, `references` and `sources`; what the rest of rotator needs of them is
found here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rotator.config.coordination import CoordinationConfig, LeaseCoordination, NoCoordination
from rotator.config.engines import Version, check_engine, makes, may_lease
from rotator.config.fields import (
    TAG,
    BaseUrl,
    Count,
    Cron,
    Duration,
    Engine,
    FilePath,
    Flag,
    Id,
    ListenAddress,
    Name,
    Positive,
    PositiveDuration,
    Section,
    Template,
    Text,
    Timezone,
    later,
    parse_duration,
    tag,
    text_or_mapping,
)
from rotator.config.notify import NotifyConfig, WebhookConfig
from rotator.config.references import FileReference, FromEnv, FromFile, FromSecret, Reference
from rotator.config.sources import (
    AssumeRole,
    AwsKeys,
    AwsSource,
    ClientCertificate,
    FileSource,
    SourceConfig,
    VaultAppRole,
    VaultAws,
    VaultCert,
    VaultJwt,
    VaultKubernetes,
    VaultSource,
    VaultToken,
    VaultUserpass,
    WebIdentity,
)

__all__ = [
    "AssumeRole",
    "AwsKeys",
    "AwsSource",
    "BasicAuth",
    "BearerAuth",
    "ClientCertificate",
    "Config",
    "Constant",
    "Expect",
    "FileSource",
    "FromEnv",
    "FromFile",
    "FromSecret",
    "HttpConfig",
    "LeaseCoordination",
    "LedgerConfig",
    "LogConfig",
    "Match",
    "NoCoordination",
    "Reference",
    "Rollout",
    "RotationConfig",
    "Schedule",
    "SecretConfig",
    "SourceConfig",
    "TargetConfig",
    "VaultAppRole",
    "VaultAws",
    "VaultCert",
    "VaultJwt",
    "VaultKubernetes",
    "VaultSource",
    "VaultToken",
    "VaultUserpass",
    "Verify",
    "WebIdentity",
    "WebhookConfig",
    "parse_duration",
    "targets_of",
]


class LedgerConfig(Section):
    """The durable record of what was put where."""

    url: str = "sqlite:///./rotator.db"
    """`sqlite:///var/lib/x.db` is /var/lib/x.db; `sqlite:///./x.db` is in the working directory."""
    fingerprint_key: FileReference | None = None
    """Default: beside the ledger, made with mode 0600 when absent."""
    on_unknown: Literal["apply", "adopt"] = "apply"
    """Of a connection that works and that this ledger has no record of: apply puts the credential;
    adopt takes the secret of now for what the connection has, and puts the next one."""

    @field_validator("url")
    @classmethod
    def _sqlite_only(cls, url: str) -> str:
        if not url.startswith("sqlite:///"):
            raise PydanticCustomError(
                "not_supported", "not supported yet: only sqlite:/// followed by a path"
            )
        path = url.removeprefix("sqlite:///")
        if path in {"", ":memory:"} or path.endswith("/") or "?" in path:
            raise PydanticCustomError("ledger", "name a file: the ledger must outlive the process")
        return url

    @property
    def path(self) -> Path:
        """Absolute, as in any URL, unless it starts with `./`.

        (To SQLAlchemy, three slashes mean a relative path; nobody who writes /var/lib means that.)
        """
        path = self.url.removeprefix("sqlite:///")
        return Path(path if path.startswith("./") else "/" + path.lstrip("/"))


class HttpConfig(Section):
    """Metrics, health, the API and the page, on one port."""

    listen: ListenAddress = "127.0.0.1:9464"
    token: Reference | None = None
    """Of those who may POST; without one, POST is answered 403."""
    quit: Flag = False
    """Whether POST /quitquitquit from loopback ends the process, as the last step of a Job does."""

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


class LogConfig(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


# Targets


class BasicAuth(Section):
    """A Cloud or Flink API key."""

    api_key: Reference
    api_secret: Reference


class BearerAuth(Section):
    """An OAuth token."""

    token: Reference


def _one_way(auth: object) -> object:
    given = auth.keys() & {"api_key", "api_secret", "token"} if isinstance(auth, dict) else None
    if given is not None and (not given or ("token" in given and len(given) > 1)):
        raise PydanticCustomError("auth", "give either api_key and api_secret, or token")
    return auth


def _auth_kind(auth: object) -> str:
    if isinstance(auth, BearerAuth) or (isinstance(auth, dict) and "token" in auth):
        return f"{TAG}bearer"
    return f"{TAG}basic"


class TargetConfig(Section):
    """One Confluent Cloud environment in one region."""

    url: BaseUrl
    organization: Id
    environment: Id
    auth: Annotated[
        Annotated[
            Annotated[BasicAuth, tag("basic")] | Annotated[BearerAuth, tag("bearer")],
            Discriminator(_auth_kind),
        ],
        BeforeValidator(_one_way),
    ]
    update: Literal["auto", "put", "patch"] = "auto"
    """auto: PUT, and PATCH after a 405."""
    concurrency: Annotated[int, Field(strict=True, ge=1, le=256)] = 16
    """Requests in flight."""
    requests_per_second: Annotated[float, Field(strict=True, gt=0, le=10_000)] = 50
    """A ceiling; answers of 429 and X-RateLimit headers lower it further."""
    timeout: PositiveDuration = timedelta(seconds=30)
    """Of one request, all of it."""
    ca_file: FilePath | None = None
    """For private networking behind a CA of one's own; default: the system's."""


# Rotations


class Expect(Section):
    """A run that matches fewer or more connections refuses to start."""

    min: Count = 1
    max: Count | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Expect:
        if self.max is not None and self.max < self.min:
            raise PydanticCustomError("expect", "is less than min", {"at": "max"})
        return self


Globs = Annotated[tuple[Text, ...], Field(min_length=1)]


def _capitals(types: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.upper() for word in types)


class Match(Section):
    """All given conditions hold; the entries of a list are alternatives."""

    type: Annotated[Globs, AfterValidator(_capitals)] | None = None
    name: Globs | None = None
    exclude: Globs | None = None
    """Names that are left out."""
    endpoint: Globs | None = None
    expect: Expect = Expect()


class SecretConfig(Section):
    """The secret of a connection; its fields are named in `credential`."""

    source: str
    path: Template
    """May hold {connection}, {environment}, {target} and {type}."""
    engine: Engine | None = None
    """Of a vault source; default: the kind of KV that the mount is."""
    mount: Text | None = None
    """Of a vault source; default kv, and for database and aws the engine's name."""
    version: Version | None = None
    """Pinned: a number of KV v2, a VersionId of AWS Secrets Manager."""
    stage: Text | None = None
    """Of AWS Secrets Manager; default AWSCURRENT."""
    lease: Literal["shared", "per-connection"] | None = None
    """Of credentials that Vault makes for us: one for all connections, or one for each."""
    revoke_after: Duration = timedelta(minutes=5)
    """How long a lease lives on after every connection was verified without it."""

    @model_validator(mode="after")
    def _fits_the_engine(self) -> SecretConfig:
        check_engine(self.engine, self.path, self.version)
        if self.lease is not None and not may_lease(self.engine, self.path):
            raise PydanticCustomError(
                "lease",
                "only what an engine makes for us has one: database, aws (not static-creds), "
                "or generic",
                {"at": "lease"},
            )
        if self.version is not None and self.stage is not None:
            raise PydanticCustomError("stage", "give either version or stage", {"at": "stage"})
        return self

    @property
    def dynamic(self) -> Literal["shared", "per-connection"] | None:
        """How its credentials are leased; None: it is only ever read."""
        if self.lease is not None or not makes(self.engine, self.path):
            return self.lease
        return "shared"


class Constant(Section):
    """A key that is no secret, in clear."""

    value: str


FieldOrConstant = Annotated[
    Annotated[Text, tag("text")] | Annotated[Constant, tag("mapping")],
    Discriminator(text_or_mapping),
]


class Schedule(Section):
    cron: Cron
    """As crontab(5): minute hour day month weekday; a sixth field in front is seconds."""
    timezone: Timezone = "UTC"
    """An IANA name."""
    jitter: Duration = timedelta(0)
    """Up to this much later."""
    on_start: Flag = False
    """Also when the daemon starts."""


class Rollout(Section):
    """What goes first, what goes together, and when to stop."""

    canary: Count = 1
    """Connections of each target that go first; 0 is none."""
    batch: Positive | None = None
    """Connections of each target that go together after that; default all the rest."""
    max_failures: Count = 0
    """More failures than this stop the target, unless on_failure says otherwise. It holds for each
    target alone."""
    max_failures_total: Count | None = None
    """More failures than this, of all targets together, stop all of them; default: no limit."""
    on_failure: Annotated[Literal["halt", "continue"], later("rollback")] = "halt"


class Verify(Section):
    """How a connection is watched until it is READY for this update."""

    timeout: PositiveDuration = timedelta(minutes=5)
    interval: PositiveDuration = timedelta(seconds=2)
    """Between two looks."""
    stable: Positive = 2
    """Looks in a row, one interval apart, that must show READY before it counts; 1: the first."""
    statements: Annotated[Literal["off"], later("warn", "require")] = "off"


def _watchable(interval: timedelta) -> timedelta:
    if interval < timedelta(seconds=1):
        raise PydanticCustomError("watch", "look once a second at the most: 1s")
    return interval


class RotationConfig(Section):
    """Which connections of which targets get which secret, when, and how carefully."""

    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    match: Match
    secret: SecretConfig
    credential: Annotated[Mapping[Text, FieldOrConstant], Field(min_length=1)]
    """Confluent's option name (`api-key`) → field of the secret."""
    schedule: Schedule | None = None
    watch: Annotated[PositiveDuration, AfterValidator(_watchable)] | None = None
    """Also run when the secret has another version; how often to look, 1s at the least."""
    rollout: Rollout = Rollout()
    verify: Verify = Verify()
    on_drift: Literal["reapply", "warn"] = "reapply"
    """What happens to a connection that somebody else changed since."""
    max_age: PositiveDuration | None = None
    """A credential that was put longer ago than this is told of: in the metrics and on the page."""


class Config(Section):
    """The whole of a rotator configuration."""

    ledger: LedgerConfig = LedgerConfig()
    http: HttpConfig = HttpConfig()
    log: LogConfig = LogConfig()
    coordination: CoordinationConfig = NoCoordination()
    notify: NotifyConfig = ()
    """Webhooks that the daemon tells of failures; default: none."""
    targets: Annotated[Mapping[Name, TargetConfig], Field(min_length=1)]
    sources: Annotated[Mapping[Name, SourceConfig], Field(min_length=1)]
    rotations: Annotated[Mapping[Name, RotationConfig], Field(min_length=1)]


def targets_of(config: Config) -> Mapping[str, tuple[str, ...]]:
    """By rotation."""
    return {name: rule.targets for name, rule in config.rotations.items()}
