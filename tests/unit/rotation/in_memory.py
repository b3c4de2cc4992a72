"""One rotation with its targets, its source and its ledger, all in memory."""

from __future__ import annotations

from typing import Any, TypeVar

from rotator.errors import TargetUnavailable
from rotator.model.events import Event
from rotator.model.rule import LeaseSharing, SecretPlace
from tests.support.memory import Memory, MemoryTarget
from tests.unit.rotation.values import rule

E = TypeVar("E", bound=Event)
PATH = "flink/openai"
LEASED = SecretPlace("vault", "creds/app", "database", lease=LeaseSharing.SHARED)
DOWN = TargetUnavailable("west", "no answer")


def in_memory(*names: str, targets: tuple[str, ...] = ("prod",), **settings: Any) -> Memory:
    """Connections of these names in every target, and a secret that works, at version v1."""
    made = Memory(
        {"openai": rule(targets=targets, **settings)},
        {target: MemoryTarget(target) for target in targets},
    )
    for target in made.targets.values():
        target.add(*names)
    secret(made, "good-1", "v1")
    return made


def secret(memory: Memory, value: str, version: str) -> None:
    """What the source answers from now on, to reads of every kind."""
    for path in (PATH, LEASED.path):
        memory.sources["vault"].secrets[path] = (version, {"api_key": value})


def told(memory: Memory, kind: type[E]) -> list[E]:
    return [event for event in memory.events if isinstance(event, kind)]
