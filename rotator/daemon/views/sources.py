"""Sources as they answered last, and the leases that they granted."""

from __future__ import annotations

from dataclasses import dataclass

from rotator.daemon.health import Contacts
from rotator.daemon.snapshots import Snapshots
from rotator.ports import LedgerReader
from rotator.web.views import LeaseView, SourceView


@dataclass(frozen=True, slots=True)
class SourceViews:
    snapshots: Snapshots
    ledger: LedgerReader
    contacts: Contacts

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
            for name, source in self.snapshots.config.sources.items()
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
