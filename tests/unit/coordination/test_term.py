"""A term ends by its clock, whoever finds time to say so."""

from __future__ import annotations

from rotator.clock import SystemClock
from rotator.coordination.term import Term
from tests.support.leasing import MovedClock


async def test_it_is_over_at_the_first_look_after_a_long_stop() -> None:
    clock = MovedClock()
    term = Term(clock, clock.monotonic() + 10)
    assert not term.is_set()
    clock.ahead = 10
    assert term.is_set(), "no timer has run yet"


async def test_one_that_is_over_is_not_extended() -> None:
    clock = MovedClock()
    term = Term(clock, clock.monotonic() + 10)
    clock.ahead = 11
    term.extend(clock.monotonic() + 10)
    assert term.is_set()


async def test_it_goes_on_for_as_long_as_it_is_extended() -> None:
    clock = MovedClock()
    term = Term(clock, clock.monotonic() + 10)
    for _ in range(5):
        clock.ahead += 9
        term.extend(clock.monotonic() + 10)
        assert not term.is_set()


async def test_those_who_wait_for_its_end_wake_in_time() -> None:
    clock = SystemClock()
    started = clock.monotonic()
    term = Term(clock, started + 0.05)
    await term.wait()
    assert clock.monotonic() - started < 1
    assert term.is_set()


async def test_without_an_end_it_ends_when_it_is_set() -> None:
    term = Term(SystemClock())
    assert not term.is_set()
    term.set()
    await term.wait()
    assert term.is_set()
