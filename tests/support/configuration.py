"""Configurations for what needs only their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rotator.config.models import Config


def configured(**rotations: Mapping[str, Any]) -> Config:
    """Rotations as `name={key: value}`, with defaults for all that they need."""
    return Config.model_validate(
        {
            "targets": {
                "prod": {
                    "url": "https://flink.us-east-1.aws.confluent.cloud",
                    "organization": "o",
                    "environment": "e",
                    "auth": {"api_key": {"env": "A"}, "api_secret": {"env": "B"}},
                }
            },
            "sources": {"files": {"kind": "file", "root": "/etc/rotator/secrets"}},
            "rotations": {
                name: {
                    "targets": ["prod"],
                    "match": {"type": ["OPENAI"]},
                    "secret": {"source": "files", "path": "openai"},
                    "credential": {"api-key": "api_key"},
                    **settings,
                }
                for name, settings in rotations.items()
            },
        }
    )
