"""Secrets that are JSON. Errors never hold the text: json's own carry all of it."""

from __future__ import annotations

import json


class NotAnObject(Exception):
    """Says what is wrong with the text, without any of it."""


def json_object(text: str) -> dict[str, object]:
    """A JSON object whose keys are all different. Raises NotAnObject."""
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise NotAnObject("it is not valid JSON") from None
    if not isinstance(document, dict):
        raise NotAnObject("it is JSON, but no object with fields")
    return document


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    built = dict(pairs)
    if len(built) < len(pairs):
        raise NotAnObject("it has a field twice")
    return built
