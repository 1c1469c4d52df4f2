"""Usage counters, and the limiters of many holders; `variations/test_rates.py` has the token bucket."""

from __future__ import annotations

from cbspec.profile.target import Rate
from cbspec_simulator.base.limits import Account, RateLimiters, TokenBucket, UsageCounters


def test_accounts_have_limits_of_their_own_and_take_no_memory_without_units() -> None:
    counters = UsageCounters()
    accounts = [Account("tunnels", "a"), Account("tunnels", "b"), Account("connections", "a")]
    for account in accounts:
        assert [counters.take(account, 2) for _ in range(3)] == [True, True, False]
        assert counters.used(account) == 2
    counters.give(accounts[0])
    assert counters.take(accounts[0], 2)
    assert not counters.take(Account("tunnels", "c"), 0)
    assert all(counters.take(Account("tunnels", "d"), None) for _ in range(1000))
    for account in [*accounts * 2, *[Account("tunnels", "d")] * 1000]:
        assert counters
        counters.give(account)
    assert not counters


def test_a_bucket_allows_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(Rate(2.0, 3))
    assert [bucket.allow(7.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.allow(1.0), "the clock went back"
    assert [bucket.allow(now) for now in (7.4, 7.5, 7.9, 8.0)] == [False, True, False, True]


def test_each_holder_has_a_limiter_and_limiters_at_rest_are_dropped() -> None:
    limiters, rate = RateLimiters(TokenBucket), Rate(1.0, 1)
    assert [limiters.allow(holder, rate, 0.0) for holder in ("a", "b", "a")] == [True, True, False]
    for holder in range(10_000):
        limiters.allow(holder, rate, float(holder))
    assert len(limiters._limiters) <= 4097
    assert not limiters.allow(9_999, rate, 9_999.0)
