"""Properties that cost a network exchange each: found, made small, bounded, and the same in every run."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from conformance.errors import Broken, Inconclusive, NotExercised
from conformance.explore import SHRINKING, explore
from conformance.outcomes import TimeUp

NUMBERS = st.integers(0, 10_000)


def test_what_never_fails_is_tried_as_often_as_asked() -> None:
    seen: list[int] = []
    explore(seen.append, NUMBERS, 17)
    assert len(seen) == 17


def test_few_values_are_tried_once_each() -> None:
    seen: list[bool] = []
    explore(seen.append, st.booleans(), 17)
    assert sorted(seen) == [False, True]


def test_the_same_values_come_in_every_run() -> None:
    runs: list[list[int]] = [[], []]
    for run in runs:
        explore(run.append, NUMBERS, 20)
    assert runs[0] == runs[1]


def test_a_failure_is_made_small_and_told_as_it_was_raised() -> None:
    def check(value: int) -> None:
        if value > 100:
            raise Broken("at most 100", str(value))

    with pytest.raises(Broken) as broken:
        explore(check, NUMBERS, 50)
    assert (broken.value.expected, broken.value.seen) == ("at most 100", "101")
    assert broken.value.__cause__ is None


@pytest.mark.parametrize("error", [Inconclusive("slow"), NotExercised("give a key"), TimeUp()])
def test_what_a_check_raised_is_raised(error: BaseException) -> None:
    def check(_: int) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        explore(check, NUMBERS, 5)
    assert raised.value is error


def test_making_small_ends_in_time_with_the_smallest_so_far() -> None:
    now = 0.0
    failed: list[int] = []

    def check(value: int) -> None:
        nonlocal now
        if value > 100:
            now += SHRINKING / 4  # each failure costs as much as a time-out
            failed.append(value)
            raise Broken("at most 100", str(value))

    with pytest.raises(Broken) as broken:
        explore(check, NUMBERS, 50, clock=lambda: now)
    assert len(failed) <= 6
    assert int(broken.value.seen) in failed


def test_a_failure_is_not_tried_twice() -> None:
    tried: list[int] = []

    def check(value: int) -> None:
        tried.append(value)
        if value > 100:
            raise Broken("at most 100", str(value))

    with pytest.raises(Broken):
        explore(check, NUMBERS, 50)
    failed = [value for value in tried if value > 100]
    assert len(failed) == len(set(failed))


def test_a_relay_that_fails_by_chance_is_reported_all_the_same() -> None:
    calls = 0

    def check(value: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Broken("an answer", f"nothing for {value}")

    with pytest.raises(Broken, match="nothing for"):
        explore(check, NUMBERS, 20)
