"""A case that tries many kinds of one mistake."""

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


def test_all_failures_are_named_and_the_first_is_shown() -> None:
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


def test_failure_outweighs_inconclusive() -> None:
    def check(kind: str) -> None:
        if kind == "one":
            raise Inconclusive("slow")
        if kind == "six":
            raise Broken("an error", "silence")

    with pytest.raises(Broken, match=r"silence \(six\)"):
        each(KINDS, check)


def test_inconclusive_kind_does_not_stop_the_case() -> None:
    tried: list[str] = []

    def check(kind: str) -> None:
        tried.append(kind)
        raise Inconclusive(f"slow {kind}")

    with pytest.raises(Inconclusive, match="slow one"):
        each(KINDS, check)
    assert tried == list(KINDS)


def test_several_failures_stop_the_case() -> None:
    tried: list[str] = []

    def check(kind: str) -> None:
        tried.append(kind)
        raise Broken("an error", "silence")

    with pytest.raises(Broken):
        each(KINDS, check)
    assert len(tried) < len(KINDS)


def test_not_exercised_stops_the_case() -> None:
    def check(_: str) -> None:
        raise NotExercised("give a key")

    with pytest.raises(NotExercised):
        each(KINDS, check)
