"""Which of several processes rotates."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from rotator.config.fields import (
    LEASE_NAME_PATTERN,
    NAMESPACE_PATTERN,
    BaseUrl,
    FilePath,
    PositiveDuration,
    Section,
    chosen_by,
    tag,
)


def _whole_seconds(duration: timedelta) -> timedelta:
    shortest, longest = timedelta(seconds=2), timedelta(minutes=10)
    if duration % timedelta(seconds=1) or not shortest <= duration <= longest:
        raise PydanticCustomError("lease_duration", "whole seconds, from 2s to 10m")
    return duration


class NoCoordination(Section):
    """This process is the only one, and asks nobody."""

    kind: Literal["none"] = "none"


class LeaseCoordination(Section):
    """One of several processes leads, as long as it renews a Lease of Kubernetes.

    Only the leader rotates. The others serve metrics, health and the API, and one of them takes
    over when the Lease was not renewed for `lease_duration`.
    """

    kind: Literal["lease"]
    namespace: Annotated[str, Field(pattern=NAMESPACE_PATTERN)] | None = None
    """Default: the namespace of the pod."""
    name: Annotated[str, Field(pattern=LEASE_NAME_PATTERN)] = "rotator"
    """The name of the Lease. Deployments that must not wait for each other need different names."""
    identity: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """What the Lease shows as its holder; default: the host name, which in a pod is the pod's."""
    lease_duration: Annotated[PositiveDuration, AfterValidator(_whole_seconds)] = timedelta(
        seconds=15
    )
    """After this long without a renewal another process takes over. The leader stops by itself at
    two thirds of it. Must be the same in all replicas."""
    url: BaseUrl | None = None
    """The address of the API server; default: the cluster's, from KUBERNETES_SERVICE_HOST."""
    token_file: FilePath | None = None
    """Read again for each request; default: the token of the service account."""
    ca_file: FilePath | None = None
    """Default: the CA of the service account."""


CoordinationConfig = Annotated[
    Annotated[NoCoordination, tag("none")] | Annotated[LeaseCoordination, tag("lease")],
    chosen_by("kind", "none", "lease"),
]
