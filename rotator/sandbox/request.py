"""A request to the API, and its body field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rotator.sandbox.answers import ApiError, bad_request
from rotator.sandbox.faults import Fault

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    organization: str
    environment: str
    path: str
    """The whole of it, decoded."""
    address: str
    """The address of the environment, absolute."""
    name: str | None
    query: Mapping[str, str]
    content_type: str
    body: bytes = field(repr=False)
    fault: Fault | None = None

    def document(self, *content_types: str) -> Mapping[str, Any]:
        """The body as a JSON object. Raises ApiError."""
        document = self.json(*content_types)
        if not isinstance(document, dict):
            raise bad_request("the body must be a JSON object")
        return document

    def json(self, *content_types: str) -> object:
        if self.content_type not in content_types:
            raise ApiError(
                415,
                "unsupported_media_type",
                "Unsupported Media Type",
                f"Content-Type must be {' or '.join(content_types)}",
            )
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise bad_request("the body is not JSON") from None


def optional(document: Mapping[str, Any], pointer: str, kind: type[T]) -> T | None:
    """The value at a JSON pointer; None if it or its parent is absent or null."""
    value: object = document
    for part in pointer.split("/")[1:]:
        if not isinstance(value, dict):
            raise bad_request(f"{pointer} has no place in this body", pointer)
        value = value.get(part)
        if value is None:
            return None
    if not isinstance(value, kind):
        raise bad_request(f"{_dotted(pointer)} must be a {kind.__name__}", pointer)
    return value


def required(document: Mapping[str, Any], pointer: str, kind: type[T]) -> T:
    value = optional(document, pointer, kind)
    if value is None:
        raise bad_request(f"{_dotted(pointer)} is required", pointer)
    return value


def unchanged(document: Mapping[str, Any], pointer: str, present: str) -> None:
    """Raises ApiError if the body has another value for something that can't be changed."""
    value = optional(document, pointer, str)
    if value is not None and value != present:
        raise bad_request(f"{_dotted(pointer)} can't be changed", pointer)


def _dotted(pointer: str) -> str:
    return pointer.strip("/").replace("/", ".")
