"""The leases of a rotation as they stand, for a plan that reads none of their credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rotator.errors import SourceError
from rotator.leases import policy
from rotator.model.lease import HeldLease
from rotator.model.rule import Rule
from rotator.model.secret import SecretRef
from rotator.ports import RunContext


@dataclass(frozen=True, slots=True)
class Leased:
    """The leases of a rotation, with when each stops to work."""

    held: Mapping[str, HeldLease]
    ends: Mapping[str, datetime | None]
    before_schedule: frozenset[str]
    """Those made before the last scheduled time: a schedule is for fresh credentials."""
    now: datetime

    def stale(self, version: str, rule: Rule, wanted: SecretRef) -> str | None:
        """Why a credential with this lease can't stay; None: it can."""
        held = self.held.get(version)
        if held is not None and held.ref != wanted:
            return "its rotation asks for another credential now"
        reason = policy.stale(
            held,
            self.ends.get(version),
            self.now,
            policy.lead(rule.verification.timeout),
            rule.mapping_digest,
        )
        if reason is None and version in self.before_schedule:
            return "its lease is from before the last scheduled time"
        return reason


async def leased_now(context: RunContext, rule: Rule) -> Leased | None:
    """None: the rotation has no leases, since its source only reads."""
    if rule.secret.lease is None:
        return None
    try:
        owner = await context.sources[rule.secret.source].keep_alive()
    except SourceError:
        owner = None  # then the ends on record count
    now = context.clock.now()
    held = {lease.id: lease for lease in await context.ledger.leases(rule.name)}
    return Leased(
        held,
        {name: policy.ends_at(lease, owner, now) for name, lease in held.items()},
        frozenset(
            name
            for name, lease in held.items()
            if context.scheduled_since(rule.name, lease.made_at, now)
        ),
        now,
    )
