"""Exceptions with which cases end."""

from __future__ import annotations

from cbspec_conformance.judging.errors import Broken, Inconclusive, KitError, NotExercised, RateLimited
from cbspec_conformance.runner.outcomes import TimeUp


def test_no_outcome_is_a_subclass_of_another() -> None:
    kinds = [Broken, Inconclusive, NotExercised, RateLimited, KitError, TimeUp]
    assert not [(one, other) for one in kinds for other in kinds if one is not other and issubclass(one, other)]
    assert not issubclass(TimeUp, Exception)
