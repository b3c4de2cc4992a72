"""The schemas of the published OpenAPI document, put together and compared with our own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.flink_schema import Schema

Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Published:
    document: Mapping[str, Any]

    def body_of_put(self, path: str) -> Schema:
        content = self.document["paths"][path]["put"]["requestBody"]["content"]
        body: Schema = content["application/json"]["schema"]
        return body

    def lacks(self, ours: Schema, theirs: Schema, place: str = "") -> list[str]:
        """The fields of ours that theirs doesn't have, or has with another type."""
        parts = tuple(self._parts(theirs))
        types = sorted({part["type"] for part in parts if "type" in part})
        differs = "type" in ours and types and ours["type"] not in types
        found = [f"{place}: {', '.join(types)} there"] if differs else []
        for name, field_schema in ours.get("properties", {}).items():
            inner = f"{place}/{name}".lstrip("/")
            known = _fields(parts, name)
            if known:
                found += self.lacks(field_schema, {"allOf": known}, inner)
            else:
                found.append(f"{inner}: not there")
        if "items" in ours:
            found += self.lacks(ours["items"], {"allOf": _items(parts)}, f"{place}/*")
        return found

    def required(
        self, theirs: Schema, place: Place = (), *, of_answers: bool = False
    ) -> Iterator[Place]:
        """The places of the fields that a request must have, or that an answer always has.

        What only answers have (readOnly) demands nothing of a request.
        """
        parts = tuple(self._parts(theirs))
        for part in parts:
            if of_answers or not part.get("readOnly"):
                yield from ((*place, name) for name in part.get("required", ()))
        for name in {name for part in parts for name in part.get("properties", ())}:
            inner = {"allOf": _fields(parts, name)}
            yield from self.required(inner, (*place, name), of_answers=of_answers)
        if items := _items(parts):
            yield from self.required({"allOf": items}, (*place, "*"), of_answers=of_answers)

    def _parts(self, schema: Schema) -> Iterator[Schema]:
        """The schema, and all that it refers to or is made of."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            yield from self._parts(self.document["components"]["schemas"][name])
            return
        yield schema
        for part in (*schema.get("allOf", ()), *schema.get("oneOf", ())):
            yield from self._parts(part)


def required(ours: Schema, place: Place = ()) -> Iterator[Place]:
    """The places of the fields that our schema demands; `*` stands for each item of a list."""
    for name in ours.get("required", ()):
        yield (*place, name)
    for name, field_schema in ours.get("properties", {}).items():
        yield from required(field_schema, (*place, name))
    if "items" in ours:
        yield from required(ours["items"], (*place, "*"))


def _fields(parts: Sequence[Schema], name: str) -> list[Schema]:
    return [part["properties"][name] for part in parts if name in part.get("properties", ())]


def _items(parts: Sequence[Schema]) -> list[Schema]:
    return [part["items"] for part in parts if "items" in part]
