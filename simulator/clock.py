"""The two clocks that the edge reads, given to it so that they can be other ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from simulator.steps import Moment


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from, in seconds: a clock that never goes back, and the time since the epoch."""

    monotonic: Callable[[], float] = time.monotonic
    epoch: Callable[[], float] = time.time

    def now(self) -> Moment:
        """Return the present moment."""
        return Moment(self.monotonic(), self.epoch())
