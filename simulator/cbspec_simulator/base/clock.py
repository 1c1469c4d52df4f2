"""The two clocks that the edge reads, given to it so that they can be other ones, and so that time can be moved."""

from __future__ import annotations

import time
from collections.abc import Callable

from cbspec_simulator.relay.steps import Moment


class Clock:
    """What time it is, in seconds: by a clock that never goes back, and since the epoch.

    Arguments: `monotonic` and `epoch` say where the time comes from. `advance` moves both forward.
    """

    __slots__ = ("_ahead", "_epoch", "_monotonic", "_watchers")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, epoch: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._epoch = epoch
        self._ahead = 0.0
        self._watchers: list[Callable[[], None]] = []

    @property
    def ahead(self) -> float:
        """By how many seconds the time was moved forward."""
        return self._ahead

    def monotonic(self) -> float:
        """Return the time of the clock that never goes back."""
        return self._monotonic() + self._ahead

    def epoch(self) -> float:
        """Return the time since the epoch."""
        return self._epoch() + self._ahead

    def now(self) -> Moment:
        """Return the present moment."""
        return Moment(self._monotonic() + self._ahead, self._epoch() + self._ahead)

    def advance(self, seconds: float) -> None:
        """Move the time forward; what has become due happens now. ValueError where it would go back."""
        if not seconds >= 0:
            raise ValueError("time goes forward only")
        self._ahead += seconds
        for watcher in tuple(self._watchers):
            watcher()

    def watch(self, moved: Callable[[], None]) -> None:
        """Have somebody told when the time was moved."""
        self._watchers.append(moved)
