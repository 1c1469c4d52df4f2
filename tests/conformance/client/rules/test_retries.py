"""Delays between attempts: growth and end."""

from __future__ import annotations

import itertools
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.client.rules.retries import has_no_end, not_growing


def attempts(gaps: list[float]) -> list[float]:
    """Return the times of attempts with these delays between them."""
    return list(itertools.accumulate(gaps, initial=1.0))


@given(st.floats(0.05, 2.0), st.floats(1.6, 3.0), st.integers(3, 9), st.floats(0.0, 0.2), st.integers(0, 1000))
def test_exponential_delays_grow(base: float, factor: float, count: int, jitter: float, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - no secret
    gaps = [base * factor**number * random.uniform(1 - jitter, 1 + jitter) for number in range(count)]
    assert not_growing(attempts(gaps)) == ""


@given(st.floats(0.05, 0.5), st.integers(2, 6), st.integers(1, 5))
def test_delays_may_reach_a_cap(base: float, doublings: int, capped: int) -> None:
    gaps = [base * 2**number for number in range(doublings)]
    assert not_growing(attempts([*gaps, *[gaps[-1]] * min(capped, doublings + 2)])) == ""


@given(st.floats(0.02, 5.0), st.integers(3, 20), st.floats(0.0, 0.06), st.integers(0, 1000))
def test_constant_delays_do_not(base: float, count: int, jitter: float, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - no secret
    gaps = [base * random.uniform(1 - jitter, 1 + jitter) for _ in range(count)]
    assert not_growing(attempts(gaps)) != ""


@given(st.lists(st.floats(0.01, 10.0), max_size=2))
def test_two_delays_say_nothing(gaps: list[float]) -> None:
    assert not_growing(attempts(gaps)) == ""


def test_attempts_without_growth_or_with_many_of_them_have_no_end() -> None:
    assert has_no_end(attempts([0.2, 0.4, 0.8, 1.6, 3.2])) == ""
    assert "6 attempts" in has_no_end(attempts([0.2, 0.4, 0.5, 0.5, 0.5]))
    assert "13 attempts" in has_no_end(attempts([0.1 * 1.5**number for number in range(12)]))
