"""Hypothesis for cases that cost a network exchange each.

Failures are made small as usual, but only for a while: an example that fails by a time-out costs seconds, and a case
must end. What failed is remembered, so that the smallest example found so far is reported even when time is up, and
kept, so that the next run tries it first.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy

from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised, RateLimited
from cbspec_conformance.properties.effort import EffortPlan
from cbspec_conformance.properties.kept import Kept
from cbspec_conformance.properties.progress import Progress, silent

SHRINKING = 10.0
"""Seconds that a failing case may spend on finding a smaller example."""

FEWEST = 3
"""Examples that are tried however slow the relay is; of those that cost much, fewer."""

_Value = TypeVar("_Value")
Clock = Callable[[], float]


class Explorer:
    """Tries the properties of one case.

    Arguments: `plan` is the run's; `case` names the case, and with it what is kept of it in `kept` (None: nothing is);
    `remark` is told what a pass doesn't rest on; `clock` gives seconds.
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
        self._progress = progress or silent()
        self._clock = clock

    def explore(self, values: SearchStrategy[_Value], check: Callable[[_Value], None], *, share: int = 1) -> None:
        """Call `check` with as many values as the plan says; raise what it raised for the smallest one that failed.

        The same values come in every run with the same seed: a verdict must not depend on chance. What isn't a failure
        (nothing can be said, the relay's rate limit struck) ends the exploration at once. Where an example costs much,
        a `share` of 4 takes a fourth of the examples.
        """
        most = max(1, self.plan.examples // share)
        bound = _Bound(self.plan.effort.enough, max(1, FEWEST // share), self._clock)
        attempts = _Attempts(check, bound, lambda made: self._tell(made, most))

        def attempt(value: Any) -> None:  # noqa: ANN401 - whatever the strategy gives
            try:
                attempts.make(value)
            finally:
                if self._kept is not None:
                    self._kept.frozen = attempts.interrupted is not None

        run = given(values)(attempt)
        run.hypothesis.inner_test._hypothesis_internal_add_digest = self._case.encode()  # type: ignore[attr-defined]
        # In this order: @seed takes the database away, and the settings bring it back.
        run = self._settings(most)(seeded(_number(f"{self.plan.seed} {self._case}"))(run))
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

    def _settings(self, most: int) -> settings:
        return settings(
            max_examples=most,
            deadline=None,
            database=self._kept,
            derandomize=False,
            print_blob=False,
            report_multiple_bugs=False,
            phases=[Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )

    def _tell(self, made: int, most: int) -> None:
        self._progress.tell(self._case, made, most)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


class _Bound:
    """When to stop: after `enough` seconds (None: never) and `fewest` examples, or when making small took too long."""

    def __init__(self, enough: float | None, fewest: int, clock: Clock) -> None:
        self._clock = clock
        self._fewest = fewest
        self._enough = None if enough is None else clock() + enough
        self._stop: float | None = None

    def failed(self) -> None:
        """Take note of a failure: from the first one on there is so much time to make it small."""
        self._stop = self._stop or self._clock() + SHRINKING

    def is_over(self, made: int) -> bool:
        """Whether no more is to be tried after `made` examples."""
        if self._stop is not None:
            return self._clock() > self._stop
        return self._enough is not None and made >= self._fewest and self._clock() > self._enough


class _Attempts:
    """The attempts of one exploration: what failed, and whether to go on."""

    def __init__(self, check: Callable[[Any], None], bound: _Bound, tell: Callable[[int], None]) -> None:
        self.interrupted: Exception | None = None
        self.made = 0
        self.left_out = 0
        self._check = check
        self._bound = bound
        self._tell = tell
        self._failures: dict[str, Broken] = {}

    def make(self, value: Any) -> None:  # noqa: ANN401 - whatever the strategy gives
        """Try one value, unless time is up; a value that failed once fails again without being tried."""
        known = self._failures.get(repr(value))
        if known is not None:
            raise known
        if self.interrupted is not None or self._bound.is_over(self.made):
            self.left_out += 1
            return
        self.made += 1
        self._tell(self.made)
        try:
            self._check(value)
        except Broken as broken:
            self._bound.failed()
            self._failures[repr(value)] = broken
            raise
        except (Inconclusive, NotExercised, RateLimited) as error:
            self.interrupted = error
