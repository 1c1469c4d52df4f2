"""Conditions that no message causes: an address, a command, an HTTP call."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cbspec.profile.profile import Action, Condition, Endpoint, HttpCall, Profile
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.target.provoke import provoked


def profile(condition: Condition) -> Profile:
    return Profile(conditions={"unavailable": condition})


def writes(file: Path, word: str) -> Action:
    """Return a command that appends a word to a file."""
    return Action(command=(sys.executable, "-c", f"open({str(file)!r}, 'a').write({word!r})"))


FAILING = Action(command=(sys.executable, "-c", "import sys; sys.exit('no such relay')"))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (Profile(), NotExercised, "conditions.unavailable"),
        (profile(Condition(limit=3)), NotExercised, r"conditions\.unavailable\.begin"),
        (profile(Condition(begin=FAILING)), Inconclusive, r"unavailable\.begin: .*ended with 1: no such relay"),
        (profile(Condition(begin=Action(command=("/nonexistent/cbspec",)))), Inconclusive, r"unavailable\.begin: "),
        (profile(Condition(begin=Action(http=HttpCall("nonsense")))), Inconclusive, r"unavailable\.begin: "),
    ],
    ids=["unknown", "no-action", "command-fails", "no-command", "no-url"],
)
def test_a_condition_that_cannot_begin(given: Profile, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words), provoked(given, "unavailable"):
        pytest.fail("it began")


def test_commands_begin_and_end_it_even_if_the_case_fails(tmp_path: Path) -> None:
    file = tmp_path / "log"
    condition = Condition(begin=writes(file, "b"), end=writes(file, "e"))

    def case() -> None:
        with provoked(profile(condition), "unavailable") as (_, at):
            assert (at, file.read_text()) == (None, "b")
            raise Broken("a", "b")

    with pytest.raises(Broken):
        case()
    assert file.read_text() == "be"
    broken, elsewhere = replace(condition, end=FAILING), replace(condition, target=Endpoint("127.0.0.1", 9))
    with pytest.raises(Inconclusive, match=r"unavailable\.end: "), provoked(profile(broken), "unavailable"):
        assert file.read_text() == "beb"
    with provoked(profile(elsewhere), "unavailable") as found:  # an address at which it holds needs no action
        assert found == (elsewhere, elsewhere.target)
    assert file.read_text() == "beb"
