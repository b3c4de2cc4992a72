"""Looking at connections and sources between runs, without changing anything."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from rotator.backoff import Backoff
from rotator.daemon.runner import Runner
from rotator.daemon.snapshots import Snapshots
from rotator.errors import RotatorError
from rotator.ports import RunContext
from rotator.remedy import remedy
from rotator.rotation.probes import examine_leased, look, probe_secrets

log = logging.getLogger(__name__)

_PAUSES = Backoff(first=1.0, longest=60.0)
"""Between tries to reach every target and source."""


@dataclass(frozen=True, slots=True)
class PhaseLook:
    """Sees in which phase connections are: a key may be revoked between two runs."""

    snapshots: Snapshots
    runner: Runner

    async def look(self, rotation: str) -> None:
        if self.runner.under_way(rotation) or not self.runner.leads:
            return
        try:
            async with self.snapshots.borrow() as context:
                await look(context, rotation)
        except RotatorError as error:
            log.warning("look.failed", extra={"rotation": rotation} | error.fields())


async def first_contact(snapshots: Snapshots, stop: asyncio.Event) -> None:
    """Reach every target and source once, so that readyz knows before the first tick.

    It is tried again, at growing intervals, until it works.
    """
    tries = 0
    while not stop.is_set():
        tries += 1
        async with snapshots.borrow() as context:
            names = list(context.rules)
            looks = (_reach(context, name) for name in names)
            answers = await asyncio.gather(*looks, return_exceptions=True)
            clock = context.clock
        for name, trouble in zip(names, answers, strict=True):
            if isinstance(trouble, RotatorError):
                place = {"rotation": name, "todo": remedy(trouble.cause, name)}
                log.warning("contact.failed", extra=place | trouble.fields())
            elif trouble is not None:
                raise trouble
        if not any(answers):
            log.info("daemon.ready")
            return
        await clock.sleep(_PAUSES.pause(tries))


async def _reach(context: RunContext, rotation: str) -> None:
    """Every target and source of a rotation, without making a credential."""
    await probe_secrets(context, rotation)
    for finding in await examine_leased(context, rotation):
        if finding.problem:
            source = context.rules[rotation].secret.source
            place = {"rotation": rotation, "source": source, "what": finding.what}
            log.warning("permission.missing", extra=place | {"reason": finding.problem})
