"""The configuration as frozen values; `rotator schema` is generated from these.

Durations are `500ms`, `30s`, `5m`, `2h` or `7d`. A message that starts with `not supported yet`
marks a word that the interface knows and this version doesn't: it is refused, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rotator.connection_types import fit, is_secret_option
from rotator.errors import CredentialInvalid

_DURATION = re.compile(r"(?P<count>\d+)(?P<unit>ms|s|m|h|d)")
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"


def parse_duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError(
            "duration", "write a duration as a whole number with its unit: 500ms, 30s, 5m, 2h or 7d"
        )
    try:
        return int(match["count"]) * _UNITS[match["unit"]]
    except OverflowError:
        raise PydanticCustomError("duration", "this duration is too long") from None


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}),
]


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise PydanticCustomError("duration", "this duration must be longer than nothing")
    return value


PositiveDuration = Annotated[Duration, AfterValidator(_positive)]


def _later(*words: str) -> BeforeValidator:
    """Refuse words of the interface whose function comes with a later version."""

    def check(value: object) -> object:
        if value in words:
            raise PydanticCustomError("not_supported", "not supported yet: {word}", {"word": value})
        return value

    return BeforeValidator(check)


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


# Values: where a secret is found, never the secret itself.


class FromEnv(Section):
    """A value from an environment variable."""

    env: Annotated[str, Field(min_length=1)]


class FromFile(Section):
    """A value from a file, read anew at every use; one trailing newline is not part of it."""

    file: Path


class SecretField(Section):
    """One field of one secret."""

    source: str
    path: Annotated[str, Field(min_length=1)]
    field: Annotated[str, Field(min_length=1)]
    engine: str | None = None
    mount: str | None = None


class FromSecret(Section):
    """A value from a source."""

    secret: SecretField


def _is_reference(value: object) -> object:
    if isinstance(value, (FromEnv, FromFile, FromSecret)):
        return value
    if (
        not isinstance(value, dict)
        or len(value) != 1
        or not set(value) <= {"env", "file", "secret"}
    ):
        raise PydanticCustomError(
            "reference",
            "name the place of this value, don't write it here: "
            "{env: NAME}, {file: PATH} or {secret: {source, path, field}}",
        )
    return value


def _is_local_reference(value: object) -> object:
    if isinstance(value, (FromEnv, FromFile)):
        return value
    if not isinstance(value, dict) or len(value) != 1 or not set(value) <= {"env", "file"}:
        raise PydanticCustomError(
            "reference",
            "name the place of this value, don't write it here: {env: NAME} or {file: PATH}",
        )
    return value


def _place_of(value: object) -> str | None:
    """The tag of a reference: its one key."""
    if isinstance(value, dict):
        return str(next(iter(value), None))
    tags: dict[type, str] = {FromEnv: "env", FromFile: "file", FromSecret: "secret"}
    return tags.get(type(value))


# A LocalReference is for what is needed before any source works.
LocalReference = Annotated[
    Annotated[
        Annotated[FromEnv, Tag("env")] | Annotated[FromFile, Tag("file")],
        Discriminator(_place_of),
    ],
    BeforeValidator(_is_local_reference),
]
Reference = Annotated[
    Annotated[
        Annotated[FromEnv, Tag("env")]
        | Annotated[FromFile, Tag("file")]
        | Annotated[FromSecret, Tag("secret")],
        Discriminator(_place_of),
    ],
    BeforeValidator(_is_reference),
]


class LedgerConfig(Section):
    url: str = "sqlite:///./rotator.db"
    fingerprint_key: FromFile | None = None
    """Default: beside the ledger, made with mode 0600 when absent."""

    @field_validator("url")
    @classmethod
    def _sqlite_only(cls, url: str) -> str:
        if not url.startswith("sqlite:///"):
            raise PydanticCustomError(
                "not_supported", "not supported yet: only sqlite:/// followed by a path"
            )
        if url.removeprefix("sqlite:///") in {"", ":memory:"} or "?" in url:
            raise PydanticCustomError("ledger", "name a file: the ledger must outlive the process")
        return url

    @property
    def path(self) -> Path:
        """Absolute, as in any URL: `sqlite:///var/lib/x.db` is /var/lib/x.db.

        `sqlite:///./rotator.db` is relative to the working directory. (To SQLAlchemy, three slashes
        mean a relative path; nobody who writes /var/lib means that.)
        """
        path = self.url.removeprefix("sqlite:///")
        return Path(path if path.startswith("./") else "/" + path.lstrip("/"))


class HttpConfig(Section):
    listen: Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$")] = (
        "127.0.0.1:9464"
    )
    token: Reference | None = None

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


class LogConfig(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class BasicAuth(Section):
    """A Cloud or Flink API key."""

    api_key: Reference
    api_secret: Reference


class BearerAuth(Section):
    """An OAuth token."""

    token: Reference


def _auth_kind(value: object) -> str:
    if isinstance(value, BearerAuth) or (isinstance(value, dict) and "token" in value):
        return "bearer"
    return "basic"


TargetAuth = Annotated[
    Annotated[BasicAuth, Tag("basic")] | Annotated[BearerAuth, Tag("bearer")],
    Discriminator(_auth_kind),
]

_LOOPBACK = r"(localhost|127(\.\d{1,3}){3}|\[::1\])"


def _base_url(url: str) -> str:
    if re.fullmatch(rf"https://[^/\s?#@]+/?|http://{_LOOPBACK}(:\d+)?/?", url) is None:
        raise PydanticCustomError(
            "url",
            "write https://HOST[:PORT] with nothing behind it (http:// only for loopback)",
        )
    return url.rstrip("/")


class TargetConfig(Section):
    url: Annotated[str, AfterValidator(_base_url)]
    organization: Annotated[str, Field(min_length=1)]
    environment: Annotated[str, Field(min_length=1)]
    auth: TargetAuth
    update: Literal["auto", "put", "patch"] = "auto"
    concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    requests_per_second: Annotated[float, Field(gt=0, le=10_000)] = 50
    timeout: PositiveDuration = timedelta(seconds=30)
    ca_file: Path | None = None
    """For private networking behind a CA of one's own; default: the system's."""


# Sources


class VaultToken(Section):
    method: Literal["token"]
    token: LocalReference


class VaultAppRole(Section):
    method: Literal["approle"]
    role_id: str | LocalReference
    secret_id: LocalReference
    mount: str = "approle"


class VaultKubernetes(Section):
    method: Literal["kubernetes"]
    role: str
    mount: str = "kubernetes"
    token_file: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def _vault_auth(value: object) -> object:
    later = ("jwt", "userpass", "cert", "aws")
    if isinstance(value, dict) and value.get("method") in later:
        raise PydanticCustomError(
            "not_supported",
            "not supported yet: method {method}; use token, approle or kubernetes",
            {"method": value["method"]},
        )
    return value


VaultAuth = Annotated[
    Annotated[VaultToken | VaultAppRole | VaultKubernetes, Field(discriminator="method")],
    BeforeValidator(_vault_auth),
]


class VaultSource(Section):
    """HashiCorp Vault and OpenBao."""

    kind: Literal["vault"]
    url: Annotated[str, AfterValidator(_base_url)]
    namespace: str | None = None
    auth: VaultAuth
    ca_file: Path | None = None
    timeout: PositiveDuration = timedelta(seconds=10)
    """Of one operation, all of it."""


class AssumeRole(Section):
    arn: Annotated[str, Field(pattern=r"^arn:[a-z-]+:iam::\d{12}:role/.+$")]
    external_id: str | None = None
    session_name: Annotated[str, Field(pattern=r"^[\w+=,.@-]{2,64}$")] = "rotator"


class AwsSource(Section):
    """AWS Secrets Manager; the process's own credentials come from the usual AWS chain."""

    kind: Literal["aws-secrets-manager"]
    region: Annotated[str, Field(min_length=1)]
    assume_role: AssumeRole | None = None
    endpoint_url: Annotated[str, AfterValidator(_base_url)] | None = None
    timeout: PositiveDuration = timedelta(seconds=10)
    """Of one operation, all of it."""


class FileSource(Section):
    """A mounted Kubernetes Secret, or JSON and YAML files."""

    kind: Literal["file"]
    root: Path
    timeout: PositiveDuration = timedelta(seconds=10)


SourceConfig = Annotated[VaultSource | AwsSource | FileSource, Field(discriminator="kind")]


# Rotations


class Expect(Section):
    min: Annotated[int, Field(ge=0)] = 1
    max: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Expect:
        if self.max is not None and self.max < self.min:
            raise PydanticCustomError("expect", "max is less than min")
        return self


Glob = Annotated[str, Field(min_length=1)]
Globs = Annotated[tuple[Glob, ...], Field(min_length=1)]


def _capitals(types: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.upper() for word in types)


class Match(Section):
    """All given conditions hold; the entries of a list are alternatives."""

    type: Annotated[Globs, AfterValidator(_capitals)] | None = None
    name: Globs | None = None
    exclude: Globs | None = None
    endpoint: Globs | None = None
    expect: Expect = Expect()


_PLACEHOLDERS = frozenset({"connection", "type", "target", "environment"})


def _template(path: str) -> str:
    rest = re.sub("|".join(rf"\{{{word}\}}" for word in sorted(_PLACEHOLDERS)), "", path)
    if "{" in rest or "}" in rest:
        raise PydanticCustomError(
            "template",
            "only {words} may stand in braces",
            {"words": ", ".join(f"{{{word}}}" for word in sorted(_PLACEHOLDERS))},
        )
    return path


def _engine(value: object) -> object:
    later = ("kv-v1", "database", "aws", "generic")
    if value in later:
        raise PydanticCustomError(
            "not_supported", "not supported yet: engine {word}; use kv-v2", {"word": value}
        )
    return value


class SecretConfig(Section):
    source: str
    path: Annotated[str, Field(min_length=1), AfterValidator(_template)]
    engine: Annotated[Literal["kv-v2"], BeforeValidator(_engine)] | None = None
    """Of a vault source; default kv-v2."""
    mount: str | None = None
    """Of a vault source; default kv."""


class Constant(Section):
    """A key that is no secret, in clear."""

    value: str


def _schedule_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise PydanticCustomError(
            "timezone", "no such time zone; write an IANA name as Europe/Berlin or UTC"
        ) from None
    return name


def _cron(expression: str) -> str:
    # Imported here: a command that schedules nothing doesn't need APScheduler.
    from rotator.config.cron import cron_trigger

    try:
        cron_trigger(expression, "UTC")
    except (ValueError, TypeError) as problem:
        raise PydanticCustomError(
            "cron",
            "not a cron expression (minute hour day month weekday): {problem}",
            {"problem": str(problem)},
        ) from None
    return expression


class Schedule(Section):
    cron: Annotated[str, AfterValidator(_cron)]
    timezone: Annotated[str, AfterValidator(_schedule_timezone)] = "UTC"
    jitter: Duration = timedelta(0)
    on_start: bool = False


class Rollout(Section):
    canary: Annotated[int, Field(ge=0)] = 1
    """Connections of each target that go first; 0 is none."""
    batch: Annotated[int, Field(ge=1)] | None = None
    """Connections of each target that go together after that; default all the rest."""
    max_failures: Annotated[int, Field(ge=0)] = 0
    on_failure: Annotated[Literal["halt", "continue"], _later("rollback")] = "halt"


class Verify(Section):
    timeout: PositiveDuration = timedelta(minutes=5)
    interval: PositiveDuration = timedelta(seconds=2)
    statements: Annotated[Literal["off"], _later("warn", "require")] = "off"


class RotationConfig(Section):
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    match: Match
    secret: SecretConfig
    credential: Annotated[Mapping[str, str | Constant], Field(min_length=1)]
    """Confluent's option name (`api-key`) → field of the secret."""
    schedule: Schedule | None = None
    watch: Annotated[PositiveDuration, Field(ge=timedelta(seconds=1))] | None = None
    """Also run when the secret has another version; how often to look, 1s at the least."""
    rollout: Rollout = Rollout()
    verify: Verify = Verify()
    on_drift: Literal["reapply", "warn"] = "reapply"

    @field_validator("credential")
    @classmethod
    def _no_secret_in_clear(
        cls, credential: Mapping[str, str | Constant]
    ) -> Mapping[str, str | Constant]:
        for option, place in credential.items():
            if isinstance(place, Constant) and is_secret_option(option):
                raise PydanticCustomError(
                    "constant",
                    "{option} is a secret: name a field of the secret, don't write it here",
                    {"option": option},
                )
        return credential

    @model_validator(mode="after")
    def _types_take_it(self) -> RotationConfig:
        for connection_type in self.match.type or ():
            try:
                fit(connection_type, self.credential)
            except CredentialInvalid as error:
                raise PydanticCustomError("credential", "{error}", {"error": str(error)}) from None
        return self


Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class Config(Section):
    """The whole of a rotator configuration."""

    ledger: LedgerConfig = LedgerConfig()
    http: HttpConfig = HttpConfig()
    log: LogConfig = LogConfig()
    targets: Annotated[Mapping[Name, TargetConfig], Field(min_length=1)]
    sources: Annotated[Mapping[Name, SourceConfig], Field(min_length=1)]
    rotations: Annotated[Mapping[Name, RotationConfig], Field(min_length=1)]
