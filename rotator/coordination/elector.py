"""The loop that keeps a process in the election, for as long as it runs."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rotator.clock import either
from rotator.config.coordination import LeaseCoordination
from rotator.coordination.api import LeaseAddress, LeaseApi, locate
from rotator.coordination.election import Election, ReadLease, Wait, WriteLease
from rotator.coordination.lease import Lease
from rotator.coordination.term import Term
from rotator.errors import (
    CoordinationConflict,
    CoordinationDenied,
    CoordinationError,
    CoordinationUnavailable,
)
from rotator.ports import Clock

log = logging.getLogger(__name__)

_RELEASE = 0.6
"""Seconds for the last renewal and for giving the Lease back. If they don't suffice, the next
leader takes over later."""


@dataclass(slots=True)
class Elector:
    """One process in the election."""

    api: LeaseApi
    election: Election
    clock: Clock
    terms: asyncio.Queue[Term] = field(default_factory=asyncio.Queue)
    """One term for each time that this process leads."""
    trouble: CoordinationError | None = None
    """Why the Lease can't be read or written now."""
    reached: bool = False
    """Whether the API server has ever said who leads."""
    turned_at: float = 0.0
    """When the loop last turned, by the monotonic clock."""
    _term: Term | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _followed: str = ""
    _resigned: bool = False

    @property
    def holder(self) -> str:
        """The present leader; empty if this process knows of none."""
        return self.election.lease.spec.holder if self.election.lease else ""

    @property
    def taken_over(self) -> bool:
        """Whether another process led before this one."""
        return self.election.lease is not None and self.election.lease.spec.transitions > 0

    @property
    def overdue(self) -> float:
        """Seconds without a turn of the loop after which it counts as hung."""
        return 2.0 * self.election.duration + 30.0

    async def run(self) -> None:
        """Takes part until `stop`, whatever the API server does."""
        while not self._stopping.is_set():
            now = self.turned_at = self.clock.monotonic()
            step = self.election.step(now, self.clock.now())
            self._publish(now)
            if isinstance(step, Wait):
                await either(self.clock.sleep(step.seconds), self._stopping)
            else:
                await self._ask(step)

    async def _ask(self, step: ReadLease | WriteLease) -> None:
        election, deadline = self.election, self.election.request_deadline
        try:
            if isinstance(step, ReadLease):
                lease = await self.api.get(deadline)
            else:
                lease = await self.api.write(step, deadline)
        except CoordinationConflict:
            election.conflicted(self.clock.monotonic())
        except CoordinationDenied as denied:
            self._troubled(denied)
            election.doubt(self.clock.monotonic(), election.duration / 3)
        except CoordinationUnavailable as trouble:
            self._troubled(trouble)
            # A leader that waits for too long stops leading.
            after = trouble.after
            if after is not None and election.held:
                after = min(after, election.duration / 3)
            election.doubt(self.clock.monotonic(), after)
        else:
            election.seen(lease, self.clock.monotonic())
            self._answered()

    def _troubled(self, error: CoordinationError) -> None:
        """Logs a problem once, instead of every few seconds."""
        if str(self.trouble) != str(error):
            fields = {"lease": str(self.api.address), "reason": str(error)}
            log.warning("coordination.failed", extra=fields)
        self.trouble = error

    def _answered(self) -> None:
        if self.trouble is not None:
            log.info("coordination.answers", extra={"lease": str(self.api.address)})
        self.trouble, self.reached = None, True
        if self._followed != self.holder and not self.election.held:
            self._followed = self.holder
            self._follows(self.election.lease)

    def _follows(self, lease: Lease | None) -> None:
        """Another process holds the Lease now, or none does."""
        if lease is None or not lease.spec.holder:
            return
        fields = {"lease": str(self.api.address), "holder": lease.spec.holder}
        log.info("leader.follows", extra=fields)
        if not lease.ours:
            reason = {"reason": stranger(self.api.address, lease.spec.holder)}
            log.warning("coordination.stranger", extra=fields | reason)

    def resign(self) -> None:
        """Stops leading but keeps the Lease, so that work in progress ends before another process
        begins."""
        self._resigned = True
        if self._term is not None:
            self._term.set()

    def _publish(self, now: float) -> None:
        if self._resigned:
            return
        leads = self.election.leads(now)
        if leads and self._term is not None and not self._term.is_set():
            self._term.extend(self.election.until)
            return
        if self._term is not None:
            self._deposed(self._term)
        if leads:
            self._followed = ""
            self._term = Term(self.clock, self.election.until)
            log.info(
                "leader.elected", extra={"lease": str(self.api.address), "holder": self.holder}
            )
            self.terms.put_nowait(self._term)

    def _deposed(self, term: Term) -> None:
        term.set()
        self._term = None
        reason = str(self.trouble or "it was not renewed in time")
        if not self.election.held:
            reason = f"{self.holder} holds it now" if self.holder else "it was deleted"
        fields = {"lease": str(self.api.address), "reason": reason}
        log.warning("leader.deposed", extra=fields)

    async def release(self) -> None:
        """Releases the Lease after all work has ended, so that another process takes over at
        once."""
        write = self.election.release(self.clock.now())
        if write is None:
            return
        try:
            await self.api.write(write, _RELEASE)
        except CoordinationError as error:
            fields = {"lease": str(self.api.address), "reason": str(error)}
            log.warning("leader.not_released", extra=fields)
            return
        log.info("leader.released", extra={"lease": str(self.api.address)})

    def stop(self) -> None:
        self._stopping.set()


def stranger(address: LeaseAddress, holder: str) -> str:
    """Explains that another kind of program seems to use this Lease."""
    return (
        f"{address} is held by {holder}, and no rotator made it: if it belongs to something else, "
        "set another coordination.name"
    )


def elector(config: LeaseCoordination, clock: Clock) -> Elector:
    """Make an elector. Raises CoordinationDenied if something that a pod has is missing."""
    api = LeaseApi(locate(config))
    identity = config.identity or socket.gethostname()
    return Elector(api, Election(identity, int(config.lease_duration.total_seconds())), clock)


@asynccontextmanager
async def standing(candidate: Elector) -> AsyncIterator[asyncio.Task[None]]:
    """Takes part in the election, and gives the Lease back at the end. Only a crash ends the task
    early."""
    loop = asyncio.create_task(candidate.run(), name="election")
    try:
        yield loop
    finally:
        candidate.stop()
        _, late = await asyncio.wait({loop}, timeout=_RELEASE)
        if late:
            loop.cancel()
            await asyncio.wait({loop})
            reason = "the last renewal was not answered in time"
            fields = {"lease": str(candidate.api.address), "reason": reason}
            log.warning("leader.not_released", extra=fields)
        else:
            await candidate.release()
        await candidate.api.aclose()
