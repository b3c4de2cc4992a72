"""Rotations, as the configuration describes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, model_validator
from pydantic_core import PydanticCustomError

from rotator.config.engines import Version, check_engine, makes, may_lease
from rotator.config.fields import (
    Count,
    Cron,
    Duration,
    Engine,
    Flag,
    Positive,
    PositiveDuration,
    Section,
    Template,
    Text,
    Timezone,
    later,
    tag,
    text_or_mapping,
)


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
    """Names to leave out."""
    endpoint: Globs | None = None
    expect: Expect = Expect()


class SecretConfig(Section):
    """The secret of a connection; its fields are named in `credential`."""

    source: str
    path: Template
    """May hold {connection}, {environment}, {target} and {type}."""
    engine: Engine | None = None
    """For a vault source; default: the kind of KV that the mount is."""
    mount: Text | None = None
    """For a vault source; default: kv, and for database and aws the engine's name."""
    version: Version | None = None
    """Pins a version: a number of KV v2, a VersionId of AWS Secrets Manager."""
    stage: Text | None = None
    """For AWS Secrets Manager; default: AWSCURRENT."""
    lease: Literal["shared", "per-connection"] | None = None
    """For credentials that Vault makes for us: one for all connections, or one for each."""
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
        """How its credentials are leased; None: it is only read."""
        if self.lease is not None or not makes(self.engine, self.path):
            return self.lease
        return "shared"


class Constant(Section):
    """A value in clear, for a key that is no secret."""

    value: str


FieldOrConstant = Annotated[
    Annotated[Text, tag("text")] | Annotated[Constant, tag("mapping")],
    Discriminator(text_or_mapping),
]


class ScheduleConfig(Section):
    cron: Cron
    """As crontab(5): minute hour day month weekday; a sixth field in front is seconds."""
    timezone: Timezone = "UTC"
    """An IANA name."""
    jitter: Duration = timedelta(0)
    """Each run starts up to this much later."""
    on_start: Flag = False
    """Whether to run when the daemon starts, too."""


class Rollout(Section):
    """What goes first, what goes together, and when to stop."""

    canary: Count = 1
    """Connections of each target that go first; 0 is none."""
    batch: Positive | None = None
    """Connections of each target that go together after that; default: all the rest."""
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
    settled_version: Flag = False
    """Whether the target gives a connection another resource version when its phase settles. Then
    one version after that of the update is not taken for somebody else's write."""
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
    schedule: ScheduleConfig | None = None
    watch: Annotated[PositiveDuration, AfterValidator(_watchable)] | None = None
    """Also run when the secret has a new version. How often to look; 1s at the least."""
    rollout: Rollout = Rollout()
    verify: Verify = Verify()
    on_drift: Literal["reapply", "warn"] = "reapply"
    """What to do with a connection that somebody else has changed since."""
    max_age: PositiveDuration | None = None
    """A credential that is older than this is reported in the metrics and on the page."""
