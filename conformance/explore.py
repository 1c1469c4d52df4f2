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

from conformance.errors import Broken

SHRINKING = 10.0
"""Seconds that a failing case may spend on finding a smaller example."""


def explore(
    check: Callable[[Any], None],
    values: SearchStrategy[Any],
    examples: int,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Call `check` with `examples` values; raise what it raised for the smallest one that failed.

    The same values come in every run: a verdict must not depend on chance.
    """
    failures: dict[str, Exception] = {}
    stopped: float | None = None

    def attempt(value: Any) -> None:  # noqa: ANN401 - whatever the strategy gives
        nonlocal stopped
        known = failures.get(repr(value))
        if known is not None:
            raise known
        if stopped is not None and clock() > stopped:
            return
        try:
            check(value)
        except Exception as error:
            stopped = stopped or clock() + SHRINKING
            failures[repr(value)] = error
            raise

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
