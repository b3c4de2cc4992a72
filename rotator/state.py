"""What the daemon shows over HTTP: the web's State."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rotator.config.models import Config, RotationConfig
from rotator.coordination.elector import Elector
from rotator.errors import LedgerError
from rotator.generations import Generations
from rotator.health import Clocks, Contacts
from rotator.ledger import SqlLedger
from rotator.model import Outcome, Run
from rotator.ports import Clock
from rotator.rotation.run import Order
from rotator.runner import Runner
from rotator.web.views import ConnectionView, Health, NoSuchRotation, RotationView


@dataclass(frozen=True, slots=True)
class DaemonState:
    generations: Generations
    ledger: SqlLedger
    runner: Runner
    contacts: Contacts
    clock: Clock
    next_run: Callable[[str], datetime | None]
    clocks: Clocks
    elector: Elector | None = None
    """None: this process is the only one."""

    @property
    def _config(self) -> Config:
        return self.generations.world.config

    def livez(self) -> Health:
        now = self.clock.monotonic()
        stalled, neglected = self.contacts.stalled(now), self.contacts.neglected(now)
        checks = {
            "scheduler": "stalled" if stalled else "ok",
            "leases": "not tended" if neglected else "ok",
            "clocks": "ok",
        }
        if (seconds := self.clocks.parted(self.clock)) is not None:
            checks["clocks"] = f"the time of day jumped by {seconds:.0f} s since the start"
        if self.elector is not None:
            hangs = now - self.elector.turned_at > self.elector.overdue
            checks["election"] = "stalled" if hangs else "ok"
        return Health(all(said == "ok" for said in checks.values()), checks)

    async def readyz(self) -> Health:
        checks = {"configuration": "ok", "ledger": "ok"}
        try:
            await self.ledger.check()
        except LedgerError as error:
            checks["ledger"] = str(error)
        config = self._config
        targets = {name for rule in config.rotations.values() for name in rule.targets}
        sources = {rule.secret.source for rule in config.rotations.values()}
        for place in self.contacts.unreached(sorted(targets), sorted(sources)):
            checks[place] = "not reached yet"
        if self.elector is not None:
            checks["coordination"] = self._who_leads(self.elector)
        ready = all(said == "ok" for said in checks.values())
        # Told, and still ready: what the connections have goes on working meanwhile, and a pod
        # that is taken out of service for it would help nobody.
        for source in sorted(sources):
            if trouble := self.contacts.trouble(source):
                checks.setdefault(f"source {source}", f"reached before, and now: {trouble}")
        if self.elector is not None and ready:
            checks["coordination"] = self._role(self.elector)
        return Health(ready, checks)

    def _who_leads(self, elector: Elector) -> str:
        return "ok" if elector.reached else str(elector.trouble or "not known yet who leads")

    def _role(self, elector: Elector) -> str:
        if self.runner.may_write():
            role = "this process leads"
        else:
            role = f"{elector.holder} leads" if elector.holder else "nobody leads yet"
        return f"{role}; reached before, and now: {elector.trouble}" if elector.trouble else role

    async def rotations(self) -> list[RotationView]:
        return [await self._rotation(name, rule) for name, rule in self._config.rotations.items()]

    async def _rotation(self, name: str, rule: RotationConfig) -> RotationView:
        running = self.runner.under_way(name)
        schedule = rule.schedule
        return RotationView(
            name=name,
            targets=rule.targets,
            schedule=f"cron {schedule.cron} ({schedule.timezone})" if schedule else None,
            watch=f"watched every {rule.watch.total_seconds():g} s" if rule.watch else None,
            next_run=self.next_run(name),
            running=running.id if running else None,
            last_run=await self.ledger.last_run(name),
        )

    async def connections(self) -> list[ConnectionView]:
        return [
            ConnectionView(
                target=record.target,
                connection=record.connection,
                rotation=record.rotation,
                phase=record.phase,
                stage=str(record.stage),
                rotated_at=record.rotated_at,
                verified_at=record.verified_at,
                secret_version=record.secret_version,
                error=record.error,
                run=record.run_id,
            )
            for record in await self.ledger.all_records()
        ]

    async def runs(self, rotation: str | None, limit: int) -> tuple[Run, ...]:
        return await self.ledger.runs(rotation, limit=limit)

    async def run(self, run_id: str) -> tuple[Run, tuple[Outcome, ...]] | None:
        found = await self.ledger.run(run_id)
        if found is not None:
            return found
        # Between its start and its first line in the ledger.
        under_way = (self.runner.under_way(name) for name in self._config.rotations)
        return next(((run, ()) for run in under_way if run and run.id == run_id), None)

    async def start(self, rotation: str) -> Run:
        if rotation not in self._config.rotations:
            raise NoSuchRotation(rotation)
        return self.runner.start(Order(rotation, "http"), self.generations.world)
