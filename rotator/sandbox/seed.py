"""Connections to begin with: `openai-001`, `bedrock-002`, … each with an initial credential."""

from __future__ import annotations

from rotator.sandbox.connections import Connections
from rotator.sandbox.vendors import VENDORS
from rotator.sandbox.world import World


def seed_connections(
    connections: Connections, world: World, count: int, types: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Makes connections over the types in turn. Each type counts from 001, or after those that
    exist.

    They are at least an hour old, so that no lag hides them.
    """
    types = types or tuple(VENDORS)
    since = world.now() - max(3600.0, world.settings.lag)
    taken = set(connections.names())
    numbers = dict.fromkeys(types, 0)
    names: list[str] = []
    for index in range(count):
        connection_type = types[index % len(types)]
        while True:
            numbers[connection_type] += 1
            name = f"{_slug(connection_type)}-{numbers[connection_type]:03d}"
            if name not in taken:
                break
        credential = initial(connection_type, name)
        connections.furnish(name, connection_type, _endpoint(connection_type), credential, since)
        names.append(name)
    return tuple(names)


def initial(connection_type: str, name: str) -> dict[str, str]:
    """The credential that a seeded connection begins with."""
    return any_credential(connection_type, f"initial-{name}")


def any_credential(connection_type: str, value: str) -> dict[str, str]:
    """One that has all the keys that the type needs, with this value for each."""
    vendor = VENDORS.get(connection_type)
    keys = vendor.ways[0] if vendor else {"API_KEY"}
    return dict.fromkeys(sorted(keys), value)


def _endpoint(connection_type: str) -> str:
    vendor = VENDORS.get(connection_type)
    return vendor.endpoint if vendor else f"https://{_slug(connection_type)}.example.com/v1"


def _slug(connection_type: str) -> str:
    return connection_type.lower().replace("_", "-")
