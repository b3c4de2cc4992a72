"""Confluent's phases, and what each says of a credential."""

from __future__ import annotations

from rotator.model.connection import Condition

_CONDITIONS = {
    # READY is the word of the documentation, ACTIVE that of the contract's enumeration.
    "READY": Condition.USABLE,
    "ACTIVE": Condition.USABLE,
    "INVALID_AUTH": Condition.REJECTED,
    "UNREACHABLE": Condition.UNREACHABLE,
}


def condition(phase: str) -> Condition:
    """What a phase means. An unknown phase is UNSETTLED, since the set of phases is open."""
    return _CONDITIONS.get(phase, Condition.UNSETTLED)
