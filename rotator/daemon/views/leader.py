"""Who leads, as far as this process knows."""

from __future__ import annotations

from dataclasses import dataclass

from rotator.coordination.elector import Elector
from rotator.daemon.runner import Runner


@dataclass(frozen=True, slots=True)
class Leader:
    runner: Runner
    elector: Elector | None = None
    """None: this process is the only one."""

    def name(self) -> str | None:
        """Who leads, where that is another process; empty if nobody is known to. None: this one."""
        if self.elector is None or self.runner.may_write():
            return None
        return self.elector.holder

    def election_hangs(self, monotonic: float) -> bool | None:
        """None where there is no election."""
        if self.elector is None:
            return None
        return monotonic - self.elector.turned_at > self.elector.overdue

    def trouble(self) -> str | None:
        """Why it is not known who leads; empty if it is known. None where there is no election."""
        if self.elector is None:
            return None
        if self.elector.reached:
            return ""
        return str(self.elector.trouble or "not known yet who leads")

    def role(self) -> str:
        """What this process does, and what is wrong with the election now. Empty without one."""
        if self.elector is None:
            return ""
        if self.runner.may_write():
            role = "this process leads"
        else:
            role = f"{self.elector.holder} leads" if self.elector.holder else "nobody leads yet"
        trouble = self.elector.trouble
        return f"{role}; reached before, and now: {trouble}" if trouble else role
