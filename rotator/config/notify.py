"""The webhooks that the daemon notifies of failures."""

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
    """One address that gets JSON by POST."""

    # Many of these URLs (Slack's, for one) work as a password: whoever has it may post.
    url: Annotated[TextOrReference, Field(repr=False)]
    """A reference, or https://… if the URL is no secret; http:// only for loopback. Looked up again
    for each request."""
    events: Annotated[
        tuple[Literal["failed", "rolled_back", "quarantined", "recovered"], ...],
        Field(min_length=1),
    ] = ("failed", "rolled_back", "quarantined", "recovered")
    """The events that are sent there; default: all."""
    secret: Reference | None = None
    """Signs each request, in its header X-Rotator-Signature; default: no signature."""
    ca_file: FilePath | None = None
    """The CA of the receiver, if it has its own; default: the system's."""


def _each_once(webhooks: Sequence[WebhookConfig]) -> Sequence[WebhookConfig]:
    for index, webhook in enumerate(webhooks):
        if webhook in webhooks[:index]:
            raise PydanticCustomError("twice", "is in the list already", {"at": index})
    return webhooks


NotifyConfig = Annotated[tuple[WebhookConfig, ...], AfterValidator(_each_once)]
