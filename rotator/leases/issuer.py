"""Making the credentials that a source makes for us, each when its turn comes.

A read that makes a credential can't be taken back and is never repeated. Before it is sent, the
ledger knows that it was asked for; before anybody gets its credential, the ledger knows its lease.
A process that dies in between leaves a lease that the next run finds and revokes, or, if not even
its answer came, a line that says so.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from rotator.errors import SecretInvalid, SourceError, SourceUncertain
from rotator.leases import policy
from rotator.model.events import LeaseChanged
from rotator.model.lease import HeldLease, LeaseState
from rotator.model.rule import Rule
from rotator.model.secret import Secret, SecretRef
from rotator.ports import ConnectionKey, RunContext


@dataclass(slots=True)
class Issuer:
    """One for a run: whoever needs the same credential gets the same."""

    context: RunContext
    rule: Rule
    run_id: str
    _reads: dict[SecretRef, asyncio.Task[Secret]] = field(default_factory=dict)

    async def secret(self, ref: SecretRef) -> Secret:
        """The secret that was made, its lease as its version.

        Raises SourceError, which is not tried again, and LedgerError.
        """
        read = self._reads.get(ref)
        if read is None:
            read = self._reads[ref] = asyncio.create_task(self._make(ref))
        # Shielded: one connection that is given up must not take it from the others.
        return await asyncio.shield(read)

    async def _make(self, ref: SecretRef) -> Secret:
        now = self.context.clock.now()
        asked = HeldLease(
            id=f"asked-{secrets.token_hex(8)}",
            ref=ref,
            rotation=self.rule.name,
            run_id=self.run_id,
            state=LeaseState.ASKED,
            made_at=now,
            duration=0,
            renewable=False,
            expires_at=None,
            mapping=self.rule.mapping_digest,
        )
        await self.context.ledger.keep_lease(asked)
        source = self.context.sources[ref.source]
        try:
            secret = await source.read(ref)
        except SourceUncertain as error:
            # It may have been made all the same; the line stays.
            self.context.observe(LeaseChanged(asked, "lost", str(error)))
            raise
        except SourceError:
            await self.context.ledger.drop_lease(asked.id)
            raise
        if secret.lease is None:
            await self.context.ledger.drop_lease(asked.id)
            raise SecretInvalid(ref.source, ref.path, "it comes without a lease; leave out `lease`")
        lease = policy.made(asked, secret.lease, now)
        await self.context.ledger.keep_lease(lease, instead_of=asked.id)
        self.context.observe(LeaseChanged(lease, "made"))
        try:
            owner = await source.keep_alive()
        except SourceError:
            owner = None  # its end is not known then; the keeper asks again
        if owner is not None:
            await self.context.ledger.keep_lease(policy.owned(lease, owner, now))
        return replace(secret, version=lease.id)

    def close(self) -> None:
        """Give up what nobody waits for any more: the ledger has its line."""
        for read in self._reads.values():
            read.cancel()


async def retire_unused(
    context: RunContext,
    rule: Rule,
    *,
    gone: Collection[ConnectionKey],
    left: Collection[ConnectionKey],
) -> None:
    """Retires the leases that no connection lives on.

    Under the lock of the rotation, so that no run is about to use what looks unused. A retired
    lease is kept for `revoke_after`: a statement that is under way may still use its credential.

    `gone` are connections on record that no longer exist, `left` those that the rotation doesn't
    match any more.
    """
    now = context.clock.now()
    found = await context.ledger.leases(rule.name)
    if not found:
        return
    records = await context.ledger.records_of(rule.name)
    for lease in policy.unused(found, records, now, gone=gone, left=left):
        retired = policy.retired(lease, now + rule.secret.revoke_after)
        await context.ledger.keep_lease(retired)
        context.observe(LeaseChanged(retired, "retired"))
