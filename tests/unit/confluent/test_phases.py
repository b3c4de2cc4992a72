"""What the phases of Confluent Cloud say of a credential."""

from __future__ import annotations

import pytest

from rotator.confluent.phases import condition
from rotator.model.connection import Condition


@pytest.mark.parametrize(
    ("phase", "says"),
    [
        ("READY", Condition.USABLE),
        ("ACTIVE", Condition.USABLE),
        ("INVALID_AUTH", Condition.REJECTED),
        ("UNREACHABLE", Condition.UNREACHABLE),
        ("PENDING", Condition.UNSETTLED),
        ("ready", Condition.UNSETTLED),
        ("", Condition.UNSETTLED),
        ("NEXT_YEARS", Condition.UNSETTLED),
    ],
)
def test_only_known_phases_say_anything(phase: str, says: Condition) -> None:
    assert condition(phase) is says
