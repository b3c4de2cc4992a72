"""What looks at a connection prove about its update. Apart from the looking, and pure.

Times are seconds of a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from rotator.model.connection import Condition, Connection
from rotator.model.record import Record
from rotator.model.rule import VerificationPolicy


@dataclass(slots=True)
class Absence:
    """Looks in a row that don't find a connection.

    Two of them, at least an interval apart, make it count as deleted: a page that shifts, or a
    replica that doesn't know it yet, passes sooner than that.
    """

    interval: float
    _since: float | None = None

    def missed(self, asked_at: float) -> bool:
        """Whether it counts as deleted after one more look that doesn't find it."""
        if self._since is None:
            self._since = asked_at
        return asked_at - self._since >= self.interval * _NEARLY

    def found(self) -> None:
        self._since = None


class Sight(Enum):
    """Whose write a connection shows."""

    OURS = auto()
    """The update, and nothing later."""
    STALE = auto()
    """Not the update yet: reads lag behind writes, or it never arrived."""
    FOREIGN = auto()
    """Somebody else's write, which came after the update."""
    REPLACED = auto()
    """Another connection of the same name: the one that was updated is gone."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a connection must show for a look to be of the update."""

    before: Connection
    """As it was seen last before the update."""
    version: str | None
    """The resource version of the update. None: no answer told it, and no look showed it yet."""
    older: frozenset[str] = frozenset()
    """Versions known to be older than the update."""


def sight(expected: Expected, now: Connection) -> Sight:
    """Whose write `now` shows.

    A status has no observed generation, so the version is the only sign that a phase belongs to
    the update. Only the version that the update's own answer told is ours; where it told none, the
    first that is newer than before counts.
    """
    before, seen = expected.before, now.resource_version
    if not now.same_as(before):
        return Sight.REPLACED
    if expected.version is None or seen is None:
        moved = now.moved_since(before) and seen not in expected.older
        return Sight.OURS if moved else Sight.STALE
    if seen == expected.version:
        return Sight.OURS
    if seen == before.resource_version or seen in expected.older:
        return Sight.STALE
    if seen.isdecimal() and expected.version.isdecimal() and int(seen) < int(expected.version):
        return Sight.STALE
    return Sight.FOREIGN


@dataclass(frozen=True, slots=True)
class Stability:
    """How often in a row a connection was seen in the same condition."""

    condition: Condition
    looks: int
    since: float
    """When the first of these looks began."""
    counted_at: float
    """When the last look that counts began."""


def stability(
    former: Stability | None, now: Connection, asked_at: float, interval: float
) -> Stability:
    """With one more look. Looks that are less than an interval apart count as one."""
    if former is None or former.condition is not now.condition:
        return Stability(now.condition, 1, asked_at, asked_at)
    if asked_at - former.counted_at < interval * _NEARLY:
        return former
    return Stability(former.condition, former.looks + 1, former.since, asked_at)


_NEARLY = 0.999
"""Of an interval is an interval: timers are not exact."""


class Conclusion(Enum):
    """What follows from the looks so far."""

    PENDING = auto()
    """Look again."""
    WORKS = auto()
    """Stably usable with this update."""
    REJECTED = auto()
    """The endpoint refuses the credential."""
    LATE = auto()
    """Not usable within the timeout."""
    SWALLOWED = auto()
    """Answered, and still nowhere to be seen: send it again."""
    FOREIGN = auto()
    """Somebody else wrote after the update: nobody knows which credential is in place."""
    GONE = auto()
    """The connection was deleted."""
    REPLACED = auto()
    """Another connection took its name."""


@dataclass(frozen=True, slots=True)
class Proof:
    conclusion: Conclusion
    said: str = ""
    """What was seen, for people; without the detail that an endpoint gives."""
    ready_at: float | None = None
    """WORKS: when the first look began that showed it usable."""
    ours: bool = False
    """Whether the look showed the update."""


PENDING = Proof(Conclusion.PENDING)
SETTLING = Proof(Conclusion.PENDING, ours=True)


@dataclass(slots=True)
class Verification:
    """All looks at one update since it was answered."""

    policy: VerificationPolicy
    before: Connection
    """As it was seen last before the update."""
    since: float = 0.0
    """When the update was answered, or when its verification was taken up again."""
    version: str | None = None
    """The resource version of the update, once an answer told it or a look showed it."""
    older: frozenset[str] = frozenset()
    """Versions known to be older than that."""
    _absence: Absence = field(init=False)
    _untold: list[float] = field(default_factory=list)
    """When updates were answered without a version, since one was answered with one."""
    _lag: float = 0.0
    """Seconds from the first of these until a look showed one of them."""
    _stability: Stability | None = None
    _may_settle: bool = field(init=False)
    """Whether one more version may be the update's, made when its phase settles."""

    def __post_init__(self) -> None:
        self._absence = Absence(self.policy.interval)
        self._may_settle = self.policy.settled_version

    @classmethod
    def resumed(
        cls, policy: VerificationPolicy, before: Connection, record: Record, at: float
    ) -> Verification:
        """Of an update that an earlier run put."""
        older = frozenset(record.older_versions)
        return cls(policy, before, at, record.resource_version, older)

    def replaced(self, version: str | None) -> None:
        """A version that the next update, or the last one, came after."""
        if version is not None:
            self.older |= {version}

    def answered(self, before: Connection, version: str | None, at: float) -> None:
        """An update of `before` was applied; `version` is what its answer tells."""
        self.replaced(before.resource_version)
        self.replaced(self.version)
        told = version if version not in self.older else None
        self.before, self.version, self.since = before, told, at
        self._untold = [] if told else [*self._untold, at]
        self._absence.found()
        self._stability, self._may_settle = None, self.policy.settled_version

    def look(self, seen: Connection | None, asked_at: float) -> Proof:
        """One look, which began at `asked_at`."""
        if seen is None:
            return Proof(Conclusion.GONE) if self._absence.missed(asked_at) else PENDING
        self._absence.found()
        match sight(Expected(self.before, self.version, self.older), seen):
            case Sight.REPLACED:
                return Proof(Conclusion.REPLACED)
            case Sight.STALE:
                return self._stale(asked_at)
            case Sight.FOREIGN if len(self._untold) > 1:
                # Several sendings told no version, and each may have made one. The last counts.
                self._untold = self._untold[1:]
                return self._moved_on(seen)
            case Sight.FOREIGN if self._may_settle:
                self._may_settle = False
                return self._moved_on(seen)
            case Sight.FOREIGN:
                then = self.version or self.before.resource_version
                return Proof(
                    Conclusion.FOREIGN, f"resource version {then} → {seen.resource_version}"
                )
            case Sight.OURS:
                return self._ours(seen, asked_at)

    def _moved_on(self, seen: Connection) -> Proof:
        self.replaced(self.version)
        self.version, self._stability = seen.resource_version, None
        return SETTLING

    def _stale(self, asked_at: float) -> Proof:
        waited = asked_at - self.since
        if waited >= self.policy.timeout:
            still = f"still at resource version {self.before.resource_version}"
            return Proof(Conclusion.LATE, f"the update is not visible: {still}")
        # A proxy may answer 200 to what it never passed on; to send it once more does no harm. An
        # answer that tells a new version comes from nobody but the target.
        patience = resend_after(self.policy.interval, self.policy.timeout)
        if self.version is None and waited >= patience:
            return Proof(Conclusion.SWALLOWED)
        return PENDING

    def _ours(self, seen: Connection, asked_at: float) -> Proof:
        if self.version is None:
            self.version = seen.resource_version
            self._lag = asked_at - self._untold[0] if self._untold else 0.0
        stable = self._stability = stability(self._stability, seen, asked_at, self.policy.interval)
        # Where several sendings told no version, the last one is as late as the first was.
        last = self._untold[-1] + self._lag if len(self._untold) > 1 else self.since
        settled = stable.looks >= self.policy.stable and asked_at >= last
        # What flaps is not waited for without an end; what was just seen may be seen once more.
        grace = self.policy.stable * self.policy.interval
        late = asked_at >= max(self.since + self.policy.timeout, last) + grace
        if seen.condition is Condition.USABLE:
            if settled:
                said = f"{seen.phase} at resource version {seen.resource_version}"
                return Proof(Conclusion.WORKS, said, stable.since, ours=True)
            said = f"{seen.phase}, and not for long enough"
            return Proof(Conclusion.LATE, said, ours=True) if late else SETTLING
        if seen.condition is Condition.REJECTED:
            # A status that lags may still show what the endpoint said of the credential before.
            if self.before.condition is not Condition.REJECTED or settled or late:
                return Proof(Conclusion.REJECTED, ours=True)
            return SETTLING
        late = asked_at - self.since >= self.policy.timeout
        return Proof(Conclusion.LATE, ours=True) if late else SETTLING

    def refuses_now(self, seen: Connection) -> bool:
        """Whether what was seen to work is refused now, and nobody else wrote since."""
        ours = sight(Expected(self.before, self.version, self.older), seen) is Sight.OURS
        return ours and seen.condition is Condition.REJECTED

    @property
    def confirming_at(self) -> float | None:
        """When the look began after which one more, an interval later, proves that it works."""
        stable = self._stability
        if stable is None or stable.condition is not Condition.USABLE:
            return None
        return stable.counted_at if stable.looks >= self.policy.stable - 1 else None


def phase_of(now: Connection) -> str:
    """The phase for people, in one line.

    Without the detail beside it: an endpoint may echo the credential that it refuses, in any form,
    and a status that lags may speak of the one before. What can't be scrubbed is not kept.
    """
    return _one_line(now.phase)


def _one_line(text: str, most: int = 200) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def pauses(interval: float) -> tuple[float, ...]:
    """Seconds between the first looks, after which every pause is `interval`.

    Many endpoints settle within a moment, and a look costs one request for 100 connections, so
    the first ones come sooner.
    """
    return (interval / 8, interval / 4, interval / 2)


def resend_after(interval: float, timeout: float) -> float:
    """Seconds after which an update that doesn't show counts as one that never arrived.

    Longer than reads are likely to lag behind writes; sending it once more does no harm.
    """
    return min(max(3.0, 3 * interval), timeout / 4)
