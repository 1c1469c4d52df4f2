"""The delays between a client's attempts: whether they grow, and whether the attempts end."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from typing import Final

from cbspec_conformance.client.rules.case import SituationCase

_LEAST_GAPS: Final = 3
"""Delays from which growth can be judged."""

_SPREAD: Final = {3: 1.15, 4: 1.5, 5: 1.5}
"""The factor between the longest and the shortest of a few delays below which they are constant. With jitter over the
whole delay, three growing ones are within 1.15 in one case of 300."""

_GROWTH: Final = 1.5
"""The factor by which the later of many delays must exceed the first ones."""

_MANY: Final = 12
"""Attempts from which a client that goes on trying is taken for one without an end, whatever its delays are."""

_SOME: Final = 6
"""Attempts from which it is, if its delays don't grow any more."""


def gaps_of(attempts: Sequence[float]) -> list[float]:
    """Return the seconds between attempts."""
    return [after - before for before, after in itertools.pairwise(attempts)]


def not_growing(attempts: Sequence[float]) -> str:
    """Return how the delays fail to grow, or "" if they grow or are too few to tell."""
    gaps = gaps_of(attempts)
    if len(gaps) < _LEAST_GAPS:
        return ""
    if len(gaps) in _SPREAD:
        grows = max(gaps) >= _SPREAD[len(gaps)] * min(gaps)
    else:
        grows = statistics.median(gaps[len(gaps) // 2 :]) >= _GROWTH * min(gaps[:2])
    return "" if grows else f"{len(attempts)} attempts after {_in_words(gaps)} s"


def has_no_end(attempts: Sequence[float]) -> str:
    """Return why attempts that haven't ended yet seem to have no end, or ""."""
    gaps = gaps_of(attempts)
    levelled = len(gaps) >= 3 and max(gaps[-3:]) < _GROWTH * min(gaps[-3:])
    if len(attempts) >= _MANY or (len(attempts) >= _SOME and levelled):
        return f"{len(attempts)} attempts, and no end; the last delays: {_in_words(gaps[-3:])} s"
    return ""


def judge_retries(case: SituationCase, attempts: Sequence[float], *, ended: bool) -> None:
    """Judge growth and end of the attempts after refusals."""
    if len(attempts) < 2:
        return
    if grows := not_growing(attempts):
        case.broken("CC-RTY-001", "growing delays between attempts", grows)
        return
    if len(gaps_of(attempts)) >= _LEAST_GAPS:
        case.passed("CC-RTY-001")
    if ended:
        case.passed("CC-RTY-002")
    elif endless := has_no_end(attempts):
        case.broken("CC-RTY-002", "an end of the attempts", endless)


def _in_words(gaps: Sequence[float]) -> str:
    shown = [f"{gap:.2f}" for gap in gaps[:6]]
    return ", ".join(shown) + (", …" if len(gaps) > len(shown) else "")
