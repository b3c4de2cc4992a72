"""In which order connections are touched, and when to stop. Pure: nothing here is sent.

With the defaults a bad credential reaches one connection of each target and no other — also
across runs: a connection that already holds a credential that failed, or one not yet verified,
is the canary of the next run, so a retry never spoils a second one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import zip_longest

from rotator.config.models import Rollout
from rotator.model.plan import Change
from rotator.model.record import Stage


def stages(changes: Iterable[Change], rollout: Rollout) -> tuple[tuple[Change, ...], ...]:
    """The updates and verifications in stages, each to be verified before the next is touched.

    The first stage holds what an earlier run put and didn't verify, and the canaries of each
    target; every later one holds up to `batch` connections of each target.
    """
    by_target: defaultdict[str, list[Change]] = defaultdict(list)
    for change in changes:
        if change.update or change.verify_only:
            by_target[change.connection.target].append(change)
    merged = zip_longest(
        *(_of_target(by_target[target], rollout) for target in sorted(by_target)), fillvalue=()
    )
    joined = (tuple(change for part in parts for change in part) for parts in merged)
    return tuple(stage for stage in joined if stage)


def _of_target(changes: list[Change], rollout: Rollout) -> list[tuple[Change, ...]]:
    unverified = [change for change in changes if change.verify_only]
    updates = sorted((change for change in changes if change.update), key=_order)
    canaries = max(0, rollout.canary - len(unverified)) if rollout.canary else 0
    first = (*unverified, *updates[:canaries])
    rest = updates[canaries:]
    size = rollout.batch or max(1, len(rest))
    batches = [tuple(rest[at : at + size]) for at in range(0, len(rest), size)]
    if rollout.canary == 0 and batches:
        return [(*first, *batches[0]), *batches[1:]]
    return [first, *batches]


_RISK = {Stage.FAILED: 0, Stage.PUT: 0, Stage.INTENDED: 1, Stage.REFUSED: 2}
"""Who goes first: those that hold what may be bad, that may hold it, that were to hold it."""


def _order(change: Change) -> tuple[int, str]:
    risk = _RISK.get(change.record.stage, len(_RISK)) if change.record else len(_RISK)
    return risk, change.connection.name


def halted(failures: int, rollout: Rollout) -> bool:
    """Whether so many failures end the run before anything else is touched."""
    return rollout.on_failure == "halt" and failures > rollout.max_failures
