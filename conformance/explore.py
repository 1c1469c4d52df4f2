"""Hypothesis for cases that cost a network exchange each.

Failures are made small as usual, but only for a while: an example that fails by a time-out costs seconds, and a case
must end. What failed is remembered, so that the smallest example found so far is reported even when time is up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from conformance.errors import Broken, Inconclusive, NotExercised, RateLimited

SHRINKING = 10.0
"""Seconds that a failing case may spend on finding a smaller example."""

ENOUGH = 5.0
"""Seconds after which a property on a slow relay has been tried enough, once FEWEST examples were."""

FEWEST = 5

Check = Callable[[Any], None]
Clock = Callable[[], float]


def explore(
    check: Check, values: SearchStrategy[Any], examples: int, clock: Clock = time.monotonic, enough: float = ENOUGH
) -> None:
    """Call `check` with `examples` values; raise what it raised for the smallest one that failed.

    The same values come in every run: a verdict must not depend on chance. What isn't a failure (nothing can be said,
    the relay's rate limit struck) ends the exploration at once. `clock` gives seconds.
    """
    attempts = _Attempts(check, clock, enough)

    def attempt(value: Any) -> None:  # noqa: ANN401 - whatever the strategy gives
        attempts.make(value)

    run = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )(given(values)(attempt))
    try:
        run()
    except Broken as broken:
        raise broken from None
    if attempts.interrupted is not None:
        raise attempts.interrupted


class _Attempts:
    """The attempts of one exploration: what failed, and whether to go on."""

    def __init__(self, check: Check, clock: Clock, enough: float) -> None:
        self.interrupted: Exception | None = None
        self._check = check
        self._clock = clock
        self._failures: dict[str, Broken] = {}
        self._made = 0
        self._enough = clock() + enough
        self._stop: float | None = None

    def make(self, value: Any) -> None:  # noqa: ANN401 - whatever the strategy gives
        """Try one value, unless time is up; a value that failed once fails again without being tried."""
        known = self._failures.get(repr(value))
        if known is not None:
            raise known
        if self.interrupted is not None or self._is_over():
            return
        self._made += 1
        try:
            self._check(value)
        except Broken as broken:
            self._stop = self._stop or self._clock() + SHRINKING
            self._failures[repr(value)] = broken
            raise
        except (Inconclusive, NotExercised, RateLimited) as error:
            self.interrupted = error

    def _is_over(self) -> bool:
        if self._stop is not None:
            return self._clock() > self._stop
        return self._made >= FEWEST and self._clock() > self._enough
