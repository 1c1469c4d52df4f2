"""Hypothesis for cases whose every example costs a network exchange.

A failing example is shrunk for a limited time only: an example that fails by a time-out costs seconds. Failures are
remembered, so that the smallest one found so far is reported when the time is up, and kept for the next run.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy

from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised, RateLimited
from cbspec_conformance.properties.effort import EffortPlan
from cbspec_conformance.properties.kept import Kept
from cbspec_conformance.properties.progress import Progress

SHRINKING = 10.0  # seconds for shrinking a failing example
FEWEST = 3  # least examples on the slowest relay; fewer if each is costly (`share`)

_Value = TypeVar("_Value")
Clock = Callable[[], float]


class Explorer:
    """Tries the properties of one case.

    Arguments: `plan` is the run's; `case` names the case; `kept` holds its failing examples between runs (or None);
    `remark` is called with a note on a pass with fewer examples; `clock` returns seconds.
    """

    def __init__(
        self,
        plan: EffortPlan,
        case: str,
        *,
        kept: Kept | None = None,
        remark: Callable[[str], None] = lambda sentence: None,
        progress: Progress | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.plan = plan
        self.steps = plan.effort.steps
        self._case = case
        self._kept = kept
        self._remark = remark
        self._progress = progress or Progress()
        self._clock = clock

    def explore(self, values: SearchStrategy[_Value], check: Callable[[_Value], None], *, share: int = 1) -> None:
        """Call `check` with as many values as the plan says; raise the exception of the smallest failing value.

        Every run with the same seed draws the same values: a verdict must not depend on chance. An exception that is no
        failure (Inconclusive, NotExercised, RateLimited) ends the exploration at once. A property with costly examples
        takes only a `share` of them: 4 means a fourth.
        """
        most = max(1, self.plan.examples // share)
        attempts = _Attempts(self.plan.effort.enough, max(1, FEWEST // share), self._clock)

        def counted(value: _Value) -> None:
            self._progress.tell(self._case, attempts.made, most)
            check(value)

        def attempt(value: _Value) -> None:
            try:
                attempts.make(value, counted)
            finally:
                if self._kept is not None:
                    self._kept.frozen = attempts.interrupted is not None

        # In this order: @seed removes the database, and the settings bring it back.
        number = int.from_bytes(hashlib.sha256(f"{self.plan.seed} {self._case}".encode()).digest()[:8], "big")
        run = settings(
            max_examples=most,
            deadline=None,
            database=self._kept,
            derandomize=False,
            print_blob=False,
            report_multiple_bugs=False,
            phases=[Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )(seed(number)(given(values)(attempt)))
        try:
            run()
        except Broken as broken:
            raise broken from None
        except Unsatisfiable:
            raise NotExercised("no example could be made for this relay") from None
        if attempts.interrupted is not None:
            raise attempts.interrupted
        if attempts.left_out:
            self._remark(f"a slow relay: {attempts.made} of {most} examples were tried in {self._case}")


class _Attempts:
    """The attempts of one exploration, with the failures so far.

    New attempts end after `enough` seconds (None: never) and `fewest` examples, or when shrinking took too long.
    """

    def __init__(self, enough: float | None, fewest: int, clock: Clock) -> None:
        self.interrupted: Exception | None = None
        self.made = 0
        self.left_out = 0
        self._fewest = fewest
        self._clock = clock
        self._end = None if enough is None else clock() + enough
        self._end_of_shrinking: float | None = None
        self._failures: dict[str, Broken] = {}

    def make(self, value: Any, check: Callable[[Any], None]) -> None:  # noqa: ANN401 - any value of the strategy
        """Try one value, unless it is time to stop. A value that failed before fails again without another exchange."""
        known = self._failures.get(repr(value))
        if known is not None:
            raise known
        if self.interrupted is not None or self._is_over():
            self.left_out += 1
            return
        self.made += 1
        try:
            check(value)
        except Broken as broken:
            self._end_of_shrinking = self._end_of_shrinking or self._clock() + SHRINKING
            self._failures[repr(value)] = broken
            raise
        except (Inconclusive, NotExercised, RateLimited) as error:
            self.interrupted = error

    def _is_over(self) -> bool:
        if self._end_of_shrinking is not None:
            return self._clock() > self._end_of_shrinking
        return self._end is not None and self.made >= self._fewest and self._clock() > self._end
