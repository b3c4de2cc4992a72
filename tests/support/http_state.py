"""What the web asks, held in memory; runs start and end as the daemon's do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from rotator.errors import LedgerError, RunInProgress
from rotator.model.run import Outcome, Run
from rotator.observe.metrics import Metrics
from rotator.web.app import Scrape, Token, create_app
from rotator.web.server import serving
from rotator.web.views import (
    ConnectionView,
    DaemonView,
    Health,
    LeaseView,
    NoSuchRotation,
    ProgressView,
    RotationView,
    SourceView,
)


@dataclass(slots=True)
class HeldState:
    """Runs stay under way until `finish`."""

    now: datetime
    views: tuple[RotationView, ...] = ()
    held: tuple[ConnectionView, ...] = ()
    read: tuple[SourceView, ...] = ()
    lent: tuple[LeaseView, ...] = ()
    history: tuple[Outcome, ...] = ()
    follows: str | None = None
    under_way: dict[str, ProgressView] = field(default_factory=dict)
    known: dict[str, tuple[Run, tuple[Outcome, ...]]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    stalled: bool = False
    ledger_error: str = ""
    crash: Exception | None = None
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is cleared the ledger hangs, as on a slow disk."""
    _running: dict[str, Run] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.answering.set()

    async def _ledger(self) -> None:
        await self.answering.wait()
        if self.crash is not None:
            raise self.crash
        if self.ledger_error:
            raise LedgerError(self.ledger_error)

    def livez(self) -> Health:
        return Health(not self.stalled, {"scheduler": "stalled" if self.stalled else "ok"})

    async def readyz(self) -> Health:
        checks = {"configuration": "ok", "ledger": self.ledger_error or "ok", **self.missing}
        return Health(all(said == "ok" for said in checks.values()), checks)

    async def rotations(self) -> Sequence[RotationView]:
        await self._ledger()
        return self.views

    async def connections(self) -> Sequence[ConnectionView]:
        await self._ledger()
        return self.held

    async def outcomes(self, target: str, connection: str) -> Sequence[Outcome]:
        await self._ledger()
        return [o for o in self.history if (o.target, o.connection) == (target, connection)]

    async def sources(self) -> Sequence[SourceView]:
        return self.read

    async def leases(self) -> Sequence[LeaseView]:
        await self._ledger()
        return self.lent

    def leader(self) -> str | None:
        return self.follows

    def progress(self, run_id: str) -> ProgressView | None:
        return self.under_way.get(run_id)

    async def runs(self, rotation: str | None, limit: int) -> Sequence[Run]:
        await self._ledger()
        found = [run for run, _ in self.known.values() if rotation in {None, run.rotation}]
        return found[:limit]

    async def run(self, run_id: str) -> tuple[Run, tuple[Outcome, ...]] | None:
        await self._ledger()
        return self.known.get(run_id)

    async def start(self, rotation: str) -> Run:
        if rotation not in {view.name for view in self.views}:
            raise NoSuchRotation(rotation)
        if rotation in self._running:
            raise RunInProgress(rotation, self._running[rotation].id)
        run = self._running[rotation] = Run(f"run-of-{rotation}", rotation, "http", self.now)
        return run

    @property
    def view(self) -> DaemonView:
        return DaemonView(self, self, self, self, self.leader)

    def finish(self, rotation: str) -> None:
        del self._running[rotation]


@asynccontextmanager
async def web(
    state: HeldState,
    scrape: Scrape | None = None,
    token: Token | None = None,
    **options: float,
) -> AsyncIterator[httpx.AsyncClient]:
    """The real server on a free port of loopback, and a client of it."""
    app = create_app(state.view, scrape or Metrics().scrape, token)
    async with (
        serving(app, "127.0.0.1", 0, **options) as address,
        httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client,
    ):
        yield client
