"""The leases of a rotation as they stand, for a plan that reads none of their credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rotator.config.models import RotationConfig
from rotator.errors import SourceError
from rotator.leases import policy as leases
from rotator.model.lease import HeldLease
from rotator.model.secret import SecretRef
from rotator.rotation.context import RunContext
from rotator.rotation.credential import mapping_digest


@dataclass(frozen=True, slots=True)
class Leased:
    """The leases of a rotation, with when each stops to work."""

    held: Mapping[str, HeldLease]
    ends: Mapping[str, datetime | None]
    before_schedule: frozenset[str]
    """Those made before the last scheduled time: a schedule is for fresh credentials."""
    now: datetime

    def stale(self, version: str, rule: RotationConfig, wanted: SecretRef) -> str | None:
        """Why a credential with this lease can't stay; None: it can."""
        held = self.held.get(version)
        if held is not None and held.ref != wanted:
            return "its rotation asks for another credential now"
        reason = leases.stale(
            held,
            self.ends.get(version),
            self.now,
            leases.lead(rule.verify.timeout),
            mapping_digest(rule.credential),
        )
        if reason is None and version in self.before_schedule:
            return "its lease is from before the last scheduled time"
        return reason


async def leased_now(context: RunContext, rotation: str) -> Leased | None:
    rule = context.config.rotations[rotation]
    if rule.secret.dynamic is None:
        return None
    from rotator.config.ticks import scheduled_since  # APScheduler: only where it is needed

    try:
        owner = await context.sources[rule.secret.source].keep_alive()
    except SourceError:
        owner = None  # then the ends on record count
    now = context.clock.now()
    held = {lease.id: lease for lease in await context.ledger.leases(rotation)}
    return Leased(
        held,
        {name: leases.ends_at(lease, owner, now) for name, lease in held.items()},
        frozenset(
            name
            for name, lease in held.items()
            if scheduled_since(rule.schedule, lease.made_at, now)
        ),
        now,
    )
