"""The connections as they were last seen, for people to look at."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from rotator.model.connection import Connection
from rotator.model.events import Event, Listed, Settled

Key = tuple[str, str]
"""Target and name of a connection."""


@dataclass(slots=True)
class Listings:
    """An observer. A connection that the last look of a rotation at a target did not find is
    gone."""

    _seen: dict[tuple[str, str], dict[str, Connection]] = field(default_factory=dict)
    """Rotation and target → connections by name."""

    def __call__(self, event: Event) -> None:
        match event:
            case Listed(rotation, targets, connections):
                for target in targets:
                    self._seen[rotation, target] = {}
                for connection in connections:
                    self._seen[rotation, connection.target][connection.name] = connection
            case Settled(outcome) if outcome.phase is not None:
                seen = self._seen.get((outcome.rotation, outcome.target), {})
                if (known := seen.get(outcome.connection)) is not None:
                    seen[outcome.connection] = replace(known, phase=outcome.phase)
            case _:
                pass

    def configured(self, targets: Mapping[str, Collection[str]]) -> None:
        """Rotation → targets: forgets all others."""
        for rotation, target in list(self._seen):
            if target not in targets.get(rotation, ()):
                del self._seen[rotation, target]

    def knows(self, rotation: str, target: str) -> bool:
        """Whether there was such a look. Before the first one, nobody can say what is gone."""
        return (rotation, target) in self._seen

    def __iter__(self) -> Iterator[tuple[str, Connection]]:
        """Each with the rotation that matches it. One that several match appears once for each."""
        for (rotation, _), connections in list(self._seen.items()):
            for connection in list(connections.values()):
                yield rotation, connection

    def clear(self) -> None:
        """Another process looks from now on."""
        self._seen.clear()
