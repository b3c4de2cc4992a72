"""Leading and following: what changes when this process begins or ceases to lead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rotator.coordination.elector import Elector
from rotator.coordination.term import Term
from rotator.daemon.due import trigger_at_once
from rotator.daemon.runner import Runner
from rotator.daemon.snapshots import Snapshots
from rotator.daemon.ticker import Ticker
from rotator.ports import LedgerReader


@dataclass(frozen=True, slots=True)
class Leadership:
    """Hands each term to the runner, and starts what is due already."""

    snapshots: Snapshots
    ledger: LedgerReader
    runner: Runner
    ticker: Ticker
    show: Callable[[bool], None]
    """Is told whether this process leads."""

    async def lead(self, term: Term, *, taken_over: bool) -> None:
        """From now on ticks act. Raises LedgerError where this process never gets that far."""
        # The last requests of a term before this one may still be under way.
        await self.runner.idle()
        self.runner.term = term
        self.show(self.runner.leads)
        for name, rule in self.snapshots.config.rotations.items():
            last = await self.ledger.last_run(name)
            trigger = trigger_at_once(
                rule, last, self.snapshots.context.clock.now(), taken_over=taken_over
            )
            if trigger is not None:
                self.runner.start_by_itself(name, trigger)
            elif taken_over:
                # What this process saw before another one led is old.
                self.ticker.look_now(name)

    def follow(self) -> None:
        """Another process leads, or nobody does yet."""
        self.show(False)

    async def lead_in_turn(self, candidate: Elector) -> None:
        """Lead whenever the candidate is elected; never returns."""
        while True:
            term = await candidate.terms.get()
            await self.lead(term, taken_over=candidate.taken_over)
            await term.wait()
            self.follow()
