"""Making the credentials that a source makes for us, each when its turn comes.

A read that makes a credential can't be taken back and is never repeated. Before it is sent, the
ledger knows that it was asked for; before anybody gets its credential, the ledger knows its lease.
A process that dies in between leaves a lease that the next run finds and revokes, or, if not even
its answer came, a line that says so.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field, replace

from rotator.errors import SecretInvalid, SourceError, SourceUncertain
from rotator.leases import policy as leases
from rotator.model.credential import Credential
from rotator.model.events import LeaseChanged
from rotator.model.lease import HeldLease, LeaseState
from rotator.model.plan import Change
from rotator.model.secret import Secret, SecretRef
from rotator.rotation import credential
from rotator.rotation.context import RunContext
from rotator.rotation.survey import Survey


@dataclass(slots=True)
class Issuer:
    """One for a run: whoever needs the same credential gets the same."""

    context: RunContext
    rotation: str
    run_id: str
    _reads: dict[SecretRef, asyncio.Task[Secret]] = field(default_factory=dict)

    async def credential(self, change: Change, ref: SecretRef) -> Credential:
        """Raises SourceError, CredentialInvalid and LedgerError; the first is not tried again."""
        read = self._reads.get(ref)
        if read is None:
            read = self._reads[ref] = asyncio.create_task(self._make(ref))
        # Shielded: one connection that is given up must not take it from the others.
        secret = await asyncio.shield(read)
        rule = self.context.config.rotations[self.rotation]
        data = credential.auth_data(change.connection.type, rule.credential, secret.fields)
        return Credential(data, self.context.fingerprint(data), secret.version)

    async def _make(self, ref: SecretRef) -> Secret:
        now = self.context.clock.now()
        rule = self.context.config.rotations[self.rotation]
        asked = HeldLease(
            id=f"asked-{secrets.token_hex(8)}",
            ref=ref,
            rotation=self.rotation,
            run_id=self.run_id,
            state=LeaseState.ASKED,
            made_at=now,
            duration=0,
            renewable=False,
            expires_at=None,
            mapping=credential.mapping_digest(rule.credential),
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
        lease = leases.made(asked, secret.lease, now)
        await self.context.ledger.keep_lease(lease, instead_of=asked.id)
        self.context.observe(LeaseChanged(lease, "made"))
        try:
            owner = await source.keep_alive()
        except SourceError:
            owner = None  # its end is not known then; the keeper asks again
        if owner is not None:
            await self.context.ledger.keep_lease(leases.owned(lease, owner, now))
        return replace(secret, version=lease.id)

    def close(self) -> None:
        """Give up what nobody waits for any more: the ledger has its line."""
        for read in self._reads.values():
            read.cancel()


async def retire_unused(context: RunContext, rotation: str, seen: Survey) -> None:
    """Under the lock of the rotation, so that no run is about to use what looks unused.

    It is kept for `revoke_after`: a statement that is under way may still use its credential.
    """
    now = context.clock.now()
    rule = context.config.rotations[rotation]
    found = await context.ledger.leases(rotation)
    if not found:
        return
    records = await context.ledger.records_of(rotation)
    for lease in leases.unused(found, records, now, gone=seen.gone, left=seen.left):
        retired = leases.retired(lease, now + rule.secret.revoke_after)
        await context.ledger.keep_lease(retired)
        context.observe(LeaseChanged(retired, "retired"))
