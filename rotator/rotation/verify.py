"""READY that belongs to this write: the judgement of one look, apart from the looking."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from rotator.errors import Cause
from rotator.model.connection import Connection

REFUSED_PHASE = "INVALID_AUTH"
MISSES_UNTIL_GONE = 2
"""A page can shift while it is read, so a connection may be on none of them once."""


class State(Enum):
    PENDING = auto()
    VERIFIED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Judgement:
    state: State
    reason: str
    visible: bool = True
    """Whether the update shows at all yet; False with a state of PENDING only."""
    cause: Cause | None = None
    """Of a state of FAILED."""


def judge(
    before: Connection,
    now: Connection | None,
    *,
    misses: int,
    waited: float,
    timeout: float,
) -> Judgement:
    """One look at a connection after its update.

    `before` is the connection as it was when the update left; `misses` counts the looks in a row,
    this one included, that didn't find it; `waited` and `timeout` are seconds.

    A phase counts only where the resource version moved since: a status has no observed
    generation, and a read right after the update may still show the old version with the old
    READY. `detail` is shown, never judged by.
    """
    visible = True
    if now is None:
        if misses >= MISSES_UNTIL_GONE:
            return Judgement(State.FAILED, "the connection is gone", cause=Cause.OTHER)
        said = "the connection was not listed"
    elif not now.moved_since(before):
        visible = False
        said = f"the update is not visible: still at resource version {before.resource_version}"
    elif now.usable:
        return Judgement(State.VERIFIED, f"{now.phase} at resource version {now.resource_version}")
    elif now.phase == REFUSED_PHASE:
        return Judgement(State.FAILED, _phase(now), cause=Cause.REJECTED)
    else:
        said = _phase(now)
    if waited >= timeout:
        return Judgement(State.FAILED, f"{said}, after {timeout:g} s", cause=Cause.NOT_READY)
    return Judgement(State.PENDING, said, visible)


def _phase(now: Connection) -> str:
    phase, detail = _one_line(now.phase), _one_line(now.detail)
    return f"{phase} ({detail})" if detail else phase


def _one_line(detail: str, most: int = 200) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in detail).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def pauses(interval: float) -> tuple[float, ...]:
    """Seconds between the first looks, after which every pause is `interval`.

    Many endpoints settle within a moment, and a look costs one request for 100 connections, so
    the first ones come sooner.
    """
    return (interval / 8, interval / 4, interval / 2)


def resend_after(interval: float, timeout: float) -> float:
    """Seconds after which an update that doesn't show is taken for one that never arrived.

    Longer than reads are likely to lag behind writes; sending it once more does no harm.
    """
    return min(max(3.0, 3 * interval), timeout / 4)
