"""Rotations and runs; and starting one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rotator.config.models import RotationConfig
from rotator.daemon.runner import Runner
from rotator.daemon.snapshots import Snapshots
from rotator.model.run import Outcome, Run
from rotator.observe.live import Live
from rotator.ports import LedgerReader
from rotator.web.views import NoSuchRotation, ProgressView, RotationView


@dataclass(frozen=True, slots=True)
class RotationViews:
    snapshots: Snapshots
    ledger: LedgerReader
    runner: Runner
    live: Live
    next_run: Callable[[str], datetime | None]

    async def rotations(self) -> list[RotationView]:
        rules = self.snapshots.config.rotations
        return [await self._rotation(name, rule) for name, rule in rules.items()]

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
        names = self.snapshots.config.rotations
        under_way = (self.runner.under_way(name) for name in names)
        return next(((run, ()) for run in under_way if run and run.id == run_id), None)

    async def start(self, rotation: str) -> Run:
        if rotation not in self.snapshots.config.rotations:
            raise NoSuchRotation(rotation)
        return self.runner.start(rotation, "http")
