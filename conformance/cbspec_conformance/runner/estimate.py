"""How long a run takes: an estimate before it, and how much is left while it goes on."""

from __future__ import annotations

from typing import Final

# Measured with quick runs on two processors, at distances of up to 100 ms.
_START: Final = 4.0  # seconds
_OF_A_CASE: Final = 0.012  # seconds of processor time, the relay's included
_TRIPS: Final = 16  # round trips of a case, on average
_LONGEST: Final = 230  # round trips of the cases that can't run at the same time as others
_PAUSES: Final = 12.0  # seconds of all cases together
_WHOLE: Final = 652  # cases of a whole run


def estimate(cases: int, trip: float, jobs: int) -> float:
    """Return the seconds of a quick run of so many cases with `jobs` at once; a round trip takes `trip` seconds."""
    together = _TRIPS * trip + _PAUSES / _WHOLE
    return _START + cases * (_OF_A_CASE + together / jobs + _LONGEST * trip / _WHOLE)


def in_words(seconds: float) -> str:
    """Return a rough time, such as "40 s" or "3 min"."""
    return f"{max(5, 5 * round(seconds / 5))} s" if seconds < 100 else f"{round(seconds / 60)} min"


def left(elapsed: float, ended: int, cases: int, expected: float) -> float:
    """Return how many seconds are left after `elapsed`: at first by the estimate, later by the pace of the cases."""
    part = ended / cases if cases else 1.0
    by_pace = elapsed * (1 - part) / part if part else 0.0
    return part * by_pace + (1 - part) * max(0.0, expected - elapsed)
