"""One update, sent until it is surely in place or surely not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from rotator.clock import either
from rotator.errors import (
    TargetError,
    TargetRefused,
    TargetUnavailable,
    UpdateConflict,
    UpdateUncertain,
    UpdateWithheld,
)
from rotator.model.connection import Connection
from rotator.model.credential import Credential
from rotator.model.record import Record
from rotator.rotation.context import RunContext

MOST_SENDINGS = 7
"""Reads may lag behind writes, so one look that shows the old version proves little."""
FIRST_LOOK_AFTER = 0.1
"""Seconds; doubles with every further look."""


@dataclass(frozen=True, slots=True)
class Put:
    """In place, as far as an answer can tell."""

    record: Record
    before: Connection
    version: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Not in place: a clear no."""

    record: Record
    error: TargetError


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody knows: no answer that can be trusted, however often it was asked."""

    record: Record
    error: TargetError


@dataclass(frozen=True, slots=True)
class Unsent:
    """It never left, so nothing has changed."""


async def send(
    context: RunContext,
    record: Record,
    connection: Connection,
    credential: Credential,
    stop: asyncio.Event,
    *,
    sent_before: bool = False,
) -> Put | Refused | Lost | Unsent | None:
    """None where `stop` was set before it was clear; `record`, the intent, stays in the ledger.

    An answer that is lost or strange says nothing: the list does. Where the version moved, the
    update arrived; where it did not, it is sent again. After a conflict it is sent again with the
    version that is there now: the credential is replaced whole, so whoever wrote in between loses.
    """
    target = context.targets[connection.target]
    pause = FIRST_LOOK_AFTER
    error: TargetError
    for _ in range(MOST_SENDINGS):
        try:
            version = await target.update(connection, credential)
        except UpdateWithheld:
            return None if sent_before else Unsent()
        except (TargetUnavailable, TargetRefused) as no:
            return Lost(record, no) if sent_before else Refused(record, no)
        except UpdateUncertain as trouble:
            sent_before, error = True, trouble
        except UpdateConflict as trouble:
            error = trouble
        else:
            return Put(record, connection, version)
        await either(context.clock.sleep(pause), stop)
        if stop.is_set():
            return None
        pause *= 2
        try:
            seen = (await target.look([connection.name])).get(connection.name)
        except TargetError:
            continue
        if seen is None or not seen.moved_since(connection):
            continue
        if isinstance(error, UpdateUncertain):
            return Put(record, connection, seen.resource_version)
        connection = seen
        record = replace(record, version_before=seen.resource_version)
        await context.ledger.intend(record)
    return Lost(record, error)
