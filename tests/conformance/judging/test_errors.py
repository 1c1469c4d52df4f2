"""How cases end: which of the classes is anybody's fault."""

from __future__ import annotations

from cbspec_conformance.judging.errors import Broken, Inconclusive, KitError, NotExercised, RateLimited
from cbspec_conformance.runner.outcomes import TimeUp
from tests.conformance.build import HELLO, exchange


def test_a_break_says_what_was_expected_and_seen() -> None:
    seen = exchange(HELLO)
    broken = Broken("a hello_response", "nothing", seen, requirement="CB-HEL-001")
    assert str(broken) == "expected a hello_response; seen: nothing"
    assert (broken.exchanges, broken.requirement) == ((seen,), "CB-HEL-001")


def test_no_outcome_is_taken_for_another() -> None:
    kinds = [Broken, Inconclusive, NotExercised, RateLimited, KitError, TimeUp]
    assert not [(one, other) for one in kinds for other in kinds if one is not other and issubclass(one, other)]
    assert not issubclass(TimeUp, Exception)
