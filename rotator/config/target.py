"""Targets, as the configuration describes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field
from pydantic_core import PydanticCustomError

from rotator.config.fields import TAG, BaseUrl, FilePath, Id, PositiveDuration, Section, tag
from rotator.config.references import Reference


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
    """Limits one request as a whole."""
    ca_file: FilePath | None = None
    """For private networking with its own CA; default: the system's."""
