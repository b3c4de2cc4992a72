"""Counts how soon connections follow their secrets, for the service level objective. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rotator.model.plan import Change, Verdict
from rotator.model.run import Outcome, Result

IN_TIME = timedelta(minutes=15)
"""A connection should be seen READY with its secret within this time of the secret's change."""

Key = tuple[str, str]
"""Target and name of a connection."""


@dataclass(slots=True)
class _Behind:
    """A connection that does not have the present credential of its secret yet."""

    rotation: str
    since: datetime
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """One change of one connection's secret, counted once."""

    rotation: str
    target: str
    in_time: bool


@dataclass(slots=True)
class Freshness:
    """Counts each change of a connection's secret once: in time if it is verified in time, and late
    as soon as it can't be any more."""

    _behind: dict[Key, _Behind] = field(default_factory=dict)

    def planned(self, rotation: str, change: Change, began: datetime, *, watched: bool) -> None:
        """`began` is the start of the run. A rotation with only a schedule promises no more than
        its schedule, and a connection that was never rotated, or drifted, has no change to
        follow."""
        if not change.update:
            return
        since = began
        credential, record = change.credential, change.record
        if (
            watched
            and change.verdict is Verdict.CHANGED
            and credential is not None
            and credential.changed_at is not None
            and record is not None
            and record.secret_version != credential.secret_version
        ):
            since = min(began, credential.changed_at)
        key = change.connection.target, change.connection.name
        # After another change, the connection is still late by the first one.
        self._behind.setdefault(key, _Behind(rotation, since))

    def settled(self, outcome: Outcome) -> tuple[Counted | None, float | None]:
        """What counts now, and the seconds from the change to the verification."""
        key = outcome.target, outcome.connection
        behind = self._behind.get(key)
        if behind is None or outcome.result is not Result.ROTATED:
            return None, None
        del self._behind[key]
        took = max(timedelta(0), outcome.at - behind.since)
        counted = Counted(behind.rotation, outcome.target, took <= IN_TIME)
        return (None if behind.counted else counted), took.total_seconds()

    def overdue(self, now: datetime) -> list[Counted]:
        """Those that can't be in time any more, each returned once."""
        late = []
        for (target, _), behind in self._behind.items():
            if not behind.counted and now - behind.since > IN_TIME:
                behind.counted = True
                late.append(Counted(behind.rotation, target, in_time=False))
        return late

    def listed(self, rotation: str, targets: Collection[str], present: Collection[Key]) -> None:
        """A connection that is gone is not late."""
        self._drop(
            lambda key, behind: (
                behind.rotation == rotation and key[0] in targets and key not in present
            )
        )

    def configured(self, targets: Mapping[str, Collection[str]]) -> None:
        """Rotation → targets: forgets the connections of all others."""
        self._drop(lambda key, behind: key[0] not in targets.get(behind.rotation, ()))

    def clear(self) -> None:
        self._behind.clear()

    def _drop(self, gone: Callable[[Key, _Behind], bool]) -> None:
        for key in [key for key, behind in self._behind.items() if gone(key, behind)]:
            del self._behind[key]
