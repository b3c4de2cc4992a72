"""The JSON Schema of the configuration, for editors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DictSchema, NullableSchema, WithDefaultSchema

from rotator.config.fields import Section, format_duration
from rotator.config.models import Config


class _Generator(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """A default as one would write it in the file: durations with a unit, no key without a
        value."""
        if isinstance(dft, timedelta):
            return format_duration(dft)
        if isinstance(dft, Section):
            return {name: self.encode_default(value) for name, value in dft if value is not None}
        return super().encode_default(dft)

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        """A key may be left out, but must have a value if it is there."""
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def nullable_schema(self, schema: NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def dict_schema(self, schema: DictSchema) -> JsonSchemaValue:
        """Refuses names that break their pattern; JSON Schema by itself would accept them."""
        made = super().dict_schema(schema)
        return made | {"additionalProperties": False} if "patternProperties" in made else made


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12. It describes the structure. Only `load` checks cron and time zones, and
    names and types that must fit each other."""
    return {
        "$schema": _Generator.schema_dialect,
        **Config.model_json_schema(schema_generator=_Generator),
        "title": "rotator configuration",
    }
