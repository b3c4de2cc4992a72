"""Connections: what the ledger has on record of them, and what was last seen."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rotator.daemon.snapshots import Snapshots
from rotator.model.connection import Connection
from rotator.model.record import Record
from rotator.model.run import Outcome
from rotator.observe.listings import Listings
from rotator.ports import LedgerReader
from rotator.web.views import ConnectionView

MOST_OUTCOMES = 200
_USER = re.compile(r"//[^/@]*@")
"""People write keys into addresses, and the target shows these to everyone who may list."""


@dataclass(frozen=True, slots=True)
class ConnectionViews:
    snapshots: Snapshots
    ledger: LedgerReader
    listings: Listings

    async def connections(self) -> list[ConnectionView]:
        """Connections on record and connections seen, without those known to be gone."""
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
        context = self.snapshots.context
        by = record.rotation if record else rotation or ""
        rule = self.snapshots.config.rotations.get(by)
        rotated_at = record.rotated_at if record else None
        max_age = rule.max_age if rule else None
        old = bool(max_age and rotated_at and context.clock.now() - rotated_at > max_age)
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
