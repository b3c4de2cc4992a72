from __future__ import annotations

from rotator.sandbox.timeline import Timeline


def test_shows_what_was_written_from_each_moment_on() -> None:
    timeline: Timeline[str] = Timeline()
    timeline.write(10, (10, "pending"), (12, "ready"), lag=0)
    assert [timeline.at(when) for when in (9.9, 10, 11.9, 12, 99)] == [
        None,
        "pending",
        "pending",
        "ready",
        "ready",
    ]


def test_a_write_replaces_what_was_to_come() -> None:
    timeline: Timeline[str] = Timeline()
    timeline.write(10, (10, "pending"), (20, "ready"), lag=100)
    timeline.write(15, (15, "deleting"), (16, None), lag=100)
    assert [timeline.at(when) for when in (14, 15, 16, 25)] == [
        "pending",
        "deleting",
        None,
        None,
    ]


def test_forgets_only_what_no_lagging_read_sees() -> None:
    timeline: Timeline[int] = Timeline()
    for second in range(100):
        timeline.write(second, (second, second), lag=5)
    assert [timeline.at(when) for when in range(94, 100)] == list(range(94, 100))
    assert timeline.at(93) is None
