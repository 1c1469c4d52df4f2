"""The exploration of properties: reproducible, limited in time, with the smallest failure kept and progress shown."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock, call

import pytest
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers

from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised, RateLimited
from cbspec_conformance.properties.effort import DEFAULT, Effort, EffortPlan
from cbspec_conformance.properties.explore import FEWEST, SHRINKING, Explorer, Kept, Progress, kept_for, prepare
from cbspec_conformance.runner.outcomes import TimeUp

NUMBERS = st.integers(0, 10_000)
FOREVER = Effort("forever", 20, 20, None)


def explore(
    check: Callable[[Any], object],
    values: st.SearchStrategy[Any] = NUMBERS,
    examples: int = 50,
    *,
    case: str = "a case",
    seed: int = 0,
    effort: Effort = DEFAULT,
    share: int = 1,
    **parts: Any,  # noqa: ANN401 - Explorer's own
) -> list[Any]:
    """Explore a property, and return the values that were tried."""
    tried: list[Any] = []

    def checked(value: object) -> None:
        tried.append(value)
        check(value)

    Explorer(EffortPlan(effort, examples, seed), case, **parts).explore(values, checked, share=share)
    return tried


def passes(_: int) -> None:
    pass


def over_100(value: int) -> None:
    """Fail for values over a hundred."""
    if value > 100:
        raise Broken("at most 100", str(value))


def fails(**parts: Any) -> tuple[list[int], str]:  # noqa: ANN401 - as above
    """Explore `over_100`, and return the tried values and the failure."""
    tried: list[int] = []

    def check(value: int) -> None:
        tried.append(value)
        over_100(value)

    with pytest.raises(Broken) as broken:
        explore(check, **parts)
    assert (broken.value.expected, broken.value.__cause__) == ("at most 100", None)
    return tried, broken.value.seen


def test_what_is_prepared_is_all_that_hypothesis_reads_of_our_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "_seen_modules", seen := set[int]())
    monkeypatch.setattr(providers, "_sys_modules_len", None)
    prepare()
    assert {id(module) for module in sys.modules.values()} == seen


def test_the_plan_gives_the_number_of_examples() -> None:
    assert len(explore(passes, examples=17)) == 17
    assert len(explore(passes, examples=20, share=4)) == 5
    assert sorted(explore(passes, st.booleans(), 17)) == [False, True]
    with pytest.raises(NotExercised):
        explore(passes, st.integers().filter(lambda _: False))


def test_values_depend_on_seed_and_case_only() -> None:
    assert explore(passes) == explore(passes)
    runs = [explore(passes), explore(passes, seed=1), explore(passes, case="another case")]
    assert len({tuple(run) for run in runs}) == 3


def test_the_smallest_failure_is_raised_and_none_is_tried_twice() -> None:
    tried, seen = fails()
    assert seen == "101"
    failed = [value for value in tried if value > 100]
    assert len(failed) == len(set(failed))


@pytest.mark.parametrize("error", [Inconclusive("slow"), NotExercised("give a key"), TimeUp()])
def test_another_exception_is_raised_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        explore(Mock(side_effect=error))
    assert raised.value is error


def test_shrinking_ends_in_time_with_the_smallest_failure_so_far() -> None:
    now = 0.0
    failed: list[int] = []

    def check(value: int) -> None:
        nonlocal now
        if value > 100:
            now += SHRINKING / 4  # each failure takes as long as a time-out
            failed.append(value)
        over_100(value)

    with pytest.raises(Broken) as broken:
        explore(check, clock=lambda: now)
    assert len(failed) <= 6
    assert int(broken.value.seen) in failed


def test_a_failure_that_is_not_reproducible_is_reported() -> None:
    outcomes = itertools.chain([None, None, Broken("an answer", "nothing")], itertools.repeat(None))
    with pytest.raises(Broken, match="nothing"):
        explore(Mock(side_effect=outcomes))


def test_a_failure_is_kept_and_tried_first_until_it_passes(tmp_path: Path) -> None:
    assert fails(kept=Kept(tmp_path))[0][0] != 101
    assert fails(kept=Kept(tmp_path)) == ([101], "101")
    for error in (Inconclusive("slow"), RateLimited("slow down")):  # it stays if it could not be judged
        with pytest.raises(type(error)):
            explore(Mock(side_effect=error), kept=Kept(tmp_path))
    assert explore(passes, kept=Kept(tmp_path))[0] == 101
    assert explore(passes, kept=Kept(tmp_path)) == explore(passes)


@pytest.mark.parametrize("effort", [DEFAULT, FOREVER])
def test_a_slow_relay_gets_fewer_examples_and_a_remark_unless_effort_is_unlimited(effort: Effort) -> None:
    now, remarks, progress = 0.0, list[str](), list[str]()

    def check(_: int) -> None:
        nonlocal now
        now += 3.0

    display = Progress(Mock(isatty=False, write_line=progress.append), clock=lambda: now)
    tried = explore(check, examples=20, effort=effort, clock=lambda: now, remark=remarks.append, progress=display)
    assert len(tried) == (FEWEST if effort is DEFAULT else 20)
    cut = f"only {FEWEST} of 20 examples were tried in a case: the relay is slow"
    assert [remark.startswith(cut) for remark in remarks] == ([True] if effort is DEFAULT else [])
    assert progress == ([] if effort is DEFAULT else [f"a case: {made} of 20 examples" for made in (6, 11, 16)])


def test_an_example_is_kept_until_it_is_deleted(tmp_path: Path) -> None:
    Kept(tmp_path).save(b"case", b"example")
    Kept(tmp_path).save(b"case.pareto", b"it passes")
    kept = Kept(tmp_path)
    assert [list(kept.fetch(key)) for key in (b"case", b"case.pareto")] == [[b"example"], []]
    for kept.frozen, left in ((True, [b"example"]), (False, [])):
        kept.delete(b"case", b"example")
        assert list(kept.fetch(b"case")) == left


def test_an_unwritable_folder_keeps_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("")
    kept = Kept(file / "folder")
    kept.save(b"case", b"example")
    kept.delete(b"case", b"example")
    assert list(kept.fetch(b"case")) == []


def test_each_case_of_each_target_has_its_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folders = {kept_for(target, case).folder for target in ("127.0.0.1:1", "127.0.0.1:2") for case in ("a", "b")}
    assert len(folders) == 4
    assert all(folder.is_relative_to(tmp_path) for folder in folders)


@pytest.mark.parametrize("isatty", [True, False])
def test_one_line_changes_on_a_terminal_and_a_log_has_many(isatty: bool) -> None:
    now, reporter = 0.0, Mock(isatty=isatty)
    progress = Progress(reporter, clock=lambda: now)
    for made in range(1, 6):
        now += 1.1 if isatty else 8.0
        progress.tell("a case", made, 5)
    texts = ["a case: 2 of 5 examples", "a case: 4 of 5 examples"]
    lines = [call.rewrite(text, erase=True) if isatty else call.write_line(text) for text in texts]
    assert reporter.mock_calls == [call.ensure_newline(), lines[0], call.flush(), lines[1], call.flush()]
