"""The clock of the simulator: monotonic and wall-clock time, which tests and controls can move forward."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Moment(NamedTuple):
    """One instant in seconds of the monotonic clock and in seconds since the epoch."""

    monotonic: float
    epoch: float


class Clock:
    """Monotonic and wall-clock time, in seconds.

    Arguments: `monotonic` and `epoch` are the sources of time. `advance` moves both forward.
    """

    __slots__ = ("_ahead", "_epoch", "_monotonic", "_watchers")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, epoch: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._epoch = epoch
        self._ahead = 0.0
        self._watchers: list[Callable[[], None]] = []

    @property
    def ahead(self) -> float:
        """Seconds by which the time was moved forward."""
        return self._ahead

    def monotonic(self) -> float:
        """Return monotonic time."""
        return self._monotonic() + self._ahead

    def epoch(self) -> float:
        """Return seconds since the epoch."""
        return self._epoch() + self._ahead

    def now(self) -> Moment:
        """Return the present moment."""
        return Moment(self._monotonic() + self._ahead, self._epoch() + self._ahead)

    def advance(self, seconds: float) -> None:
        """Move the time forward and call the watchers. Raises ValueError if it would go back."""
        if not seconds >= 0:
            raise ValueError("time goes forward only")
        self._ahead += seconds
        for watcher in tuple(self._watchers):
            watcher()

    def watch(self, moved: Callable[[], None]) -> None:
        """Call `moved` whenever the time is moved forward."""
        self._watchers.append(moved)
