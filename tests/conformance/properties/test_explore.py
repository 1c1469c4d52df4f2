"""Properties that cost a network exchange each: found, made small, bounded, and the same in every run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised, RateLimited
from cbspec_conformance.properties.effort import DEFAULT, Effort, EffortPlan
from cbspec_conformance.properties.explore import FEWEST, SHRINKING, Explorer
from cbspec_conformance.properties.kept import Kept
from cbspec_conformance.properties.progress import Progress
from cbspec_conformance.runner.outcomes import TimeUp

NUMBERS = st.integers(0, 10_000)
FOREVER = Effort("forever", 20, 20, None)


def explore(
    check: Callable[[Any], None],
    values: st.SearchStrategy[Any],
    examples: int,
    *,
    seed: int = 0,
    effort: Effort = DEFAULT,
    **parts: Any,  # noqa: ANN401 - Explorer's own
) -> None:
    """Try a property that stands alone."""
    Explorer(EffortPlan(effort, examples, seed), "a case", **parts).explore(values, check)


def over_100(value: int) -> None:
    """Fail for more than a hundred."""
    if value > 100:
        raise Broken("at most 100", str(value))


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


def test_another_seed_and_another_case_have_other_values() -> None:
    runs: list[list[int]] = [[], [], []]
    explore(runs[0].append, NUMBERS, 20)
    explore(runs[1].append, NUMBERS, 20, seed=1)
    Explorer(EffortPlan(DEFAULT, 20, 0), "another case").explore(NUMBERS, runs[2].append)
    assert len({tuple(run) for run in runs}) == 3


def test_a_share_takes_fewer_examples() -> None:
    seen: list[int] = []
    Explorer(EffortPlan(DEFAULT, 20, 0), "a case").explore(NUMBERS, seen.append, share=4)
    assert len(seen) == 5


def test_a_failure_is_kept_and_tried_first(tmp_path: Path) -> None:
    for expected in ("found", "kept"):
        tried: list[int] = []

        def check(value: int, tried: list[int] = tried) -> None:
            tried.append(value)
            over_100(value)

        with pytest.raises(Broken) as broken:
            explore(check, NUMBERS, 50, kept=Kept(tmp_path))
        assert broken.value.seen == "101"
        assert (tried[0] == 101) == (expected == "kept")
    assert tried == [101]


def test_a_kept_failure_that_is_one_no_more_is_dropped(tmp_path: Path) -> None:
    with pytest.raises(Broken):
        explore(over_100, NUMBERS, 50, kept=Kept(tmp_path))
    runs: list[list[int]] = [[], []]
    for run in runs:
        explore(run.append, NUMBERS, 20, kept=Kept(tmp_path))
    fresh: list[int] = []
    explore(fresh.append, NUMBERS, 20)
    assert runs[0][0] == 101
    assert runs[1] == fresh


@pytest.mark.parametrize("error", [Inconclusive("slow"), RateLimited("slow down")])
def test_a_kept_failure_that_could_not_be_judged_stays(tmp_path: Path, error: Exception) -> None:
    def unclear(_: int) -> None:
        raise error

    with pytest.raises(Broken):
        explore(over_100, NUMBERS, 50, kept=Kept(tmp_path))
    with pytest.raises(type(error)):
        explore(unclear, NUMBERS, 50, kept=Kept(tmp_path))
    tried: list[int] = []
    explore(tried.append, NUMBERS, 5, kept=Kept(tmp_path))
    assert tried[0] == 101


@pytest.mark.parametrize("effort", [DEFAULT, FOREVER])
def test_a_slow_relay_is_tried_less_and_that_is_said_unless_it_was_to_take_its_time(effort: Effort) -> None:
    now, remarks = 0.0, list[str]()
    made: list[int] = []

    def check(value: int) -> None:
        nonlocal now
        now += 2.0
        made.append(value)

    explore(check, NUMBERS, 20, effort=effort, clock=lambda: now, remark=remarks.append)
    assert len(made) == (FEWEST if effort is DEFAULT else 20)
    assert remarks == ([f"a slow relay: {FEWEST} of 20 examples were tried in a case"] if effort is DEFAULT else [])


def test_how_far_it_is_can_be_seen() -> None:
    now, said = 0.0, list[str]()

    def check(_: int) -> None:
        nonlocal now
        now += 1.0

    explore(check, NUMBERS, 9, effort=FOREVER, progress=Progress(said.append, 3.0, lambda: now))
    assert said == ["a case: 4 of 9 examples", "a case: 7 of 9 examples"]


def test_values_that_can_t_be_made_are_not_exercised() -> None:
    with pytest.raises(NotExercised):
        explore(lambda _: None, st.integers().filter(lambda _: False), 5)
