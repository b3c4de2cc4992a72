"""What the daemon shows over HTTP: the web's State."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rotator.config.models import Config, RotationConfig
from rotator.coordination.elector import Elector
from rotator.daemon.health import Clocks, Contacts
from rotator.daemon.runner import Runner
from rotator.daemon.snapshots import Snapshots
from rotator.errors import LedgerError
from rotator.model.connection import Connection
from rotator.model.record import Record
from rotator.model.run import Outcome, Run
from rotator.observe.listings import Listings
from rotator.observe.live import Live
from rotator.ports import Clock, LedgerReader
from rotator.rotation.run import Order
from rotator.web.views import (
    ConnectionView,
    Health,
    LeaseView,
    NoSuchRotation,
    ProgressView,
    RotationView,
    SourceView,
)

MOST_OUTCOMES = 200
_USER = re.compile(r"//[^/@]*@")
"""People write keys into addresses, where the target shows them to whoever may list."""


@dataclass(frozen=True, slots=True)
class DaemonState:
    snapshots: Snapshots
    ledger: LedgerReader
    runner: Runner
    contacts: Contacts
    clock: Clock
    next_run: Callable[[str], datetime | None]
    clocks: Clocks
    listings: Listings
    live: Live
    elector: Elector | None = None
    """None: this process is the only one."""

    @property
    def _config(self) -> Config:
        return self.snapshots.context.config

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
            cron=schedule.cron if schedule else None,
            timezone=schedule.timezone if schedule else None,
            progress=self.progress(running.id) if running else None,
        )

    def leader(self) -> str | None:
        if self.elector is None or self.runner.may_write():
            return None
        return self.elector.holder

    async def connections(self) -> list[ConnectionView]:
        """What the ledger has on record and what was seen, but for what is surely gone."""
        known = await self.ledger.all_records()
        records = {(r.target, r.connection): r for r in known if r.gone_at is None}
        seen: dict[tuple[str, str], tuple[str, Connection]] = {}
        for rotation, connection in self.listings:
            key = connection.target, connection.name
            record = records.get(key)
            if key not in seen or (record is not None and record.rotation == rotation):
                seen[key] = rotation, connection
        for key, record in list(records.items()):
            if key not in seen and self.listings.knows(record.rotation, record.target):
                del records[key]
        return [
            self._connection(key, records.get(key), *seen.get(key, (None, None)))
            for key in sorted(records.keys() | seen.keys())
        ]

    def _connection(
        self,
        key: tuple[str, str],
        record: Record | None,
        rotation: str | None,
        seen: Connection | None,
    ) -> ConnectionView:
        target, name = key
        by = record.rotation if record else rotation or ""
        rule = self._config.rotations.get(by)
        rotated_at = record.rotated_at if record else None
        max_age = rule.max_age if rule else None
        old = bool(max_age and rotated_at and self.clock.now() - rotated_at > max_age)
        return ConnectionView(
            target=target,
            connection=name,
            rotation=by,
            phase=seen.phase if seen else record.phase if record else None,
            stage=str(record.stage) if record else "unknown",
            rotated_at=rotated_at,
            verified_at=record.verified_at if record else None,
            secret_version=record.secret_version if record else None,
            error=record.error if record else None,
            run=record.run_id if record else None,
            type=seen.type if seen else None,
            endpoint=_USER.sub("//…@", seen.endpoint) if seen else None,
            too_old=old,
            put_at=record.put_at if record else None,
        )

    async def outcomes(self, target: str, connection: str) -> tuple[Outcome, ...]:
        return await self.ledger.outcomes_of(target, connection, limit=MOST_OUTCOMES)

    async def sources(self) -> list[SourceView]:
        known = {state.source: state for state in self.contacts.states()}
        return [
            SourceView(
                name=name,
                kind=source.kind,
                ok_at=known[name].ok_at if name in known else None,
                failing_since=known[name].failing_since if name in known else None,
                reason=known[name].reason if name in known else "",
                token_ends_at=self.contacts.token_ends_at(name),
            )
            for name, source in self._config.sources.items()
        ]

    async def leases(self) -> list[LeaseView]:
        return [
            LeaseView(
                id=lease.id,
                source=lease.ref.source,
                holder=lease.ref.holder,
                rotation=lease.rotation,
                state=str(lease.state),
                made_at=lease.made_at,
                expires_at=lease.expires_at,
                revoke_at=lease.revoke_at,
            )
            for lease in await self.ledger.leases()
        ]

    def progress(self, run_id: str) -> ProgressView | None:
        found = self.live.progress(run_id)
        if found is None:
            return None
        return ProgressView(found.total, found.put, found.settled, found.failed)

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
        return self.runner.start(Order(rotation, "http"), self.snapshots.context)
