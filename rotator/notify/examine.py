"""Checks whether webhooks could be called, without calling them."""

from __future__ import annotations

from collections.abc import Iterator

from rotator.config.fields import is_webhook_url
from rotator.config.models import FromEnv, FromFile, WebhookConfig
from rotator.config.references import resolve_local
from rotator.errors import ValueUnavailable
from rotator.model.source import Finding
from rotator.notify.receiver import NO_URL


def examine(webhook: WebhookConfig, key: str) -> Iterator[Finding]:
    """Checks variables and files. Secrets of sources are examined with their source. None of it is
    required: rotator rotates without webhooks."""
    for name, reference in (("url", webhook.url), ("secret", webhook.secret)):
        if not isinstance(reference, (FromEnv, FromFile)):
            continue
        problem, place = "", f"{key}.{name}"
        try:
            value = resolve_local(reference, place)
        except ValueUnavailable as error:
            problem = str(error)
        else:
            if name == "url" and not is_webhook_url(value.strip()):
                problem = NO_URL.format(key=place)
        yield Finding(f"find its {name}", problem, required=False)
