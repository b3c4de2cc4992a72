"""The JSON Schema of the configuration, for editors."""

from __future__ import annotations

from typing import Any

from rotator.config.models import Config


def json_schema() -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(),
        "title": "rotator configuration",
    }
