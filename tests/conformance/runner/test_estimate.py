"""The time that a run takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.runner.estimate import estimate, in_words, left

TRIPS = st.floats(0.0, 1.0)
COUNTS = st.integers(1, 1000)


@given(COUNTS, TRIPS, st.integers(1, 64))
def test_more_cases_and_a_longer_way_take_longer_and_more_at_once_less(cases: int, trip: float, jobs: int) -> None:
    seconds = estimate(cases, trip, jobs)
    assert estimate(cases + 1, trip, jobs) > seconds
    assert estimate(cases, trip + 0.01, jobs) > seconds
    assert estimate(cases, trip, jobs + 1) < seconds


def test_a_time_is_rough() -> None:
    assert [in_words(seconds) for seconds in (0.0, 38.0, 99.0, 170.0)] == ["5 s", "40 s", "100 s", "3 min"]


@given(st.floats(0.1, 100.0), st.integers(1, 1000), st.floats(0.0, 100.0))
def test_what_is_left_follows_the_estimate_first_and_the_pace_last(pace: float, cases: int, expected: float) -> None:
    assert left(0.0, 0, cases, expected) == expected
    assert left(pace * cases, cases, cases, expected) == 0
    assert 0 <= left(pace * cases / 2, cases, 2 * cases, expected) <= max(pace * cases / 2, expected)
