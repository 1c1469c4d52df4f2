"""How long a run takes: an estimate before it, and how much is left while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# Measured with quick runs on two processors, at distances of up to 100 ms.
_START: Final = 4.0  # seconds
_OF_A_CASE: Final = 0.012  # seconds of processor time, the relay's included
_TRIPS: Final = 16  # round trips of a case, on average
_LONGEST: Final = 230  # round trips of the cases that can't run at the same time as others
_PAUSES: Final = 12.0  # seconds of all cases together
_WHOLE: Final = 652  # cases of a whole run

_INTERVAL: Final = 30.0  # seconds between two sentences


def estimate(cases: int, trip: float, jobs: int) -> float:
    """Return the seconds of a quick run of so many cases with `jobs` at once; a round trip takes `trip` seconds."""
    together = _TRIPS * trip + _PAUSES / _WHOLE
    return _START + cases * (_OF_A_CASE + together / jobs + _LONGEST * trip / _WHOLE)


def in_words(seconds: float) -> str:
    """Return a rough time, such as "40 s" or "3 min"."""
    return f"{max(5, 5 * round(seconds / 5))} s" if seconds < 100 else f"{round(seconds / 60)} min"


class RunProgress:
    """Says now and then how much of a run is left. Arguments: the number of cases, and a clock in seconds."""

    def __init__(self, cases: int, clock: Callable[[], float]) -> None:
        self._cases = cases
        self._clock = clock
        self._began = self._said = clock()
        self._ended = 0

    def ended(self) -> str:
        """Count a case that has ended; return a sentence if it is time for one, or ""."""
        self._ended += 1
        now = self._clock()
        if now - self._said < _INTERVAL or self._ended >= self._cases:
            return ""
        self._said = now
        left = (now - self._began) / self._ended * (self._cases - self._ended)
        return f"{self._ended} of {self._cases} cases, about {in_words(left)} left"
