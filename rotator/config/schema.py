"""The JSON Schema of the configuration, for editors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from rotator.config.fields import format_duration
from rotator.config.models import Config


class _Generator(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """Durations as the configuration has them, rather than as ISO 8601."""
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12. It knows the structure; names and types that must fit each other, cron
    and time zones are checked only by `load`."""
    return {
        "$schema": _Generator.schema_dialect,
        **Config.model_json_schema(schema_generator=_Generator),
        "title": "rotator configuration",
    }
