"""Where one connection stands in a roll-out, how it may end, and what that counts for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from rotator.model.rule import VerificationPolicy


class Step(Enum):
    WAITING = auto()
    ISSUING = auto()
    """Its credential is being made."""
    INTENDING = auto()
    """Its intent is being written."""
    INTENDED = auto()
    """Its intent is durable; the update waits for a place among those in flight."""
    SENDING = auto()
    DOUBTFUL = auto()
    """The answer was lost or a conflict; a look shows what is there now."""
    RECORDING = auto()
    """The update was answered, and that is being written."""
    VERIFYING = auto()
    SETTLED = auto()


class End(Enum):
    """What an attempt proves, and how it counts."""

    WORKS = auto()
    """Verified."""
    BAD = auto()
    """Put, and the endpoint refuses it or never became ready. Counts as a failure."""
    FAILED = auto()
    """Failed before the endpoint could judge the credential. Counts as a failure."""
    GONE = auto()
    """The connection was deleted meanwhile. No failure, and proves nothing."""
    REPLACED = auto()
    """Another connection took its name meanwhile: the run fails, but nothing stops for it."""
    LEFT = auto()
    """Not touched, or not seen to its end, because the roll-out stopped."""

    @property
    def counts(self) -> bool:
        """Whether it counts against `max_failures`."""
        return self in {End.BAD, End.FAILED}

    def proves(self, *, whatever_it_says: bool) -> bool:
        """Whether it is the word of a canary: the credential works.

        `whatever_it_says`: a canary that was refused is an answer too, and the others follow.
        """
        return self is End.WORKS or (whatever_it_says and self is End.BAD)


@dataclass(frozen=True, slots=True)
class Terms:
    """What all attempts of a roll-out have in common."""

    run_id: str
    rotation: str
    verification: VerificationPolicy
    reapply_drift: bool
