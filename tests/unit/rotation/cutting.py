"""A small model of targets and ledger, in which a run can die after every step.

It carries out the decisions of the real `decide`, `stages`, `halted`, `before_of` and `judge`, in
the order of steps that rotation/apply.py keeps; nothing of it waits, and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import chain, islice, zip_longest

from rotator.config.models import Rollout
from rotator.model.connection import Connection
from rotator.model.plan import Change
from rotator.model.record import Record, Stage
from rotator.rotation.plan import before_of, decide
from rotator.rotation.rollout import halted, stages
from rotator.rotation.verify import State, judge
from tests.unit.rotation.values import REF, at, connection, credential, record

Key = tuple[str, str]
"""Target and name of a connection."""


class Fault(Enum):
    """What becomes of one update, once."""

    REFUSED = "a clear no, and not applied"
    LOST = "applied, and no answer that can be trusted"


@dataclass(frozen=True, slots=True)
class Shows:
    """How much of its versions a target shows."""

    listed: bool = True
    answered: bool = True


@dataclass(slots=True)
class World:
    """Fingerprints that start with `bad` are refused by every endpoint."""

    shows: Shows
    held: dict[Key, str]
    """The fingerprint of what each connection really holds."""
    records: dict[Key, Record] = field(default_factory=dict)
    faults: dict[Key, Fault] = field(default_factory=dict)
    writes: list[tuple[Key, str]] = field(default_factory=list)
    _versions: dict[Key, int] = field(default_factory=dict)

    def listed(self, key: Key) -> Connection:
        version = self._versions.get(key, 1)
        return connection(
            key[1],
            target=key[0],
            phase="INVALID_AUTH" if self.held[key].startswith("bad") else "READY",
            version=str(version) if self.shows.listed else None,
            updated_at=at(version),
        )

    def apply(self, key: Key, fingerprint: str) -> str | None:
        self.writes.append((key, fingerprint))
        self.held[key] = fingerprint
        self._versions[key] = self._versions.get(key, 1) + 1
        return self.listed(key).resource_version if self.shows.answered else None

    def plan(self, wanted: str, *, force: bool = False) -> tuple[Change, ...]:
        return tuple(
            decide(
                self.listed(key),
                credential(wanted, f"version of {wanted}"),
                REF,
                self.records.get(key),
                force=force,
            )
            for key in self.held
        )

    def at_stage(self, *of: Stage) -> set[Key]:
        return {key for key, known in self.records.items() if known.stage in of}

    def reached_by_bad(self, target: str) -> set[str]:
        return {
            name
            for (of, name), fingerprint in self.writes
            if of == target and fingerprint.startswith("bad")
        }

    def state(self) -> dict[Key, tuple[str, Stage, str]]:
        """What counts in the end: how often it took is of no account."""
        return {
            key: (self.held[key], known.stage, known.fingerprint)
            for key, known in self.records.items()
        }


@dataclass(slots=True)
class Run:
    world: World
    wanted: str
    rollout: Rollout
    together: bool
    """Whether the updates of a stage are under way at once, or one after the other."""
    force: bool = False
    failures: int = 0
    _put: list[tuple[Change, Record]] = field(default_factory=list)

    def steps(self) -> Iterator[None]:
        """Yields after everything that lasts: the process may die there."""
        for stage in stages(self.world.plan(self.wanted, force=self.force), self.rollout):
            if halted(self.failures, self.rollout):
                return
            self._put = [(one, one.record) for one in stage if one.verify_only and one.record]
            updates = [self._update(one) for one in stage if one.update]
            yield from in_turn(updates) if self.together else chain.from_iterable(updates)
            for change, known in self._put:
                self._verify(change, known)
                yield

    def _update(self, change: Change) -> Iterator[None]:
        if halted(self.failures, self.rollout):
            return
        listed, world = change.connection, self.world
        key = listed.target, listed.name
        intent = record(
            Stage.INTENDED,
            name=listed.name,
            target=listed.target,
            fingerprint=self.wanted,
            version=None,
            before=listed.resource_version,
        )
        world.records[key] = intent
        yield
        fault = world.faults.pop(key, None)
        if fault is Fault.REFUSED:
            self.failures += 1
            world.records[key] = replace(intent, stage=Stage.REFUSED)
            yield
            return
        version = world.apply(key, self.wanted)
        yield
        if fault is Fault.LOST:
            self.failures += 1
            return
        world.records[key] = replace(intent, stage=Stage.PUT, resource_version=version)
        self._put.append((change, world.records[key]))
        yield

    def _verify(self, change: Change, known: Record) -> None:
        key = known.target, known.connection
        now = self.world.listed(key)
        seen = judge(before_of(change), now, misses=0, waited=0, timeout=30)
        assert seen.state is not State.PENDING, "in this model every write shows at once"
        verified = seen.state is State.VERIFIED
        self.failures += not verified
        self.world.records[key] = replace(
            known,
            stage=Stage.VERIFIED if verified else Stage.FAILED,
            resource_version=now.resource_version,
        )


def in_turn(updates: Iterable[Iterator[None]]) -> Iterator[None]:
    """One step of each, then the next step of each."""
    for _ in chain.from_iterable(zip_longest(*updates)):
        yield


def die_after(run: Run, steps: int) -> None:
    for _ in islice(run.steps(), steps):
        pass


def finish(run: Run) -> int:
    """The number of steps that it took."""
    return sum(1 for _ in run.steps())
