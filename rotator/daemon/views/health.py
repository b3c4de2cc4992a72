"""What livez and readyz answer."""

from __future__ import annotations

from dataclasses import dataclass

from rotator.daemon.health import Clocks, Contacts
from rotator.daemon.snapshots import Snapshots
from rotator.daemon.views.leader import Leader
from rotator.errors import LedgerError
from rotator.ports import LedgerReader
from rotator.web.views import Health


@dataclass(frozen=True, slots=True)
class HealthViews:
    snapshots: Snapshots
    ledger: LedgerReader
    contacts: Contacts
    clocks: Clocks
    leader: Leader

    def livez(self) -> Health:
        clock = self.snapshots.context.clock
        now = clock.monotonic()
        checks = {
            "scheduler": "stalled" if self.contacts.stalled(now) else "ok",
            "leases": "not tended" if self.contacts.neglected(now) else "ok",
            "clocks": "ok",
        }
        if (seconds := self.clocks.parted(clock)) is not None:
            checks["clocks"] = f"the time of day jumped by {seconds:.0f} s since the start"
        if (hangs := self.leader.election_hangs(now)) is not None:
            checks["election"] = "stalled" if hangs else "ok"
        return Health(_all_ok(checks), checks)

    async def readyz(self) -> Health:
        checks = {"configuration": "ok", "ledger": "ok"}
        try:
            await self.ledger.check()
        except LedgerError as error:
            checks["ledger"] = str(error)
        config = self.snapshots.config
        targets = {name for rule in config.rotations.values() for name in rule.targets}
        sources = {rule.secret.source for rule in config.rotations.values()}
        for place in self.contacts.unreached(sorted(targets), sorted(sources)):
            checks[place] = "not reached yet"
        if (trouble := self.leader.trouble()) is not None:
            checks["coordination"] = trouble or "ok"
        ready = _all_ok(checks)
        # Shown, and still ready: what the connections have goes on working meanwhile, and it would
        # help nobody to take the pod out of service.
        for source in sorted(sources):
            if said := self.contacts.trouble(source):
                checks.setdefault(f"source {source}", f"reached before, and now: {said}")
        if ready and (role := self.leader.role()):
            checks["coordination"] = role
        return Health(ready, checks)


def _all_ok(checks: dict[str, str]) -> bool:
    return all(said == "ok" for said in checks.values())
