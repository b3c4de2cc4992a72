"""What the ledger knows from before this process, for metrics and notifications."""

from __future__ import annotations

from rotator.config.models import Config
from rotator.notify.decisions import Told, lasting
from rotator.observe.metrics import Metrics
from rotator.ports import LedgerReader

LOOKED_BACK = 500
"""Runs of a rotation, for the first of the failures that last."""


async def restore_metrics(metrics: Metrics, ledger: LedgerReader, config: Config) -> None:
    last = [await ledger.last_run(name) for name in config.rotations]
    good = [await ledger.last_success(name) for name in config.rotations]
    metrics.restore(await ledger.all_records(), filter(None, last), filter(None, good))


async def told_before(ledger: LedgerReader, config: Config) -> dict[str, Told]:
    """What the process before this one will have told of each rotation that fails."""
    told = {}
    for rotation in config.rotations if config.notify else ():
        found = lasting(await ledger.runs(rotation, limit=LOOKED_BACK))
        if found is not None and (run := await ledger.run(found.last.id)) is not None:
            told[rotation] = found.told(run[1])
    return told
