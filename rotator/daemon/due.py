"""What a process runs as soon as it leads, whether it just started or took over."""

from __future__ import annotations

from datetime import datetime, timedelta

from rotator.config.models import RotationConfig
from rotator.config.ticks import scheduled_since
from rotator.daemon.ticker import missed_while_down
from rotator.model.run import Run, RunResult

CUT_OFF = timedelta(hours=1)
"""A scheduled run that began no longer ago than this may have been cut off when its leader died."""


def trigger_at_once(
    rule: RotationConfig, last: Run | None, now: datetime, *, taken_over: bool
) -> str | None:
    """The trigger of a run to start now; None: no run is due.

    `last` is the last run in this process's own ledger, None if it has none. After another leader
    and without a last run, a rotation runs only if waiting may do harm: the leases of that leader
    end with its token, and it may have died during a scheduled run.
    """
    if last is not None and last.result in {None, RunResult.INTERRUPTED}:
        return "resume"
    if missed_while_down(rule, last.started_at if last else None, now):
        return "missed"
    if taken_over and last is None:
        cut_off = scheduled_since(rule.schedule, now - CUT_OFF, now)
        if cut_off or rule.secret.dynamic is not None:
            return "takeover"
    return "start" if rule.schedule and rule.schedule.on_start else None
