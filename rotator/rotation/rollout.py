"""A roll-out as a machine without I/O: events go in, effects come out, time is an argument.

It owns the order, canaries, batches, halting, lost answers, conflicts, resending, verification and
counting. Each target has a lane of its own, so a sick one holds back no other. `drive` carries the
effects out, and decides nothing. A roll-back has its place in a lane: one more transition of what
ended BAD.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from rotator.errors import Cause
from rotator.model.events import Settled
from rotator.model.plan import Change, Verdict
from rotator.model.rule import OnFailure, RolloutPolicy, Rule
from rotator.model.run import Result, RunResult, Settlement
from rotator.rotation.decide import as_it_is
from rotator.rotation.effects import Effect, Event, Moment, Seen, Settle
from rotator.rotation.endings import outcome_of
from rotator.rotation.lane import NOT_ANY_MORE, Failure, Lane
from rotator.rotation.steps import Terms

TOLD_TO_STOP = "told to stop"
PLAN_REFUSED = "the plan was refused"

_RESULTS = {
    Verdict.INVALID: Result.FAILED,
    Verdict.BROKEN: Result.FAILED,
    Verdict.DRIFTED: Result.SKIPPED,
}
"""What becomes of connections that nothing is sent to; the others are UNCHANGED."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How a roll-out ended."""

    result: RunResult
    reason: str
    """Empty where it succeeded."""
    counts: Mapping[str, int]
    cause: Cause | None
    """What the first failure comes down to."""


@dataclass(slots=True)
class RollOut:
    terms: Terms
    policy: RolloutPolicy
    lanes: dict[str, Lane]
    _untouched: tuple[Change, ...]
    """Those that nothing is sent to, whatever happens."""
    _counts: Counter[Result] = field(default_factory=Counter)
    _outcomes: dict[tuple[str, str], Result] = field(default_factory=dict)

    @classmethod
    def of(
        cls, changes: Collection[Change], rule: Rule, run_id: str, places: Mapping[str, int]
    ) -> RollOut:
        """`places`: target → updates in flight at the most."""
        terms = Terms(run_id, rule.name, rule.verification, rule.reapply_drift)
        touched = [change for change in changes if change.touched]
        untouched = tuple(change for change in changes if not change.touched)
        lanes: dict[str, Lane] = {}
        for target in sorted({change.connection.target for change in touched}):
            own = [change for change in touched if change.connection.target == target]
            failed = _failed_before(untouched, own, target)
            lanes[target] = Lane.of(target, own, rule.rollout, terms, places[target], failed)
        return cls(terms, rule.rollout, lanes, untouched)

    @property
    def done(self) -> bool:
        return all(lane.done for lane in self.lanes.values())

    @property
    def wake_at(self) -> float | None:
        """When to tick if nothing happens before. None: not before something happens."""
        moments = [lane.wake_at for lane in self.lanes.values()]
        return min((at for at in moments if at is not None), default=None)

    # What happens

    def begin(self, now: Moment) -> list[Effect]:
        out = self._settle_untouched(now)
        return self._counted([*out, *self._each(now)], now)

    def refuse(self) -> None:
        """Before it begins: nothing is to be sent, and each connection has that on record."""
        for lane in self.lanes.values():
            lane.over = PLAN_REFUSED

    def handle(self, event: Event, now: Moment) -> list[Effect]:
        """Whatever an effect led to."""
        target = event.target if isinstance(event, Seen) else event.key[0]
        return self._counted(self.lanes[target].handle(event, now), now)

    def tick(self, now: Moment) -> list[Effect]:
        """Time has passed: call it at `wake_at`. Calling it too often does no harm."""
        return self._counted(self._each(now), now)

    def stop(self, now: Moment) -> list[Effect]:
        """The process was told to stop: what is in flight ends, and the next run does the rest."""
        lanes = [lane for lane in self.lanes.values() if not lane.done]
        return self._counted([e for lane in lanes for e in lane.stop(TOLD_TO_STOP, now)], now)

    def _each(self, now: Moment) -> list[Effect]:
        return [effect for lane in self.lanes.values() for effect in lane.advance(now)]

    def _settle_untouched(self, now: Moment) -> list[Effect]:
        if not self._untouched:
            return []
        settled = [
            (as_it_is(change, self.terms.rotation, self.terms.run_id, now.wall), change)
            for change in self._untouched
        ]
        settlements = tuple(
            Settlement(
                record,
                outcome_of(
                    self.terms,
                    change.connection,
                    record or change.record,
                    _RESULTS.get(change.verdict, Result.UNCHANGED),
                    # "unchanged" says it all; the history has only those with a reason.
                    "" if change.verdict is Verdict.UNCHANGED else change.reason,
                    now.wall,
                ),
            )
            for record, change in settled
        )
        events = tuple(
            Settled(settlement.outcome, change.cause)
            for settlement, change in zip(settlements, self._untouched, strict=True)
        )
        return [Settle(settlements, events)]

    def _counted(self, out: list[Effect], now: Moment) -> list[Effect]:
        """With what follows for all targets together, and all outcomes in one transaction."""
        most, total = self.policy.max_failures_total, 0
        if most is not None and self.policy.on_failure is OnFailure.HALT:
            total = sum(lane.failures for lane in self.lanes.values()) + self._failed_elsewhere
            if total > most:
                failed = "1 connection" if total == 1 else f"{total} connections"
                why = f"stopped after {failed} failed in all targets together"
                for lane in self.lanes.values():
                    if not lane.over and not lane.done:
                        out += lane.halt(why, now)
        settles = [effect for effect in out if isinstance(effect, Settle)]
        for settle in settles:
            for settlement in settle.settlements:
                self._count(settlement)
        if len(settles) < 2:
            return out
        merged = Settle(
            tuple(each for settle in settles for each in settle.settlements),
            tuple(each for settle in settles for each in settle.events),
        )
        # In the place of the first: records that are written later must not be overtaken.
        first = next(at for at, effect in enumerate(out) if isinstance(effect, Settle))
        rest = [effect for effect in out[first:] if not isinstance(effect, Settle)]
        return [*out[:first], merged, *rest]

    @property
    def _failed_elsewhere(self) -> int:
        """Invalid connections of targets that nothing is sent to."""
        return sum(
            change.verdict is Verdict.INVALID and change.connection.target not in self.lanes
            for change in self._untouched
        )

    def _count(self, settlement: Settlement) -> None:
        outcome = settlement.outcome
        key = (outcome.target, outcome.connection)
        if key in self._outcomes:
            self._counts[self._outcomes[key]] -= 1
        self._outcomes[key] = outcome.result
        self._counts[outcome.result] += 1

    # How it ended

    def summary(self) -> Summary:
        lanes = self.lanes.values()
        counts = {str(result): n for result, n in self._counts.items() if n}
        parts = [part for lane in lanes if (part := _story(lane, alone=len(self.lanes) == 1))]
        failures = [*self._failures_without_lane(), *(f for lane in lanes for f in lane.failed)]
        if not parts and failures:
            parts = [_listed(failures)]
        cause = next((failure.cause for failure in failures if failure.cause), None)
        if cause is None:
            cause = next((lane.trouble.cause for lane in lanes if lane.trouble), None)
        stopped = [lane for lane in lanes if lane.stopped and lane.left]
        if stopped:
            left = sum(lane.left for lane in stopped)
            why = NOT_ANY_MORE if stopped[0].over == NOT_ANY_MORE else TOLD_TO_STOP
            parts = [f"{why}; {left} left for the next run", *parts]
        result = RunResult.FAILED if parts else RunResult.SUCCEEDED
        return Summary(
            RunResult.INTERRUPTED if stopped else result, "; ".join(parts), counts, cause
        )

    def _failures_without_lane(self) -> list[Failure]:
        """What failed before anything was sent, and stopped nothing."""
        known = {
            (lane.target, each.connection) for lane in self.lanes.values() for each in lane.failed
        }
        return [
            _as_failure(change)
            for change in self._untouched
            if _RESULTS.get(change.verdict) is Result.FAILED
            and (change.connection.target, change.connection.name) not in known
        ]


def _failed_before(
    untouched: Iterable[Change], updates: Iterable[Change], target: str
) -> list[Failure]:
    """What counts as a failure of a target before anything is sent.

    A connection that is broken counts where others are about to get the very credential that its
    endpoint refuses; with a credential of its own it says nothing about theirs.
    """
    wanted = {change.credential.fingerprint for change in updates if change.credential}
    return [
        _as_failure(change)
        for change in untouched
        if change.connection.target == target
        and (
            change.verdict is Verdict.INVALID
            or (
                change.verdict is Verdict.BROKEN
                and change.credential is not None
                and change.credential.fingerprint in wanted
            )
        )
    ]


def _as_failure(change: Change) -> Failure:
    broken = change.verdict is Verdict.BROKEN
    how = f"is rejected ({change.connection.phase})" if broken else f"failed ({change.reason})"
    return Failure(change.connection.name, how, change.cause)


def _story(lane: Lane, *, alone: bool) -> str:
    """What became of a target, in the words of the person who asks why; empty: all went well."""
    where = "" if alone else f"target {lane.target}: "
    if lane.over and lane.left and not lane.stopped:
        others = "1 other was" if lane.left == 1 else f"{lane.left} others were"
        why = lane.over if where else lane.over[0].upper() + lane.over[1:]
        return f"{where}{why}; {others} not touched"
    if lane.trouble is not None:
        return f"{where}what works could not be looked at once more: {lane.trouble}"
    return f"{where}{_listed(lane.failed)}" if lane.failed else ""


def _listed(failures: list[Failure]) -> str:
    first = f"{failures[0].connection} {failures[0].how}"
    more = len(failures) - 1
    return f"{first}, and {more} more failed" if more else first
