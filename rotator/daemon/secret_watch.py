"""Watching secrets: a rotation runs when a secret has changed since a run acted on it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from rotator.daemon.runner import Runner
from rotator.daemon.snapshots import Snapshots
from rotator.daemon.ticker import Ticker
from rotator.daemon.watch import Watch, may_concern, next_change
from rotator.errors import RotatorError
from rotator.model.events import Event, SecretHinted
from rotator.ports import LedgerReader
from rotator.remedy import remedy
from rotator.rotation.probes import probe_secrets

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SecretWatch:
    """Looks at the secrets of a rotation at each tick of its watch."""

    snapshots: Snapshots
    ledger: LedgerReader
    runner: Runner
    _watches: dict[str, Watch] = field(default_factory=dict)

    async def look(self, rotation: str) -> float | None:
        """Start a run if the secrets call for one; else, in how many seconds they may do so."""
        if self.runner.under_way(rotation) or not self.runner.leads:
            return None
        watch = self._watches.setdefault(rotation, Watch())
        try:
            async with self.snapshots.borrow() as context:
                probes = await probe_secrets(context, rotation)
                acted_on = await context.ledger.acted_on(rotation)
                last = await self.ledger.last_run(rotation)
        except RotatorError as error:
            watch.failed(error)
            what = {"todo": remedy(error.cause, rotation)}
            log.warning("watch.failed", extra={"rotation": rotation} | error.fields() | what)
            return None
        for ref, warning in watch.new_warnings(probes.found):
            place = {"rotation": rotation, "source": ref.source, "secret": str(ref)}
            log.warning("secret.warning", extra=place | {"reason": warning})
        if watch.calls_for_a_run(probes.found, probes.wanted, acted_on, last):
            self.runner.start_by_itself(rotation, "watch")
            return None
        return next_change(probes.found)


@dataclass(frozen=True, slots=True)
class Hints:
    """An observer: where a source says that a secret may have changed, it is looked at soon.

    A hint is not trusted. The look itself finds out what has changed.
    """

    snapshots: Snapshots
    ticker: Ticker

    def __call__(self, event: Event) -> None:
        if not isinstance(event, SecretHinted):
            return
        for name, rule in self.snapshots.config.rotations.items():
            if rule.secret.source == event.source and may_concern(rule.secret, event.path):
                self.ticker.look_again(name, 0)
