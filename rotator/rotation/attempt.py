"""One connection's way through a roll-out, from its turn to its outcome. Pure; time is an argument.

    WAITING ─→ (ISSUING) ─→ INTENDING ─→ INTENDED ─→ SENDING ─→ RECORDING ─→ VERIFYING ─→ SETTLED
                                ↑            ↑          ↓                        ↓
                                ├────────────┴── DOUBTFUL (lost or conflicting)  │
                                └────────── sent again ──────────────────────────┘

Every step is safe to die in. The intent is in the ledger before an update leaves. An update is in
place only if its own answer said so; after an answer that can't be trusted it is sent again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rotator.errors import Cause, RotatorError, TargetError
from rotator.model.connection import Connection
from rotator.model.credential import Credential
from rotator.model.events import Updated
from rotator.model.plan import Change
from rotator.model.record import Record
from rotator.rotation import endings, records
from rotator.rotation.decide import before_of
from rotator.rotation.doubt import MOST_SENDINGS, Doubt, Kind, Next
from rotator.rotation.effects import Effect, Found, Issue, Key, Moment, Send, Tell, Write
from rotator.rotation.endings import Ending
from rotator.rotation.steps import End, Step, Terms
from rotator.rotation.verify import Absence, Conclusion, Proof, Verification, phase_of

MOST_REPEATS = 3
"""Sendings again of what was answered: for it never showed, or somebody else wrote after it."""


@dataclass(slots=True)
class Attempt:
    terms: Terms
    change: Change
    step: Step = Step.WAITING
    end: End | None = None
    cause: Cause | None = None
    """What it failed of."""
    reason: str = ""
    """How it ended, for people."""
    looked_at: float = float("-inf")
    """When the last look began that this connection was part of, since its update was answered."""
    record: Record | None = field(init=False)
    """As the ledger has it, or is asked to."""
    base: Connection = field(init=False)
    """As seen last before the update; the next update replaces this."""
    credential: Credential | None = field(init=False)
    verification: Verification = field(init=False)
    _maybe_applied: bool = False
    """Whether an earlier sending may have been applied."""
    _unwritten: int = 0
    """Records that it asked to write and that are not durable yet."""
    _sendings: int = 0
    """Since the last answer that can be trusted."""
    _repeats: int = 0
    _put: Record | None = None
    """While what was answered and never showed is sent again: the record of that answer."""
    _doubt: Doubt | None = None

    def __post_init__(self) -> None:
        self.record = self.change.record
        self.base = before_of(self.change)
        self.credential = self.change.credential
        older = records.replaced_by(self.change)
        self.verification = Verification(self.terms.verification, self.base, older=older)

    @property
    def key(self) -> Key:
        return self.change.connection.target, self.change.connection.name

    @property
    def look_at(self) -> float | None:
        """When to look at what became of an answer that was lost. None: there is no such doubt."""
        return self._doubt.look_at if self.step is Step.DOUBTFUL and self._doubt else None

    @property
    def speaks_for_others(self) -> bool:
        """Whether it is a canary of what the others are about to get. A lease that an earlier run
        made is not: theirs is made anew."""
        return not self.change.verify_only or self.change.credential is not None

    @property
    def confirming_at(self) -> float | None:
        """When the look began after which one more, an interval later, can settle it. None: more
        than one is needed."""
        return self.verification.confirming_at

    # From its turn to an answer

    def begin(self, now: Moment) -> list[Effect]:
        """Its turn has come."""
        if self.change.verify_only and self.record is not None:
            policy = self.terms.verification
            self.verification = Verification.resumed(policy, self.base, self.record, now.at)
            self.step = Step.VERIFYING
            return []
        if self.credential is None:
            self.step = Step.ISSUING
            return [Issue(self.key, self.change)]
        return self._intend(now)

    def issued(self, credential: Credential, now: Moment) -> list[Effect]:
        self.credential = credential
        return self._intend(now)

    def not_issued(self, error: RotatorError, now: Moment) -> list[Effect]:
        return self._settle(endings.not_issued(error), now)

    def _intend(self, now: Moment) -> list[Effect]:
        self.record = records.intended(
            self.record,
            self.base,
            self._credential,
            rotation=self.terms.rotation,
            run_id=self.terms.run_id,
            at=now.wall,
            older=self.verification.older,
        )
        self.step = Step.INTENDING
        return [self._write()]

    def _write(self) -> Write:
        self._unwritten += 1
        return Write(self.key, self._record)

    def written(self) -> None:
        """What it first asked to write, and was not told of yet, is durable."""
        self._unwritten -= 1
        if self._unwritten:
            return
        if self.step is Step.INTENDING:
            self.step = Step.INTENDED
        elif self.step is Step.RECORDING:
            self.step = Step.VERIFYING

    def send(self) -> list[Effect]:
        self.step = Step.SENDING
        self._sendings += 1
        return [Send(self.key, self.base, self._credential)]

    def answered(self, version: str | None, now: Moment) -> list[Effect]:
        self.verification.answered(self.base, version, now.at)
        self._sendings, self._maybe_applied = 0, True
        self._doubt = self._put = None
        told, older = self.verification.version, self.verification.older
        self.record = records.put(self._record, told, older, now.wall)
        self.step = Step.RECORDING
        return [
            self._write(),
            Tell(Updated(self.terms.run_id, self.terms.rotation, *self.key)),
        ]

    def refused(self, error: TargetError, now: Moment, *, over: str) -> list[Effect]:
        """This sending was not applied; an earlier one may have been."""
        asked = self._doubt is not None and self._doubt.kind is Kind.REFUSED
        if error.status == 404 and not asked and not over:
            # Perhaps it was deleted since it was listed, which is nobody's failure.
            return self._doubting(error, now, Kind.REFUSED)
        if self._maybe_applied:
            return self._settle(endings.lost(self._record, error, now.wall), now)
        return self._settle(endings.refused(self._record, error, now.wall), now)

    def doubted(
        self, error: TargetError, now: Moment, *, conflict: bool, over: str
    ) -> list[Effect]:
        """The answer was lost, or says that the connection changed meanwhile."""
        self._maybe_applied |= not conflict
        if over:
            return self.take_back(over, now)
        if conflict and self._put is not None:
            # Something newer than before is there: the update, which was answered and shows late.
            self.record, self._put, self.step = self._put, None, Step.RECORDING
            return [self._write()]
        if self._sendings >= MOST_SENDINGS and not conflict:
            return self._settle(endings.lost(self._record, error, now.wall), now)
        return self._doubting(error, now, Kind.CONFLICT if conflict else Kind.LOST)

    def _doubting(self, error: TargetError, now: Moment, kind: Kind) -> list[Effect]:
        if self._doubt is None:
            self._doubt = Doubt(
                now.at, now.at, error, kind, Absence(self.terms.verification.interval)
            )
        self._doubt.again(error, now.at, kind)
        self.step = Step.DOUBTFUL
        return []

    # Stopping

    def take_back(self, why: str, now: Moment) -> list[Effect]:
        """The update never leaves; the ledger has again what it had before the intent."""
        effects: list[Effect] = []
        if self.change.record is not None and not self._maybe_applied:
            self.record = self.change.record
            effects.append(self._write())
        return [*effects, *self.leave(why, now)]

    def leave(self, why: str, now: Moment) -> list[Effect]:
        """Ended before its time. The ledger's record says how far it came."""
        touched = self._maybe_applied or self.step is Step.VERIFYING
        return self._settle(endings.left(why, touched=touched), now)

    # Looking

    def seen(self, found: Found, asked_at: float, now: Moment, *, over: str) -> list[Effect]:
        """A look that began at `asked_at`. `over` is why nothing new may be sent; empty: it may."""
        if self.step is Step.SETTLED:
            return self._seen_again(found, asked_at, now)
        if self.step is Step.DOUBTFUL and self._doubt is not None:
            if asked_at < self._doubt.at:
                return []
            return self._dispel(self._doubt, found, now, over=over)
        if self.step is not Step.VERIFYING or asked_at < self.verification.since:
            return []
        if isinstance(found, TargetError):
            return self._unseen(found, asked_at, now)
        seen, self.looked_at = found.get(self.base.name), asked_at
        proof, out = self.verification.look(seen, asked_at), []
        if seen is not None and proof.ours:
            told, checked = self._record.resource_version, self.verification
            self.record = records.seen(self._record, seen, checked.version, checked.older)
            if told != checked.version:
                # No answer told it: else a later run would take for ours what is newer by then.
                out.append(self._write())
        return [*out, *self._follow(proof, seen, now, over=over)]

    def _dispel(self, doubt: Doubt, found: Found, now: Moment, *, over: str) -> list[Effect]:
        follows = doubt.decide(
            self.base,
            found,
            now.at,
            timeout=self.terms.verification.timeout,
            sendings=self._sendings,
        )
        match follows:
            case Next.GONE:
                return self._settle(endings.gone(self._record, now.wall), now)
            case Next.REPLACED:
                return self._settle(endings.replaced(self._record, now.wall), now)
            case Next.WAIT if not over or doubt.kind is Kind.REFUSED:
                doubt.look_later(now.at)
                return []
            case Next.RESEND if not over:
                self.step = Step.INTENDED
                return []
            case Next.REBASE if not over and not isinstance(found, TargetError):
                self._rebase(found[self.base.name])
                return self._intend(now)
            case _ if self._maybe_applied:
                return self._settle(endings.lost(self._record, doubt.trouble, now.wall), now)
            case Next.GIVE_UP:
                return self._settle(endings.refused(self._record, doubt.trouble, now.wall), now)
            case _:
                return self.take_back(over, now)

    def _rebase(self, seen: Connection) -> None:
        self.verification.replaced(self.base.resource_version)
        self.base = seen

    def _unseen(self, trouble: TargetError, asked_at: float, now: Moment) -> list[Effect]:
        """The record stays PUT: the next run looks again, and doesn't put it again."""
        if asked_at - self.verification.since < self.terms.verification.timeout:
            return []
        return self._settle(endings.unseen(self._record, trouble, now.wall), now)

    def _follow(
        self, proof: Proof, seen: Connection | None, now: Moment, *, over: str
    ) -> list[Effect]:
        """What follows from what the looks prove."""
        repeatable = not over and self.credential is not None and self._repeats < MOST_REPEATS
        match proof.conclusion:
            case Conclusion.WORKS:
                took = max(0.0, (proof.ready_at or now.at) - self.verification.since)
                return self._settle(endings.works(self._record, proof, took, now.wall), now)
            case Conclusion.REJECTED:
                return self._bad(self._said(seen), Cause.REJECTED, now)
            case Conclusion.LATE:
                said = proof.said or self._said(seen)
                reason = f"{said}, after {self.terms.verification.timeout:g} s"
                return self._bad(reason, Cause.NOT_READY, now)
            case Conclusion.SWALLOWED if repeatable:
                self._repeats += 1
                self._put = self._record
                return self._intend(now)
            case Conclusion.FOREIGN if seen is not None:
                if not repeatable or not self.terms.reapply_drift:
                    ending = endings.overwritten(self._record, proof, seen.phase, now.wall)
                    return self._settle(ending, now)
                self._repeats += 1
                self._rebase(seen)
                return self._intend(now)
            case Conclusion.GONE:
                return self._settle(endings.gone(self._record, now.wall), now)
            case Conclusion.REPLACED:
                return self._settle(endings.replaced(self._record, now.wall), now)
            case _:
                return []

    def _bad(self, reason: str, cause: Cause, now: Moment) -> list[Effect]:
        return self._settle(endings.bad(self._record, reason, cause, now.wall), now)

    def _seen_again(self, found: Found, asked_at: float, now: Moment) -> list[Effect]:
        """A look at what was verified already: a canary, or everything at the end.

        READY that turned into a refusal is a failure after all. What shows another write is left
        to the next run, which sees it as drift.
        """
        if self.end is not End.WORKS or isinstance(found, TargetError):
            return []
        seen, self.looked_at = found.get(self.base.name), asked_at
        if seen is None or not self.verification.refuses_now(seen):
            return []
        was = self._record.phase
        record = records.unverified(self._record, self.change.record)
        self.record = replace(record, phase=seen.phase)
        return self._bad(f"{self._said(seen)}, after it was {was}", Cause.REJECTED, now)

    # Settling

    def _settle(self, ending: Ending, now: Moment) -> list[Effect]:
        self.step, self.end = Step.SETTLED, ending.end
        self.reason, self.cause = ending.reason, ending.cause
        self.record = ending.record or self.record
        listed = self.change.connection
        return [endings.settle(ending, self.terms, listed, self.record, now.wall)]

    def _said(self, seen: Connection | None) -> str:
        return phase_of(seen) if seen is not None else "not seen"

    @property
    def _record(self) -> Record:
        if self.record is None:
            raise AssertionError("an update has a record from its intent on")
        return self.record

    @property
    def _credential(self) -> Credential:
        if self.credential is None:
            raise AssertionError("an update has a credential from its issue on")
        return self.credential
