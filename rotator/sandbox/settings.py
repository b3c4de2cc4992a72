"""All settings of the sandbox. Times are in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, with_config

from rotator.sandbox.faults import Fault, FaultKind

Role = Literal["admin", "viewer", "none"]
"""`viewer` may read but not write. `none` is a known key that may do nothing: 403."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

API_KEY = "sandbox-key"
API_SECRET = "sandbox-secret"  # noqa: S105 -- the loud default of an emulator on loopback
TOKEN = "sandbox-token"  # noqa: S105 -- as above
ENVIRONMENT = "env-sandbox"
ORGANIZATION = "00000000-0000-4000-8000-000000000000"
"""For examples only: any organization is accepted unless `organization` names one."""


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class AcceptRule:
    """Which credentials the emulated vendors accept. The others end in INVALID_AUTH.

    A credential is refused if one of its values is in `refused` or contains one of `refused_words`.
    If `accepted` is given, one of its values must be in there as well.
    """

    refused_words: tuple[str, ...] = ("invalid",)
    refused: frozenset[str] = field(default=frozenset(), repr=False)
    accepted: frozenset[str] | None = field(default=None, repr=False)

    def accepts(self, data: Mapping[str, str]) -> bool:
        values = data.values()
        if any(value in self.refused for value in values):
            return False
        if any(word in value.lower() for value in values for word in self.refused_words):
            return False
        return self.accepted is None or any(value in self.accepted for value in values)


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` in each window; windows follow the clock, as X-RateLimit-Reset implies."""

    requests: Annotated[int, Field(ge=0)]
    window: Annotated[float, Field(gt=0)] = 1.0
    retry_after: bool = True
    """Whether a 429 carries Retry-After: whole seconds, rounded up."""
    headers: bool = True
    """Whether every answer carries X-RateLimit-Limit, -Remaining and -Reset."""


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class SandboxSettings:
    environments: tuple[str, ...] = (ENVIRONMENT,)
    organization: str | None = None
    """Requests for another organization are answered 404; None accepts any."""
    keys: Mapping[str, str] = field(default_factory=lambda: {API_KEY: API_SECRET}, repr=False)
    """API key → API secret."""
    tokens: frozenset[str] = field(default=frozenset({TOKEN}), repr=False)
    roles: Mapping[str, Role] = field(default_factory=dict)
    """API key or bearer token → role. Those that are not named are admins."""

    connections: Annotated[int, Field(ge=0, le=100_000)] = 0
    """How many are made at the start in the first environment, over all `types` in turn."""
    types: tuple[str, ...] = ()
    """The types of the connections made at the start; none means all 19."""

    strict: bool = False
    """Follow the contract to the letter: an update needs metadata.resource_version and
    auth_data.kind, the organization is a UUID, and there is no PATCH of a connection."""
    update_answer: Literal["empty", "connection"] = "empty"
    """The body of a 200 to an update of a connection. The contract says nothing of it; the
    documentation shows the connection."""
    patch_version: Literal["check", "ignore", "refuse"] = "check"
    """How metadata.resource_version in a PATCH is treated: a version that is out of date is a
    conflict (check), it is not looked at (ignore), or any metadata is a bad request (refuse)."""
    versions: Literal["counter", "opaque"] = "counter"

    latency: Seconds = 0.0
    """From the arrival of a request until it is acted on. The answer follows at once."""
    settle: Seconds = 1.0
    """From a write until the phase is decided. The setting at the time of the write counts."""
    settling_phase: str | None = "PENDING"
    """Shown until then; None keeps showing the phase from before the write."""
    phase_lag: Seconds = 0.0
    """How long after an update the status keeps showing the phase from before, although the version
    has moved. Only then the connection begins to settle."""
    ready_phase: str = "READY"
    ready_detail: str = ""
    settled_version: bool = False
    """Whether the decision gets a resource_version of its own."""
    settled_updated_at: bool = True
    """Whether the decision moves updated_at."""
    lag: Seconds = 0.0
    """Reads show the state of this long ago; writes see the present one."""
    accept: AcceptRule = AcceptRule()
    unreachable: tuple[str, ...] = ()
    """Globs of endpoints that can't be reached."""

    limit: RateLimit | None = None
    faults: Mapping[FaultKind, Share] = field(default_factory=dict)
    """Fault → the share of requests that end in it, out of those that can. For `unlisted` it is the
    share of the items of lists."""
    orders: tuple[Fault, ...] = ()
    """Faults that are ordered from the start."""
    seed: int = 0


SETTINGS: TypeAdapter[SandboxSettings] = TypeAdapter(SandboxSettings)

FIXED = frozenset({"environments", "connections", "types", "seed", "orders"})
"""Settings that only matter at the start."""


def changed(settings: SandboxSettings, changes: Mapping[str, Any]) -> SandboxSettings:
    """These settings with some replaced. Raises pydantic.ValidationError."""
    current = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    return SETTINGS.validate_python({**current, **changes})
