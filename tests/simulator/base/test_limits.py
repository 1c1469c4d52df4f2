"""Usage counters and rate limiters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cbspec.profile.target import Rate
from cbspec_simulator.base.limits import Account, RateLimiters, TokenBucket, UsageCounters


def test_accounts_have_limits_of_their_own() -> None:
    counters = UsageCounters()
    accounts = [Account("tunnels", "a"), Account("tunnels", "b"), Account("connections", "a")]
    for account in accounts:
        assert [counters.take(account, 2) for _ in range(3)] == [True, True, False]
        assert counters.used(account) == 2
    counters.give(accounts[0])
    assert counters.take(accounts[0], 2)
    assert not counters.take(Account("tunnels", "c"), 0)
    assert all(counters.take(Account("tunnels", "d"), None) for _ in range(1000))


@given(st.lists(st.sampled_from("ab"), max_size=30))
def test_counters_without_units_are_dropped(holders: list[str]) -> None:
    counters = UsageCounters()
    accounts = [Account("tunnels", holder) for holder in holders]
    for account in accounts:
        counters.take(account, None)
    assert bool(counters) == bool(holders)
    for account in reversed(accounts):
        counters.give(account)
    assert not counters


@given(st.integers(1, 20), st.floats(0.5, 100, allow_nan=False), st.integers(1, 50))
def test_a_bucket_allows_its_burst_and_then_its_rate(burst: int, per_second: float, more: int) -> None:
    bucket = TokenBucket(Rate(per_second, burst))
    assert all(bucket.allow(7.0) for _ in range(burst))
    assert not bucket.allow(7.0)
    assert not bucket.allow(1.0), "the clock went back"
    step = 1.001 / per_second
    assert all(bucket.allow(7.0 + step * number) for number in range(1, more + 1))
    assert not bucket.allow(7.0 + step * more), "a full interval has not passed"


def test_each_holder_has_a_limiter_and_limiters_at_rest_are_dropped() -> None:
    limiters, rate = RateLimiters(TokenBucket), Rate(1.0, 1)
    assert [limiters.allow(holder, rate, 0.0) for holder in ("a", "b", "a")] == [True, True, False]
    for holder in range(10_000):
        limiters.allow(holder, rate, float(holder))
    assert len(limiters._limiters) <= 4097
    assert not limiters.allow(9_999, rate, 9_999.0)
