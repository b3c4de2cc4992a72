"""The roll-out in one target: order, canaries, batches, halting. Pure; time is an argument.

A stage is begun when the one before it is settled, and its canaries were looked at once more. So,
with the defaults, a bad credential reaches one connection and no other; also across runs, since a
connection that already holds what failed, or what was not verified, is the canary of the next run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rotator.errors import Cause, TargetError
from rotator.model.plan import Change, Verdict
from rotator.model.record import Stage
from rotator.model.rule import OnFailure, RolloutPolicy
from rotator.rotation import effects as fx
from rotator.rotation.attempt import Attempt
from rotator.rotation.effects import Effect, Moment
from rotator.rotation.look_schedule import LookSchedule
from rotator.rotation.steps import End, Step, Terms

_RISK = {Stage.FAILED: 0, Stage.PUT: 0, Stage.INTENDED: 1, Stage.REFUSED: 2}
"""Who goes first: those that hold what may be bad, that may hold it, that were to hold it."""
_BEGUN = (Step.ISSUING, Step.INTENDING, Step.INTENDED, Step.SENDING, Step.RECORDING)
_IN_FLIGHT = (Step.SENDING, Step.RECORDING)
"""What has left keeps its place until its answer is on record: a kill repeats no more than that."""
_OPEN = (*_BEGUN, Step.DOUBTFUL, Step.VERIFYING)


def risk(change: Change) -> tuple[int, str]:
    """The order in which updates leave."""
    # A record says nothing of a connection that was deleted and made again since.
    record = None if change.verdict is Verdict.NEW else change.record
    known = _RISK.get(record.stage) if record else None
    return (len(_RISK) if known is None else known), change.connection.name


def exceeded(failures: int, policy: RolloutPolicy) -> bool:
    """Whether so many failures stop a target before anything else is touched."""
    return policy.on_failure is OnFailure.HALT and failures > policy.max_failures


@dataclass(frozen=True, slots=True)
class Failure:
    """One connection that failed, in words for people."""

    connection: str
    how: str
    cause: Cause | None


@dataclass(slots=True)
class Lane:
    target: str
    policy: RolloutPolicy
    terms: Terms
    places: int
    """Updates in flight at the most."""
    looks: LookSchedule
    attempts: dict[str, Attempt]
    """By name, in the order in which they leave."""
    failures: int = 0
    """Those that count against `max_failures`."""
    failed: list[Failure] = field(default_factory=list)
    """All that failed, in order, whether or not they count."""
    trouble: TargetError | None = None
    """Why what works could not be looked at once more."""
    over: str = ""
    """Why nothing new starts; empty: it goes on."""
    stopped: bool = False
    """Whether that is because the process was told to stop."""
    done: bool = False
    _unverified: deque[Attempt] = field(default_factory=deque)
    _updates: deque[Attempt] = field(default_factory=deque)
    _turn: deque[Attempt] = field(default_factory=deque)
    """Those of this stage that have not begun."""
    _at: dict[Step, dict[str, Attempt]] = field(
        default_factory=lambda: {step: {} for step in (*_OPEN, Step.SETTLED)}
    )
    """Who stands where, in the order in which they came there."""
    _filed: dict[str, Step] = field(default_factory=dict)
    _ends: dict[str, End] = field(default_factory=dict)
    _stages: int = 0

    @classmethod
    def of(
        cls,
        target: str,
        changes: Iterable[Change],
        policy: RolloutPolicy,
        terms: Terms,
        places: int,
        failed: Sequence[Failure] = (),
    ) -> Lane:
        """`failed` are connections that count as failures before anything is touched."""
        attempts = [Attempt(terms, change) for change in sorted(changes, key=risk)]
        lane = cls(
            target,
            policy,
            terms,
            places,
            LookSchedule(target, terms.verification),
            {attempt.key[1]: attempt for attempt in attempts},
            len(failed),
            list(failed),
        )
        for attempt in attempts:
            (lane._unverified if attempt.change.verify_only else lane._updates).append(attempt)
        return lane

    # What happens

    def advance(self, now: Moment) -> list[Effect]:
        """At its beginning, and whenever time has passed."""
        if self.done:
            return []
        self._mind_failures()
        out = self._give_up(now) if self.over else []
        while not self._turn and not self._open:
            if self.over or not (self._unverified or self._updates):
                return [*out, *self._finish(now)]
            if unseen := self.looks.unseen(self._canaries()):
                if not self._gave_up(now):
                    return [*out, *self.looks.once_more(unseen, now.at)]
                out += self._give_up(now)
            else:
                self._next_stage()
        return [*out, *self._begin_turns(now), *self._send(), *self._look(now)]

    def halt(self, why: str, now: Moment) -> list[Effect]:
        """Nothing new starts; what was put is verified."""
        self.over = self.over or why
        return self.advance(now)

    def stop(self, why: str, now: Moment) -> list[Effect]:
        """Nothing new starts; what is in flight ends, and is left for the next run."""
        self.over, self.stopped = self.over or why, True
        out: list[Effect] = []
        for attempt in list(self._at[Step.VERIFYING].values()):
            out += self._file(attempt, attempt.leave(self.over, now))
        for attempt in list(self._at[Step.DOUBTFUL].values()):
            out += self._file(attempt, attempt.take_back(self.over, now))
        return out + self.advance(now)

    def handle(self, event: fx.Event, now: Moment) -> list[Effect]:
        if isinstance(event, fx.Seen):
            return self._seen(event, now) + self.advance(now)
        attempt = self.attempts[event.key[1]]
        out = self._file(attempt, self._told(attempt, event, now))
        if isinstance(event, fx.Withheld):
            return out + self.stop(NOT_ANY_MORE, now)
        return out + self.advance(now)

    def _told(self, attempt: Attempt, event: fx.Event, now: Moment) -> list[Effect]:
        ending = self.over if self.stopped else ""
        match event:
            case fx.Issued() if self.over:
                return attempt.leave(self.over, now)
            case fx.Issued(_, credential):
                return attempt.issued(credential, now)
            case fx.NotIssued(_, error):
                return attempt.not_issued(error, now)
            case fx.Written():
                attempt.written()
                left = ending and attempt.step is Step.VERIFYING
                return attempt.leave(ending, now) if left else []
            case fx.Answered(_, version):
                self.looks.answered_at = now.at
                return attempt.answered(version, now)
            case fx.Refused(_, error):
                return attempt.refused(error, now, over=ending)
            case fx.Lost(_, error) | fx.Conflicted(_, error):
                conflict = isinstance(event, fx.Conflicted)
                return attempt.doubted(error, now, conflict=conflict, over=ending)
            case fx.Withheld():
                return attempt.take_back(self.over or NOT_ANY_MORE, now)
            case fx.Seen():
                raise AssertionError("a look is of the lane, not of one connection")

    def _seen(self, seen: fx.Seen, now: Moment) -> list[Effect]:
        out: list[Effect] = []
        self.looks.answered(seen, now.at)
        for name in sorted(seen.names):
            attempt = self.attempts[name]
            told = attempt.seen(seen.found, seen.asked_at, now, over=self.over)
            out += self._file(attempt, told)
            self._mind_failures()
        self.looks.again(self._at[Step.VERIFYING].values(), now.at)
        return out

    def _file(self, attempt: Attempt, out: list[Effect]) -> list[Effect]:
        """Keep in mind where an attempt stands, and what came of it."""
        name, step = attempt.key[1], attempt.step
        former = self._filed.get(name)
        if former is not None and former is not step:
            del self._at[former][name]
        if former is not step:
            self._filed[name] = step
            self._at[step][name] = attempt
        if attempt.end is not None and self._ends.get(name) is not attempt.end:
            self._ends[name] = attempt.end
            self.failures += attempt.end.counts
            if attempt.end in {End.BAD, End.FAILED, End.REPLACED}:
                self.failed.append(_failure(attempt))
        return out

    def _mind_failures(self) -> None:
        if not self.over and exceeded(self.failures, self.policy):
            last = self.failed[-1]
            self.over = f"stopped after {last.connection} {last.how}"

    @property
    def left(self) -> int:
        """Connections that were not touched, or not seen to their end."""
        return sum(end is End.LEFT for end in self._ends.values())

    # What follows

    @property
    def _open(self) -> bool:
        """Whether anything of the stage is not settled."""
        return any(self._at[step] for step in _OPEN)

    def _next_stage(self) -> None:
        """The first stage holds what an earlier run put and didn't verify, and the canaries."""
        size = self.policy.batch or len(self._updates)
        if self.policy.canary:
            canaries = self.policy.canary - self._proofs()
            canaries -= sum(attempt.speaks_for_others for attempt in self._unverified)
            if self._stages == 0 or canaries > 0:
                size = max(0, canaries)
        self._turn.extend(self._unverified)
        self._unverified.clear()
        for _ in range(min(size, len(self._updates))):
            self._turn.append(self._updates.popleft())
        self._stages += 1
        self.looks.begin_stage()

    def _proofs(self) -> int:
        """How many canaries have said what was asked of them."""
        goes_on = self.policy.on_failure is OnFailure.CONTINUE
        return sum(
            attempt.speaks_for_others and attempt.end.proves(whatever_it_says=goes_on)
            for attempt in self.attempts.values()
            if attempt.end is not None
        )

    def _begin_turns(self, now: Moment) -> list[Effect]:
        """Intents are written a little ahead, so that the ledger doesn't hold up the target."""
        out: list[Effect] = []
        most = self.places + self.places // 4
        while self._turn and sum(len(self._at[step]) for step in _BEGUN) < most:
            attempt = self._turn.popleft()
            out += self._file(attempt, attempt.begin(now))
        return out

    def _send(self) -> list[Effect]:
        out: list[Effect] = []
        intended = self._at[Step.INTENDED]
        while intended and sum(len(self._at[step]) for step in _IN_FLIGHT) < self.places:
            attempt = next(iter(intended.values()))
            out += self._file(attempt, attempt.send())
        return out

    def _look(self, now: Moment) -> list[Effect]:
        verifying, doubtful = self._at[Step.VERIFYING].values(), self._at[Step.DOUBTFUL].values()
        busy = bool(self._turn or doubtful) or any(self._at[step] for step in _BEGUN)
        wanted = self.looks.due(verifying, doubtful, now.at, sending=busy)
        if not wanted:
            return []
        # What works is looked at along the way: the canaries always, and everything where this
        # look may be the last.
        last = (
            not busy
            and not self._updates
            and all(attempt.confirming_at is not None for attempt in verifying)
        )
        along = self._working() if last else self._canaries()
        return [self.looks.look(attempt.key[1] for attempt in (*wanted, *along))]

    def _give_up(self, now: Moment) -> list[Effect]:
        """What has not left stays where it is."""
        out: list[Effect] = []
        for attempt in list(self._at[Step.INTENDED].values()):
            out += self._file(attempt, attempt.take_back(self.over, now))
        for waiting in (self._turn, self._unverified, self._updates):
            while waiting:
                attempt = waiting.popleft()
                out += self._file(attempt, attempt.leave(self.over, now))
        return out

    def _finish(self, now: Moment) -> list[Effect]:
        """Everything that works is looked at once more at the end."""
        unseen = [] if self.stopped else self.looks.unseen(self._working())
        if unseen and not self._gave_up(now):
            return [*self.looks.once_more(unseen, now.at)]
        self.done = True
        return []

    def _gave_up(self, now: Moment) -> bool:
        if not self.looks.gives_up(now.at):
            return False
        self.trouble = self.looks.trouble
        self.over = self.over or "stopped, since what works could not be looked at once more"
        return True

    def _canaries(self) -> list[Attempt]:
        """Those that prove the credential for the others."""
        return self._working()[: self.policy.canary] if self.policy.canary else []

    def _working(self) -> list[Attempt]:
        return [a for a in self._at[Step.SETTLED].values() if a.end is End.WORKS]

    @property
    def wake_at(self) -> float | None:
        """When to advance if nothing happens before. None: not before something happens."""
        return None if self.done else self.looks.wake_at(self._at[Step.DOUBTFUL].values())


NOT_ANY_MORE = "this process may not write any more"


def _failure(attempt: Attempt) -> Failure:
    phase = attempt.record.phase if attempt.record else None
    rejected = attempt.cause is Cause.REJECTED
    how = f"was rejected ({phase})" if rejected else f"failed ({attempt.reason})"
    return Failure(attempt.key[1], how, attempt.cause)
