"""Keeping alive what connections live on: tokens and leases, between runs and during them.

Called every few seconds, and nearly always it asks nobody. All it knows is in the ledger, so what
one process began another goes on with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rotator.backoff import Backoff
from rotator.errors import LeaseGone, PolicyDenied, SourceError
from rotator.leases import policy as leases
from rotator.model.events import LeaseChanged, LeasesSeen, LeaseStep, SourceRead, TokenSeen
from rotator.model.lease import HeldLease, LeaseState, Owner
from rotator.ports import RunContext

_PAUSES = Backoff(first=10.0, longest=300.0)
"""Between tries that fail."""
_JUST_MADE = timedelta(seconds=30)
"""Younger leases are met without being asked for."""


@dataclass(slots=True)
class Keeper:
    """Remembers only what went wrong lately; one for the life of a process."""

    _pauses: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Lease or source → not again before (monotonic), and how many tries failed in a row."""
    _met: set[str] = field(default_factory=set)
    """Leases that this process knows to be alive: it made them, or renewed them once."""

    async def tend(self, context: RunContext) -> frozenset[str]:
        """The rotations whose credentials must be replaced now. Raises LedgerError.

        What a source refuses or can't do now is told to the observer, and tried again later.
        """
        held = await context.ledger.leases()
        owners = await self._owners(context)
        kept = await asyncio.gather(*(self._keep(context, lease, owners) for lease in held))
        left = tuple(lease for lease in kept if lease is not None)
        context.observe(LeasesSeen(left))
        return frozenset(lease.rotation for lease in left if _replace_now(context, lease, owners))

    async def _owners(self, context: RunContext) -> Mapping[str, Owner]:
        names = [name for name in context.sources if self._may_try(context, f"token of {name}")]
        answers = await asyncio.gather(*(self._owner(context, name) for name in names))
        owners = {name: owner for name, owner in zip(names, answers, strict=True) if owner}
        for name, owner in owners.items():
            ends = None
            if owner.lasts is not None:
                ends = context.clock.now() + timedelta(seconds=owner.lasts)
            context.observe(TokenSeen(name, ends))
        return owners

    async def _owner(self, context: RunContext, name: str) -> Owner | None:
        try:
            owner = await context.sources[name].keep_alive()
        except SourceError as error:
            self._pause(context, f"token of {name}")
            context.observe(SourceRead(name, "keep_alive", error.result, 0.0, str(error)))
            return None
        self._pauses.pop(f"token of {name}", None)
        return owner

    async def _keep(
        self, context: RunContext, lease: HeldLease, owners: Mapping[str, Owner]
    ) -> HeldLease | None:
        """As it is after this look; None where it is over and done with."""
        owner = owners.get(lease.ref.source)
        now = context.clock.now()
        if owner is not None:
            lease = await self._written(context, lease, leases.owned(lease, owner, now))
        # One that is live and over calls for a run, unless nobody would run any more.
        called_for = lease.state is LeaseState.LIVE and lease.rotation in context.rules
        if leases.over(lease, owner, now) and not called_for:
            await self._dropped(context, lease, "ended")
            return None
        if lease.ref.source not in context.sources or not self._may_try(context, lease.id):
            return lease
        if lease.state is LeaseState.RETIRED and lease.revoke_at and lease.revoke_at <= now:
            return await self._revoked(context, lease)
        # Whatever happened while no process looked: a renewal tells whether it still lives.
        unmet = lease.id not in self._met and now - lease.made_at > _JUST_MADE
        if leases.renewal_due(lease, now) or (unmet and leases.renewable(lease, now)):
            return await self._renewed(context, lease, now)
        self._met.add(lease.id)
        return lease

    async def _renewed(self, context: RunContext, lease: HeldLease, now: datetime) -> HeldLease:
        try:
            granted = await context.sources[lease.ref.source].renew(lease.id, lease.duration)
        except LeaseGone as gone:
            # Not revoked any more, but replaced: its connections need another.
            context.observe(LeaseChanged(lease, "ended", str(gone)))
            return await self._written(
                context, lease, replace(lease, expires_at=now, renewable=False)
            )
        except SourceError as error:
            self._pause(context, lease.id)
            context.observe(LeaseChanged(lease, "not renewed", str(error)))
            return lease
        self._pauses.pop(lease.id, None)
        self._met.add(lease.id)
        lease = await self._written(context, lease, leases.renewed(lease, granted, now))
        context.observe(LeaseChanged(lease, "renewed"))
        return lease

    async def _revoked(self, context: RunContext, lease: HeldLease) -> HeldLease | None:
        source = context.sources[lease.ref.source]
        try:
            await source.revoke(lease.id)
        except LeaseGone:
            await self._dropped(context, lease, "ended")
            return None
        except PolicyDenied as denied:
            return await self._shortened(context, lease, denied)
        except SourceError as error:
            self._pause(context, lease.id)
            context.observe(LeaseChanged(lease, "not revoked", str(error)))
            return lease
        await self._dropped(context, lease, "revoked")
        return None

    async def _shortened(
        self, context: RunContext, lease: HeldLease, denied: PolicyDenied
    ) -> HeldLease | None:
        """To renew for a second ends it as well, and every token may: the default policy says so.

        https://developer.hashicorp.com/vault/docs/concepts/lease
        """
        try:
            await context.sources[lease.ref.source].renew(lease.id, 1)
        except LeaseGone:
            await self._dropped(context, lease, "ended")
            return None
        except SourceError:
            self._pause(context, lease.id, _PAUSES.longest)
            context.observe(LeaseChanged(lease, "not revoked", str(denied)))
            return lease
        await self._dropped(context, lease, "shortened", str(denied))
        return None

    async def _written(self, context: RunContext, before: HeldLease, after: HeldLease) -> HeldLease:
        if after != before:
            await context.ledger.keep_lease(after)
        return after

    async def _dropped(
        self, context: RunContext, lease: HeldLease, what: LeaseStep, reason: str = ""
    ) -> None:
        await context.ledger.drop_lease(lease.id)
        self._met.discard(lease.id)
        self._pauses.pop(lease.id, None)
        context.observe(LeaseChanged(lease, what, reason))

    def _may_try(self, context: RunContext, what: str) -> bool:
        return context.clock.monotonic() >= self._pauses.get(what, (0.0, 0))[0]

    def _pause(self, context: RunContext, what: str, seconds: float | None = None) -> None:
        failures = self._pauses.get(what, (0.0, 0))[1] + 1
        pause = _PAUSES.pause(failures) if seconds is None else seconds
        self._pauses[what] = (context.clock.monotonic() + pause, failures)


def _replace_now(context: RunContext, lease: HeldLease, owners: Mapping[str, Owner]) -> bool:
    rule = context.rules.get(lease.rotation)
    if rule is None or lease.state is not LeaseState.LIVE:
        return False
    now = context.clock.now()
    ends = leases.ends_at(lease, owners.get(lease.ref.source), now)
    return leases.replacement_due(lease, ends, now, leases.lead(rule.verification.timeout))
