"""Whom the daemon tells of failures, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field
from pydantic_core import PydanticCustomError

from rotator.config.fields import FilePath, Section, WebhookUrl, tag, text_or_mapping
from rotator.config.references import Reference

TextOrReference = Annotated[
    Annotated[WebhookUrl, tag("text")] | Annotated[Reference, tag("mapping")],
    Discriminator(text_or_mapping),
]


class WebhookConfig(Section):
    """One address that JSON is posted to."""

    # Slack's and many others' are passwords: whoever has the URL may post.
    url: Annotated[TextOrReference, Field(repr=False)]
    """A reference, or https://… where the URL is no secret; http:// only for loopback. Looked up
    anew for each request."""
    events: Annotated[
        tuple[Literal["failed", "rolled_back", "quarantined", "recovered"], ...],
        Field(min_length=1),
    ] = ("failed", "rolled_back", "quarantined", "recovered")
    """Which are sent there. Default: all."""
    secret: Reference | None = None
    """Signs each request, in its header X-Rotator-Signature; default: none is signed."""
    ca_file: FilePath | None = None
    """Of a receiver behind a CA of one's own; default: the system's."""


def _each_once(webhooks: Sequence[WebhookConfig]) -> Sequence[WebhookConfig]:
    for index, webhook in enumerate(webhooks):
        if webhook in webhooks[:index]:
            raise PydanticCustomError("twice", "is in the list already", {"at": index})
    return webhooks


NotifyConfig = Annotated[tuple[WebhookConfig, ...], AfterValidator(_each_once)]
