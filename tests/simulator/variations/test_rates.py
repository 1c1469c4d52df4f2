"""The rate limiters of the variants."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cbspec.profile.target import Rate
from cbspec_simulator.base.limits import RateLimiter, TokenBucket
from cbspec_simulator.variations.changes import rates


@pytest.mark.parametrize(
    "make", [TokenBucket, rates.FixedWindow, rates.SlidingLog, rates.SlidingCounter, rates.LeakyBucket]
)
@settings(deadline=None)
@given(
    rate=st.builds(Rate, st.sampled_from([0.5, 1.0, 10.0, 50.0]), st.integers(1, 100)),
    start=st.floats(0, 1e6),
)
@example(rate=Rate(10.0, 18), start=450.0)  # the start of a window, which rounding puts into the window before
def test_each_rate_limiter_keeps_the_rate(make: type[RateLimiter], rate: Rate, start: float) -> None:
    slow, fast = make(rate), make(rate)  # type: ignore[call-arg]
    interval = 2 / rate.per_second
    assert all(slow.allow(start + number * interval) for number in range(3 * rate.burst))
    most = 3 * int(rate.burst + rate.per_second) + 10
    assert not all(fast.allow(start) for _ in range(most))
    rest = start + 3 * max(1.0, rate.burst / rate.per_second)
    assert fast.rested(rest)
    assert fast.allow(rest)
