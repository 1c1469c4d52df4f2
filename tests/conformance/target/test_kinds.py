"""Several kinds of one mistake in one case."""

from __future__ import annotations

import pytest

from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.target.kinds import each
from tests.conformance.build import HELLO, exchange

KINDS = ("one", "two", "three", "four", "five", "six")
SEEN = exchange(HELLO)
SILENCE = Broken("an error", "silence", SEEN, requirement="CB-HEL-005")


@pytest.mark.parametrize(
    ("errors", "result", "tried"),
    [
        ({}, "", 6),
        ({"two": SILENCE, "four": SILENCE}, "expected an error; seen: silence (two; broken, too: four)", 6),
        ({"one": Inconclusive("slow one"), "two": Inconclusive("slow two")}, "slow one", 6),
        (dict.fromkeys(KINDS, SILENCE), "expected an error; seen: silence (one; broken, too: two, three, four)", 4),
        ({"two": NotExercised("give a key")}, "give a key", 2),
    ],
)
def test_every_kind_is_tried_and_the_failure_names_the_broken_ones(
    errors: dict[str, Exception], result: str, tried: int
) -> None:
    seen: list[str] = []
    raised: Exception | None = None

    def check(kind: str) -> None:
        seen.append(kind)
        if kind in errors:
            raise errors[kind]

    try:
        each({kind: kind for kind in KINDS}, check)
    except (Broken, Inconclusive, NotExercised) as error:
        raised = error
    assert (str(raised or ""), len(seen)) == (result, tried)
    if isinstance(raised, Broken):
        assert (raised.exchanges, raised.requirement) == ((SEEN,), "CB-HEL-005")
