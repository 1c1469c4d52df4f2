"""The progress of learning on a terminal: the states found, the queries made, and the time."""

from __future__ import annotations

import sys
import time
from typing import Final

from cbspec_conformance.learning.queries import WordQueries
from cbspec_conformance.machines.machine import Machine

_INTERVAL: Final = 1.0  # seconds between two updates


class LearningProgress:
    """The line of progress on standard error, if that is a terminal; `machine` is the last hypothesis."""

    def __init__(self) -> None:
        self.machine: Machine | None = None
        self._began = time.monotonic()
        self._shown = 0.0

    def propose(self, machine: Machine) -> None:
        """Accept a hypothesis."""
        self.machine = machine

    def show(self, queries: WordQueries) -> None:
        """Show the progress, at most once per second."""
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._shown > _INTERVAL:
            self._shown = now
            states = 1 if self.machine is None else len(self.machine.states)
            print(
                f"\r{states} states, {queries.made} queries, {now - self._began:.0f} s ",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def clear(self) -> None:
        """Remove the line."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
