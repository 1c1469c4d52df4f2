"""The time that a run takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.runner.estimate import RunProgress, estimate, in_words

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


def test_what_is_left_is_said_now_and_then() -> None:
    times = iter([0.0, 10.0, 30.0, 50.0, 60.0, 90.0])
    progress = RunProgress(5, lambda: next(times))
    said = [progress.ended() for _ in range(5)]
    assert said == ["", "2 of 5 cases, about 45 s left", "", "4 of 5 cases, about 15 s left", ""]
