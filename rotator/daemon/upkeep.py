"""Looking after tokens and leases, and writing down how the sources answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from rotator.backoff import Backoff
from rotator.daemon.health import Contacts, news
from rotator.daemon.runner import Runner
from rotator.daemon.snapshots import Snapshots
from rotator.errors import RotatorError
from rotator.leases.keeper import Keeper
from rotator.model.source import SourceState
from rotator.ports import Clock
from rotator.remedy import remedy

log = logging.getLogger(__name__)

_PAUSES = Backoff(first=30.0, longest=600.0)
"""Between runs that leases call for, where the one before did not help."""


@dataclass(slots=True)
class SourceStates:
    """Writes down how each source answers, for `rotator status`."""

    snapshots: Snapshots
    contacts: Contacts
    _written: dict[str, SourceState] = field(default_factory=dict)

    async def write(self) -> None:
        """At once if a source begins or ceases to fail, else now and then. Raises LedgerError."""
        for state in self.contacts.states():
            if not news(self._written.get(state.source), state):
                continue
            await self.snapshots.context.ledger.keep_source(state)
            self._written[state.source] = state


@dataclass(slots=True)
class Upkeep:
    """Keeps tokens and leases alive, and replaces credentials whose leases near their end."""

    snapshots: Snapshots
    runner: Runner
    contacts: Contacts
    states: SourceStates
    clock: Clock
    _keeper: Keeper = field(default_factory=Keeper)
    _failed: str = ""
    """The failure that was logged last. The same one would come every few seconds."""
    _lease_runs: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Rotation → not again before (monotonic), and how many runs its leases called for."""

    async def tick(self) -> None:
        try:
            due: frozenset[str] = frozenset()
            if self.runner.leads:
                async with self.snapshots.borrow() as context:
                    due = await self._keeper.tend(context)
            await self.states.write()
        except RotatorError as error:
            if str(error) != self._failed:
                what = {"todo": remedy(error.cause)}
                log.error("keep.failed", extra=error.fields() | what)  # noqa: TRY400 - one line
            self._failed = str(error)
            return
        self._failed = ""
        now = self.clock.monotonic()
        self.contacts.kept(now)
        self._lease_runs = {name: at for name, at in self._lease_runs.items() if name in due}
        for rotation in due:
            not_before, runs = self._lease_runs.get(rotation, (now, 0))
            if now >= not_before and self.runner.under_way(rotation) is None:
                # The next one only if this does not help: each makes new credentials.
                self._lease_runs[rotation] = (now + _PAUSES.pause(runs + 1), runs + 1)
                self.runner.start_by_itself(rotation, "lease")
