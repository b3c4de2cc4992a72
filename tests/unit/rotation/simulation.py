"""A cloud and a ledger in memory, in which the shipped roll-out is cut, delayed and reordered.

The machine is the one that ships: only what `drive` would carry out is carried out here, one
effect at a time, in any order, or never. Fingerprints that start with `bad` are refused by every
endpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum, auto

from rotator.confluent.phases import condition
from rotator.errors import (
    SourceUnavailable,
    TargetRefused,
    TargetUnavailable,
    UpdateConflict,
    UpdateUncertain,
)
from rotator.model.connection import Connection
from rotator.model.plan import Change
from rotator.model.record import Record, Stage
from rotator.model.rule import RolloutPolicy, VerificationPolicy
from rotator.model.run import Outcome, Result
from rotator.rotation import effects as fx
from rotator.rotation.decide import decide, decide_leased
from rotator.rotation.effects import Key, Moment
from rotator.rotation.rollout import RollOut
from tests.unit.rotation.values import NOON, REF, credential, rule

LONGEST = 4_000.0
"""Seconds of simulated time in which every run must end."""


class Fault(Enum):
    """What may go wrong with a sending."""

    REFUSED = auto()
    """There was no way to the target."""
    LOST = auto()
    """It never arrived, and the answer says nothing."""
    APPLIED = auto()
    """It was applied, and its answer was lost."""


@dataclass(slots=True)
class Held:
    """One connection as it is at its target, with all that it was."""

    uid: str
    versions: list[tuple[int, str, float]]
    """Version, the fingerprint that it holds, and when that was written."""
    phases: list[tuple[float, str]]
    """From when on which phase shows."""

    @property
    def version(self) -> int:
        return self.versions[-1][0]

    @property
    def fingerprint(self) -> str:
        return self.versions[-1][1]


@dataclass(slots=True)
class Cloud:
    """Targets whose reads may lag, whose phases may follow late, and whose answers may be bare."""

    lag: float = 0.0
    """Seconds by which reads are behind writes."""
    phase_lag: float = 0.0
    """Seconds after which a phase follows its write."""
    tells: bool = True
    """Whether answers to updates tell the new version."""
    checks: bool = True
    """Whether an update of an old version conflicts."""
    opaque: bool = False
    """Whether versions are words, not numbers."""
    now: float = 0.0
    held: dict[Key, Held] = field(default_factory=dict)
    writes: list[tuple[Key, str]] = field(default_factory=list)
    """Updates of ours that were applied."""
    _uids: int = 0
    _version: int = 10

    def add(self, key: Key, fingerprint: str = "old") -> None:
        self._uids += 1
        self._version += 1
        phase = "INVALID_AUTH" if fingerprint.startswith("bad") else "READY"
        long_ago = float("-inf")
        self.held[key] = Held(
            f"uid-{self._uids}", [(self._version, fingerprint, long_ago)], [(long_ago, phase)]
        )

    def named(self, version: int) -> str:
        return f"v{version:x}~" if self.opaque else str(version)

    def shown(self, key: Key, lag: float | None = None) -> Connection | None:
        held = self.held.get(key)
        if held is None:
            return None
        then = self.now - (self.lag if lag is None else lag)
        seen = [each for each in held.versions if each[2] <= then] or held.versions[:1]
        phase = next(phase for at, phase in reversed(held.phases) if at <= then)
        target, name = key
        return Connection(
            target=target,
            name=name,
            type="OPENAI",
            endpoint="https://api.openai.com/v1",
            phase=phase,
            condition=condition(phase),
            resource_version=self.named(seen[-1][0]),
            uid=held.uid,
        )

    def write(self, key: Key, fingerprint: str) -> str | None:
        held = self.held[key]
        self._version += 1
        held.versions.append((self._version, fingerprint, self.now))
        phase = "INVALID_AUTH" if fingerprint.startswith("bad") else "READY"
        held.phases.append((self.now + self.phase_lag, phase))
        return self.named(self._version) if self.tells else None

    def update(self, send: fx.Send) -> str | None:
        """Raises UpdateConflict; and TargetRefused where there is no such connection."""
        held = self.held.get(send.key)
        if held is None:
            raise TargetRefused(send.key[0], "not found", status=404)
        based_on = send.connection.resource_version
        if self.checks and based_on != self.named(held.version):
            raise UpdateConflict(send.key[0], "it changed meanwhile", status=409)
        version = self.write(send.key, send.credential.fingerprint)
        self.writes.append((send.key, send.credential.fingerprint))
        return version


@dataclass(slots=True)
class Book:
    """A ledger that keeps what is written in the order in which it is."""

    records: dict[Key, Record] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)


@dataclass(slots=True)
class Simulation:
    cloud: Cloud
    rollout: RolloutPolicy = field(default_factory=RolloutPolicy)
    verification: VerificationPolicy = field(
        default_factory=lambda: VerificationPolicy(timeout=30.0, interval=2.0, stable=2)
    )
    places: int = 4
    reapply_drift: bool = True
    book: Book = field(default_factory=Book)
    faults: dict[Key, Fault] = field(default_factory=dict)
    """What becomes of the next sending to a connection."""
    machine: RollOut | None = None
    pending: list[fx.Effect | Asked] = field(default_factory=list)
    """Asked for, and not begun."""
    arrived: list[fx.Event] = field(default_factory=list)
    """Done, and not yet told to the machine."""
    steps: int = 0
    """Effects that were carried out."""
    told: int = 0
    """Events that the machine was told."""
    runs: int = 0
    wanted: str = "new"
    asked_looks: int = 0

    @property
    def now(self) -> Moment:
        return Moment(NOON + timedelta(seconds=self.cloud.now), self.cloud.now)

    # A run

    def plan(self, wanted: str, *, force: bool = False, leased: bool = False) -> tuple[Change, ...]:
        changes = []
        for key in self.cloud.held:
            listed, record = self.cloud.shown(key), self.book.records.get(key)
            assert listed is not None
            if leased:
                stale = None if record and record.fingerprint == wanted else "its lease has ended"
                changes.append(decide_leased(listed, REF, record, stale, force=force))
            else:
                made = credential(wanted, f"version of {wanted}")
                changes.append(
                    decide(listed, made, REF, record, force=force, reapply_drift=self.reapply_drift)
                )
        return tuple(changes)

    def start(self, wanted: str, *, force: bool = False, leased: bool = False) -> RollOut:
        self.runs += 1
        self.wanted = wanted
        made = rule(
            rollout=self.rollout,
            verification=self.verification,
            reapply_drift=self.reapply_drift,
            targets=tuple(sorted({target for target, _ in self.cloud.held})),
        )
        places = dict.fromkeys(made.targets, self.places)
        changes = self.plan(wanted, force=force, leased=leased)
        self.machine = RollOut.of(changes, made, f"run-{self.runs}", places)
        self.pending, self.arrived = [], []
        self._take(self.machine.begin(self.now))
        return self.machine

    def kill(self) -> None:
        """The process dies: what has not begun never happens, and nobody hears of the rest."""
        self.machine = None
        self.pending, self.arrived = [], []

    @property
    def running(self) -> bool:
        return self.machine is not None and not (
            self.machine.done and not self.pending and not self.arrived
        )

    def _take(self, effects: Iterable[fx.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, fx.Look):
                self.pending.append(Asked(effect, self.cloud.now))
            elif not isinstance(effect, fx.Tell):
                self.pending.append(effect)

    # Its effects, one by one

    def carry_out(self, at: int = 0, fault: Callable[[fx.Send], fx.Event] | None = None) -> None:
        """One effect is carried out; what comes of it has arrived, and is told with `tell`.

        The ledger keeps the order in which it is asked: an earlier write is carried out first.
        """
        effect = self.pending[at]
        if isinstance(effect, (fx.Write, fx.Settle)):
            at = next(i for i, e in enumerate(self.pending) if isinstance(e, (fx.Write, fx.Settle)))
            effect = self.pending[at]
        del self.pending[at]
        self.steps += 1
        match effect:
            case fx.Write(key, record):
                self.book.records[key] = record
                self.arrived.append(fx.Written(key))
            case fx.Settle(settlements, _):
                for each in settlements:
                    if each.record is not None:
                        place = (each.record.target, each.record.connection)
                        self.book.records[place] = each.record
                    self.book.outcomes.append(each.outcome)
            case fx.Send():
                self._assert_intended(effect)
                self.arrived.append(fault(effect) if fault else self._sent(effect))
            case fx.Issue(key, _):
                made = credential(self.wanted, f"version of {self.wanted}")
                self.arrived.append(fx.Issued(key, made))
            case Asked(look, asked_at):
                found = {
                    name: shown
                    for name in look.names
                    if (shown := self.cloud.shown((look.target, name))) is not None
                }
                self.asked_looks += 1
                self.arrived.append(fx.Seen(look.target, look.names, found, asked_at))
            case _:
                raise AssertionError(effect)

    def fail(self, at: int) -> None:
        """A look fails, or a credential can't be had."""
        effect = self.pending.pop(at)
        self.steps += 1
        match effect:
            case Asked(look, asked_at):
                trouble = TargetUnavailable(look.target, "can't connect")
                self.arrived.append(fx.Seen(look.target, look.names, trouble, asked_at))
            case fx.Issue(key, _):
                error = SourceUnavailable("vault", REF.path, "it is sealed")
                self.arrived.append(fx.NotIssued(key, error))
            case _:
                raise AssertionError(effect)

    def _sent(self, send: fx.Send) -> fx.Event:
        match self.faults.pop(send.key, None):
            case Fault.REFUSED:
                return self.refused(send)
            case Fault.LOST:
                return self.lost(send, applied=False)
            case Fault.APPLIED:
                return self.lost(send, applied=True)
            case None:
                return self.send(send)

    def send(self, send: fx.Send) -> fx.Event:
        try:
            return fx.Answered(send.key, self.cloud.update(send))
        except UpdateConflict as error:
            return fx.Conflicted(send.key, error)
        except TargetRefused as error:
            return fx.Refused(send.key, error)

    def lost(self, send: fx.Send, *, applied: bool) -> fx.Event:
        if applied:
            answer = self.send(send)
            if not isinstance(answer, fx.Answered):
                return answer
        return fx.Lost(send.key, UpdateUncertain(send.key[0], "an error", status=502))

    def swallowed(self, send: fx.Send) -> fx.Event:
        return fx.Answered(send.key, None)

    def refused(self, send: fx.Send) -> fx.Event:
        return fx.Refused(send.key, TargetUnavailable(send.key[0], "can't connect"))

    def withheld(self, send: fx.Send) -> fx.Event:
        return fx.Withheld(send.key)

    def tell(self, at: int = 0) -> None:
        assert self.machine is not None
        event = self.arrived.pop(at)
        self.told += 1
        self._take(self._unless_over(lambda machine: machine.handle(event, self.now)))

    def _assert_intended(self, send: fx.Send) -> None:
        known = self.book.records.get(send.key)
        assert known is not None, "an update has its intent in the ledger"
        assert known.stage is Stage.INTENDED, "an update has its intent in the ledger"
        assert known.fingerprint == send.credential.fingerprint, "of this credential"

    def _unless_over(self, happens: Callable[[RollOut], list[fx.Effect]]) -> list[fx.Effect]:
        """What follows; nothing is sent in a target that had stopped before."""
        assert self.machine is not None
        over = {lane.target for lane in self.machine.lanes.values() if lane.over}
        effects = happens(self.machine)
        for effect in effects:
            assert not (isinstance(effect, fx.Send) and effect.key[0] in over), "it has stopped"
        return effects

    def wait(self) -> bool:
        """Time passes until the machine wants to be woken. Whether it does."""
        assert self.machine is not None
        due = self.machine.wake_at
        if due is None:
            return False
        self.cloud.now = max(self.cloud.now, due)
        self._tick()
        assert (
            self.pending
            or self.arrived
            or self.machine.done
            or ((later := self.machine.wake_at) is None or later > self.cloud.now)
        ), "a tick that is due either does something, or is due later"
        return True

    def pass_time(self, seconds: float) -> None:
        self.cloud.now += seconds
        if self.machine is not None:
            self._tick()

    def _tick(self) -> None:
        self._take(self._unless_over(lambda machine: machine.tick(self.now)))

    def stop(self) -> None:
        if self.machine is not None:
            self._take(self.machine.stop(self.now))

    # Many steps

    def step(self) -> bool:
        """The next thing that happens where nothing goes wrong. Whether there was one."""
        if self.machine is None:
            return False
        if self.arrived:
            self.tell()
        elif self.pending:
            self.carry_out()
        elif self.machine.done:
            return False
        else:
            assert self.wait(), "a run that is not done waits for something"
        return True

    def finish(self, most: int = 100_000) -> int:
        """To the end of the run. The number of effects that it took."""
        began, before = self.cloud.now, self.steps
        for _ in range(most):
            if not self.step():
                return self.steps - before
            assert self.cloud.now - began < LONGEST, "a run ends in time"
        raise AssertionError("a run ends")

    def run(self, wanted: str, *, force: bool = False, leased: bool = False) -> int:
        self.start(wanted, force=force, leased=leased)
        return self.finish()

    def die_after(self, wanted: str, effects: int, *, force: bool = False) -> bool:
        """A run that is killed once so many effects were carried out. Whether it had not ended."""
        self.start(wanted, force=force)
        until = self.steps + effects
        while self.steps < until and self.step():
            pass
        cut = self.running
        self.kill()
        return cut

    # What counts

    def state(self) -> dict[Key, tuple[str, Stage, str]]:
        """What counts in the end, however many attempts it took."""
        return {
            key: (self.cloud.held[key].fingerprint, known.stage, known.fingerprint)
            for key, known in self.book.records.items()
            if key in self.cloud.held
        }

    def at_stage(self, *stages: Stage) -> set[Key]:
        return {key for key, known in self.book.records.items() if known.stage in stages}

    def holding(self, prefix: str, target: str | None = None) -> set[Key]:
        return {
            key
            for key, held in self.cloud.held.items()
            if held.fingerprint.startswith(prefix) and target in {None, key[0]}
        }

    def reached_by(self, prefix: str, target: str) -> set[str]:
        return {
            name
            for (of, name), fingerprint in self.cloud.writes
            if of == target and fingerprint.startswith(prefix)
        }

    def results(self, run: int | None = None) -> dict[Key, Result]:
        """The last outcome of each connection in a run; by default the last run."""
        run_id = f"run-{run or self.runs}"
        return {
            (o.target, o.connection): o.result for o in self.book.outcomes if o.run_id == run_id
        }

    def claims(self) -> list[str]:
        """What the ledger claims and the cloud doesn't hold."""
        wrong = []
        for key, record in self.book.records.items():
            held = self.cloud.held.get(key)
            if held is None or record.uid != held.uid or record.stage is not Stage.VERIFIED:
                continue
            at = {self.cloud.named(v): fingerprint for v, fingerprint, _ in held.versions}
            if at.get(record.resource_version or "") != record.fingerprint:
                wrong.append(f"{key}: {record.fingerprint} at {record.resource_version}, not {at}")
        return wrong

    def settled_twice(self) -> list[Key]:
        """Settled more than once in a run, but for what worked and was refused later."""
        seen: dict[tuple[str, Key], list[Result]] = {}
        for outcome in self.book.outcomes:
            key = (outcome.run_id, (outcome.target, outcome.connection))
            seen.setdefault(key, []).append(outcome.result)
        return [
            key
            for (_, key), results in seen.items()
            if len(results) > 1 and results != [Result.ROTATED, Result.FAILED]
        ]

    def counts_are_right(self) -> bool:
        assert self.machine is not None
        summary = self.machine.summary()
        return dict(summary.counts) == dict(Counter(str(r) for r in self.results().values()))


@dataclass(frozen=True, slots=True)
class Asked:
    look: fx.Look
    at: float


def cloud(*keys: Key, fingerprint: str = "old", **settings: float | bool) -> Cloud:
    made = replace(Cloud(), **settings)  # type: ignore[arg-type] # checked where they are given
    for key in keys:
        made.add(key, fingerprint)
    return made
