"""Decides what is news, given what was announced already. Pure: the time is an argument."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rotator.model.events import Occasion
from rotator.model.run import Outcome, Result, Run, RunResult

AGAIN_AFTER = timedelta(hours=24)
"""A failure that lasts is announced again after this time."""
WORTH_TELLING = frozenset({Result.FAILED, Result.ROLLED_BACK})
_BAD = frozenset({RunResult.FAILED, RunResult.REFUSED})


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that has finished, with those of its outcomes that a person wants to read."""

    run: Run
    troubles: tuple[Outcome, ...] = ()
    """The outcomes that are WORTH_TELLING."""
    matched: int | None = None
    """Connections of the plan; None: there was no plan."""
    remedy: str = ""
    """What a person does next."""


@dataclass(frozen=True, slots=True)
class Told:
    """The last failure of a rotation that was announced, and that still lasts."""

    failure: str
    """A digest of the failure. It stays the same if only times and ids of requests change."""
    at: datetime
    run: str
    """The id of the run that was announced."""


@dataclass(frozen=True, slots=True)
class Decision:
    occasions: tuple[Occasion, ...]
    """What the run is an occasion for. A webhook gets the first one that it subscribes to, if
    any."""
    told: Told | None
    """What to remember for the next run."""


def decide(ended: FinishedRun, told: Told | None) -> Decision:
    """`told` is what is remembered about this rotation."""
    run = ended.run
    if run.result is RunResult.SUCCEEDED:
        return Decision((Occasion.RECOVERED,) if told else (), None)
    if run.result not in _BAD or run.finished_at is None:
        return Decision((), told)  # an interrupted run says nothing about the rotation
    failure = digest(ended)
    if told is not None and told.failure == failure and run.finished_at - told.at < AGAIN_AFTER:
        return Decision((), told)
    rolled_back = any(outcome.result is Result.ROLLED_BACK for outcome in ended.troubles)
    occasions = (Occasion.ROLLED_BACK, Occasion.FAILED) if rolled_back else (Occasion.FAILED,)
    return Decision(occasions, Told(failure, run.finished_at, run.id))


_VOLATILE = re.compile(
    r"X-Request-Id [^\s,)]+"
    r"|resource version \S+( → \S+)?"
    r"|\b[0-9]+ others? (was|were) not touched"  # grows with the connections that match
    r"|\b[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b"
    r"|\b[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}\S*"
)


def gist(reason: str) -> str:
    """The reason without the parts that differ from run to run while nothing has changed."""
    # The ledger stores surrogates like this, and the digest must stay the same.
    return _VOLATILE.sub("…", reason.encode("utf-8", "backslashreplace").decode())


def digest(ended: FinishedRun) -> str:
    places = sorted(
        (outcome.target, outcome.connection, str(outcome.result), gist(outcome.reason))
        for outcome in ended.troubles
    )
    what = [str(ended.run.result), gist(ended.run.reason), places]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


# After a restart


@dataclass(frozen=True, slots=True)
class Lasting:
    """A failure that the ledger holds."""

    last: Run
    since: datetime
    """When the first of the failures in a row finished."""

    def told(self, troubles: Iterable[Outcome]) -> Told:
        """What the former process will have announced: the failure at once, and again every
        AGAIN_AFTER."""
        found = tuple(outcome for outcome in troubles if outcome.result in WORTH_TELLING)
        lasted = (self.last.finished_at or self.since) - self.since
        at = self.since + lasted // AGAIN_AFTER * AGAIN_AFTER
        return Told(digest(FinishedRun(self.last, found)), at, self.last.id)


def lasting(runs: Iterable[Run]) -> Lasting | None:
    """The failure that lasts, from `runs` of one rotation with the newest first; None if there is
    none. A command's runs are left out: the person who typed it was the only one who heard of
    them."""
    last: Run | None = None
    since: datetime | None = None
    for run in runs:
        if run.trigger == "command" or run.result in {None, RunResult.INTERRUPTED}:
            continue
        if run.result not in _BAD or run.finished_at is None:
            break
        last, since = last or run, run.finished_at
    return Lasting(last, since) if last is not None and since is not None else None
