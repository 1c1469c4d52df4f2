"""Hypothesis for cases whose every example costs a network exchange.

A failing example is shrunk for a limited time only: an example that fails by a time-out costs seconds. Failures are
remembered, so that the smallest one found so far is reported when the time is up, and kept for the next run.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy, integers, lists
from platformdirs import user_cache_path

from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised, RateLimited
from cbspec_conformance.properties.effort import EffortPlan

SHRINKING = 10.0  # seconds for shrinking a failing example
FEWEST = 3  # least examples on the slowest relay; fewer if each is costly (`share`)

_Value = TypeVar("_Value")
Clock = Callable[[], float]


def prepare() -> None:
    """Let Hypothesis read the constants in our modules now: each process forked later would read them itself."""
    many = lists(integers(), min_size=100, max_size=100)  # one number in twenty is a constant, but few at first
    once = settings(database=None, phases=[Phase.generate])
    find(many, lambda found: len({*found}) > 50, settings=once, random=Random(0))  # noqa: S311 - no secret


class Explorer:
    """Tries the properties of one case.

    Arguments: `plan` is the run's; `case` names the case; `kept` holds its failing examples between runs (or None);
    `remark` is called with a note on a pass with fewer examples; `clock` returns the seconds that bound a property: in
    a run those spent waiting for the relay, so that a slow suite loses no example.
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
            self._progress.tell(self._case, min(attempts.made, most), most)
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
            tried = f"only {min(attempts.made, most)} of {most} examples were tried in {self._case}"
            self._remark(f"{tried}: the relay is slow (it took more than {self.plan.effort.enough:g} s)")


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


ON_A_TERMINAL = 2.0
IN_A_LOG = 15.0  # seconds between two updates


class Progress:
    """Reports the number of tried examples while a case runs: on one line of a terminal, or on a line each in a log.

    Arguments: `reporter` is pytest's (None: no display), and `capture` suspends its capturing of output.
    """

    def __init__(
        self,
        reporter: pytest.TerminalReporter | None = None,
        capture: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reporter = reporter
        self._capture = capture
        self._clock = clock
        self._last = clock()
        self._began = False

    def tell(self, case: str, made: int, of: int) -> None:
        """Report that `made` of `of` examples were tried, if an update is due."""
        reporter, now = self._reporter, self._clock()
        if reporter is None or now - self._last < (ON_A_TERMINAL if reporter.isatty else IN_A_LOG):
            return
        self._last, text = now, f"{case}: {made} of {of} examples"
        with self._capture():
            if not self._began:
                self._began = True
                reporter.ensure_newline()
            if reporter.isatty:
                reporter.rewrite(text, erase=True)
            else:
                reporter.write_line(text)
            reporter.flush()


def kept_for(target: str, case: str) -> Kept:
    """Return the failing examples of a case on one target; those of another target would only cost time."""
    folder = user_cache_path("cbspec") / "failures"
    for name in (target, case):
        folder /= hashlib.sha256(name.encode()).hexdigest()[:16]
    return Kept(folder)


class Kept(ExampleDatabase):
    """A Hypothesis database in a folder, for failing examples only. An unwritable folder keeps nothing.

    Hypothesis saves other examples too. They are dropped: they would cost time in the next run and change the values
    after them. While `frozen`, no example is deleted: an example that could not be judged did not pass.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.frozen = False
        self._files = DirectoryBasedExampleDatabase(folder)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """Return the examples of a key."""
        return self._files.fetch(key) if _is_smallest(key) else ()

    def save(self, key: bytes, value: bytes) -> None:
        """Save an example."""
        if _is_smallest(key):
            with contextlib.suppress(OSError):
                self._files.save(key, value)

    def delete(self, key: bytes, value: bytes) -> None:
        """Delete an example."""
        if _is_smallest(key) and not self.frozen:
            with contextlib.suppress(OSError):
                self._files.delete(key, value)


def _is_smallest(key: bytes) -> bool:
    return not key.endswith((b".pareto", b".secondary"))
