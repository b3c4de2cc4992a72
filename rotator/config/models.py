"""The configuration as frozen values. `rotator schema` is generated from them.

Only `load` makes a Config: it checks what no single section can know.

Sections of their own are in `target`, `rotation`, `sources`, `coordination` and `notify`. The rest
of rotator imports them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from rotator.config.coordination import CoordinationConfig, LeaseCoordination, NoCoordination
from rotator.config.fields import Flag, ListenAddress, Name, Section, parse_duration
from rotator.config.notify import NotifyConfig, WebhookConfig
from rotator.config.references import FileReference, FromEnv, FromFile, FromSecret, Reference
from rotator.config.rotation import (
    Constant,
    Expect,
    Match,
    Rollout,
    RotationConfig,
    ScheduleConfig,
    SecretConfig,
    Verify,
)
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
from rotator.config.target import BasicAuth, BearerAuth, TargetConfig

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
    "ScheduleConfig",
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
    """Default: beside the ledger, created with mode 0600 if absent."""
    on_unknown: Literal["apply", "adopt"] = "apply"
    """For a connection that works and that this ledger doesn't know: apply puts the credential;
    adopt assumes that the connection has the present secret, and puts the next one."""

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

        (To SQLAlchemy, three slashes mean a relative path. Nobody who writes /var/lib means that.)
        """
        path = self.url.removeprefix("sqlite:///")
        return Path(path if path.startswith("./") else "/" + path.lstrip("/"))


class HttpConfig(Section):
    """Metrics, health, the API and the page, on one port."""

    listen: ListenAddress = "127.0.0.1:9464"
    token: Reference | None = None
    """The token that a POST must carry; without one, POST is answered 403."""
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


class Config(Section):
    """The whole configuration."""

    ledger: LedgerConfig = LedgerConfig()
    http: HttpConfig = HttpConfig()
    log: LogConfig = LogConfig()
    coordination: CoordinationConfig = NoCoordination()
    notify: NotifyConfig = ()
    """Webhooks that the daemon calls after failures; default: none."""
    targets: Annotated[Mapping[Name, TargetConfig], Field(min_length=1)]
    sources: Annotated[Mapping[Name, SourceConfig], Field(min_length=1)]
    rotations: Annotated[Mapping[Name, RotationConfig], Field(min_length=1)]


def targets_of(config: Config) -> Mapping[str, tuple[str, ...]]:
    """Rotation → its targets."""
    return {name: rule.targets for name, rule in config.rotations.items()}
