"""The connection types that rotator knows, against those that the published document lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from rotator.confluent.types import TYPES
from tests.support.contract import DOCUMENT, needs_published_document


def listed_types(node: Any) -> Iterator[frozenset[str]]:
    """Every list of types in the document: that of the filter, and that of the connection."""
    if isinstance(node, dict):
        if "OPENAI" in node.get("x-extensible-enum", ()):
            yield frozenset(node["x-extensible-enum"])
        for each in node.values():
            yield from listed_types(each)
    elif isinstance(node, list):
        for each in node:
            yield from listed_types(each)


@needs_published_document
def test_the_types_are_the_published_ones() -> None:
    document = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    assert set(listed_types(document)) == {frozenset(TYPES)}
