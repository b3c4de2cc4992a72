"""The project's own schema of what rotator sends and reads, and whether an exchange keeps to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jsonschema import Draft202012Validator

FILE = Path(__file__).parents[1] / "contract" / "data" / "flink-connections.schema.json"

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of connections and the answer to it."""

    method: str
    url: str
    body: bytes = field(repr=False)
    status: int
    answer: bytes = field(repr=False)

    @property
    def asks_for_a_list(self) -> bool:
        return self.method == "GET" and urlsplit(self.url).path.endswith("/connections")


@cache
def document() -> Schema:
    schema: Schema = json.loads(FILE.read_text(encoding="utf-8"))
    return schema


def definition(name: str) -> Schema:
    """With its references resolved, down to the last."""
    resolved: Schema = _resolved(document()["$defs"][name])
    return resolved


def breaches(name: str, instance: object) -> list[str]:
    """What a definition of the schema has against a document. Repeats no value of it."""
    validator = Draft202012Validator(
        {"$ref": f"#/$defs/{name}", "$defs": document()["$defs"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    return [
        f"{name}: {'/'.join(str(part) for part in error.absolute_path)}: "
        f"breaks {error.validator}: {error.validator_value}"
        for error in validator.iter_errors(instance)
    ]


def breaches_of_request(exchange: Exchange) -> list[str]:
    match exchange.method:
        case "GET" if exchange.asks_for_a_list:
            return breaches("list_query", _query(exchange.url))
        case "GET":
            return ["a query is sent for one connection"] if _query(exchange.url) else []
        case "PUT":
            return _breaches_of_update("put_body", exchange.body)
        case "PATCH":
            return _breaches_of_update("patch_body", exchange.body)
        case _:
            return [f"{exchange.method} is never sent"]


def breaches_of_answer(exchange: Exchange) -> list[str]:
    empty = not exchange.answer.strip()
    if exchange.status >= 400:
        return [] if empty else breaches("failure", json.loads(exchange.answer))
    if exchange.method in {"PUT", "PATCH"}:
        return [] if empty else breaches("updated_connection", json.loads(exchange.answer))
    name = "list_page" if exchange.asks_for_a_list else "connection"
    return breaches(name, json.loads(exchange.answer))


def leaves(schema: Schema, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The places of all fields that have none of their own; `*` stands for each item of a list."""
    if "items" in schema:
        yield from leaves(schema["items"], (*place, "*"))
    elif "properties" in schema:
        for name, field_schema in schema["properties"].items():
            yield from leaves(field_schema, (*place, name))
    else:
        yield place


def _breaches_of_update(name: str, body: bytes) -> list[str]:
    sent = json.loads(body)
    found = breaches(name, sent)
    return found or breaches("credential", json.loads(sent["spec"]["auth_data"]["data"]))


def _query(url: str) -> Mapping[str, object]:
    query: dict[str, object] = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    size = query.get("page_size")
    return (
        {**query, "page_size": int(size)} if isinstance(size, str) and size.isdecimal() else query
    )


def _resolved(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_resolved(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return definition(schema["$ref"].rpartition("/")[2])
    return {key: _resolved(value) for key, value in schema.items()}
