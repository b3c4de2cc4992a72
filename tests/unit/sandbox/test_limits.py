from __future__ import annotations

from rotator.sandbox.limits import RateLimiter
from rotator.sandbox.settings import RateLimit


def test_lets_so_many_pass_in_each_window() -> None:
    limiter, limit = RateLimiter(), RateLimit(requests=3)
    allowed = [limiter.take(limit, now).allowed for now in (5.0, 5.1, 5.2, 5.3, 5.9, 6.0)]
    assert allowed == [True, True, True, False, False, True]


def test_shows_what_remains_and_when_the_window_ends() -> None:
    limiter, limit = RateLimiter(), RateLimit(requests=2, window=10)
    first, second, third = (limiter.take(limit, now) for now in (41.5, 42.5, 43.5))
    assert [quota.remaining for quota in (first, second, third)] == [1, 0, 0]
    assert first.reset == 8.5
    assert dict(third.headers()) == {
        b"x-ratelimit-limit": b"2",
        b"x-ratelimit-remaining": b"0",
        b"x-ratelimit-reset": b"7",
    }
    assert third.retry_after() == ((b"retry-after", b"7"),)


def test_may_keep_silent() -> None:
    quota = RateLimiter().take(RateLimit(requests=0, retry_after=False, headers=False), 1.0)
    assert not quota.allowed
    assert quota.headers() == quota.retry_after() == ()
