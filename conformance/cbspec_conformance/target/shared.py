"""State that the cases of one process share."""

from __future__ import annotations

import time

from cbspec_conformance.record.transcript import Timekeeper


class SharedState:
    """State that outlives a case.

    `rates_used` are the accounts whose rate a case of this process has used. Arguments: `processes` is the number of
    processes that share the relay.
    """

    def __init__(self, processes: int = 1, clock: Timekeeper = time) -> None:
        self.processes = processes
        self.rates_used: set[str] = set()
        self._clock = clock
        self._exceeded = clock.monotonic()

    def rate_exceeded(self) -> None:
        """Record that a declared rate is being exceeded now."""
        self._exceeded = self._clock.monotonic()

    @property
    def since_rate_exceeded(self) -> float:
        """Seconds since a declared rate was exceeded here, or since the process began: an earlier run may have."""
        return self._clock.monotonic() - self._exceeded
