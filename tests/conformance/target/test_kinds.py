"""Many kinds of one mistake in one case."""

from __future__ import annotations

import pytest

from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.target.kinds import each
from tests.conformance.build import HELLO, exchange

KINDS = {name: name for name in ("one", "two", "three", "four", "five", "six")}


def test_every_kind_is_tried() -> None:
    tried: list[str] = []
    each(KINDS, tried.append)
    assert tried == list(KINDS)


def test_all_that_are_broken_are_named_and_the_first_is_shown() -> None:
    seen = exchange(HELLO)

    def check(kind: str) -> None:
        if kind in ("two", "four"):
            raise Broken("an error", f"silence to {kind}", seen, requirement="CB-HEL-005")

    with pytest.raises(Broken) as broken:
        each(KINDS, check)
    assert broken.value.seen == "silence to two (two; broken, too: four)"
    assert (broken.value.expected, broken.value.exchanges, broken.value.requirement) == (
        "an error",
        (seen,),
        "CB-HEL-005",
    )


def test_one_that_is_broken_outweighs_one_that_is_unclear() -> None:
    def check(kind: str) -> None:
        if kind == "one":
            raise Inconclusive("slow")
        if kind == "six":
            raise Broken("an error", "silence")

    with pytest.raises(Broken, match=r"silence \(six\)"):
        each(KINDS, check)


def test_one_that_is_unclear_leaves_the_others_to_be_tried() -> None:
    tried: list[str] = []

    def check(kind: str) -> None:
        tried.append(kind)
        raise Inconclusive(f"slow {kind}")

    with pytest.raises(Inconclusive, match="slow one"):
        each(KINDS, check)
    assert tried == list(KINDS)


def test_after_a_few_that_are_broken_no_more_are_tried() -> None:
    tried: list[str] = []

    def check(kind: str) -> None:
        tried.append(kind)
        raise Broken("an error", "silence")

    with pytest.raises(Broken):
        each(KINDS, check)
    assert len(tried) < len(KINDS)


def test_what_can_t_be_exercised_ends_it() -> None:
    def check(_: str) -> None:
        raise NotExercised("give a key")

    with pytest.raises(NotExercised):
        each(KINDS, check)
