"""Counters and limiters, by property."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cbspec.profile.target import Rate
from cbspec_simulator.base.limits import Account, RateLimiters, TokenBucket, UsageCounters


def test_an_account_gives_as_many_as_its_limit() -> None:
    ledger, account = UsageCounters(), Account("tunnels", "a")
    assert [ledger.take(account, 2) for _ in range(3)] == [True, True, False]
    assert ledger.used(account) == 2
    ledger.give(account)
    assert ledger.take(account, 2)


def test_no_limit_is_any_number_and_a_limit_of_none_left_is_none() -> None:
    ledger, account = UsageCounters(), Account("tunnels", "a")
    assert not ledger.take(account, 0)
    assert all(ledger.take(account, None) for _ in range(1000))


def test_accounts_are_apart_by_name_and_by_holder() -> None:
    ledger = UsageCounters()
    assert ledger.take(Account("tunnels", "a"), 1)
    assert ledger.take(Account("tunnels", "b"), 1)
    assert ledger.take(Account("connections", "a"), 1)


@given(st.lists(st.sampled_from("ab"), max_size=30))
def test_what_was_taken_and_given_leaves_nothing(holders: list[str]) -> None:
    ledger = UsageCounters()
    accounts = [Account("tunnels", holder) for holder in holders]
    for account in accounts:
        ledger.take(account, None)
    assert bool(ledger) == bool(holders)
    for account in reversed(accounts):
        ledger.give(account)
    assert not ledger


@given(
    st.integers(1, 20),
    st.floats(0.5, 100, allow_nan=False),
    st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=50),
)
def test_a_bucket_never_allows_more_than_burst_and_rate(burst: int, per_second: float, pauses: list[float]) -> None:
    bucket, now, allowed = TokenBucket(Rate(per_second, burst)), 0.0, 0
    for pause in pauses:
        now += pause
        allowed += bucket.allow(now)
        assert allowed <= burst + now * per_second + 1e-6


@given(st.integers(1, 20), st.floats(0.5, 100, allow_nan=False), st.integers(1, 50))
def test_a_bucket_allows_its_burst_and_then_its_rate(burst: int, per_second: float, more: int) -> None:
    bucket = TokenBucket(Rate(per_second, burst))
    assert all(bucket.allow(7.0) for _ in range(burst))
    assert not bucket.allow(7.0)
    step = 1.001 / per_second
    assert all(bucket.allow(7.0 + step * number) for number in range(1, more + 1))


def test_a_clock_that_stands_or_goes_back_fills_nothing() -> None:
    bucket = TokenBucket(Rate(10.0, 1))
    assert bucket.allow(5.0)
    assert not bucket.allow(5.0)
    assert not bucket.allow(1.0)
    assert not bucket.allow(5.05)
    assert bucket.allow(5.2)


def test_limiters_are_apart_by_holder() -> None:
    limiters, rate = RateLimiters(TokenBucket), Rate(1.0, 1)
    assert limiters.allow("a", rate, 0.0)
    assert limiters.allow("b", rate, 0.0)
    assert not limiters.allow("a", rate, 0.0)


def test_limiters_at_rest_are_forgotten_and_busy_ones_are_not() -> None:
    limiters, rate = RateLimiters(TokenBucket), Rate(1.0, 1)
    for holder in range(10_000):
        limiters.allow(holder, rate, float(holder))
    assert len(limiters._limiters) <= 4097
    assert not limiters.allow(9_999, rate, 9_999.0)
