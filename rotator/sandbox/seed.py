"""Connections to begin with: `openai-001`, `bedrock-002`, … each with an initial credential."""

from __future__ import annotations

from dataclasses import replace

from rotator.sandbox.connections import Connections
from rotator.sandbox.settings import AcceptRule
from rotator.sandbox.vendors import VENDORS
from rotator.sandbox.world import World


def seed_connections(
    connections: Connections, world: World, count: int, types: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Over the types in turn; each type counts from 001, or from after those that are there.

    They are an hour old, so settled, and their credential counts as one that was accepted.
    """
    types = types or tuple(VENDORS)
    taken = set(connections.names())
    numbers = dict.fromkeys(types, 0)
    before = world.settings
    made_at = world.now() - max(3600.0, before.settle + before.lag)
    world.settings = replace(before, accept=AcceptRule(refused_words=()))
    names: list[str] = []
    try:
        for index in range(count):
            connection_type = types[index % len(types)]
            while True:
                numbers[connection_type] += 1
                name = f"{_slug(connection_type)}-{numbers[connection_type]:03d}"
                if name not in taken:
                    break
            connections.create(
                name,
                connection_type,
                _endpoint(connection_type),
                initial(connection_type, name),
                at=made_at,
            )
            names.append(name)
    finally:
        world.settings = before
    return tuple(names)


def initial(connection_type: str, name: str) -> dict[str, str]:
    """The credential that a seeded connection begins with."""
    vendor = VENDORS.get(connection_type)
    keys = vendor.ways[0] if vendor else {"API_KEY"}
    return dict.fromkeys(sorted(keys), f"initial-{name}")


def _endpoint(connection_type: str) -> str:
    vendor = VENDORS.get(connection_type)
    return vendor.endpoint if vendor else f"https://{_slug(connection_type)}.example.com/v1"


def _slug(connection_type: str) -> str:
    return connection_type.lower().replace("_", "-")
