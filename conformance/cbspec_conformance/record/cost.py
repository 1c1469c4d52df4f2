"""What cases cost: the only numbers that say how long a run takes on a relay at another distance."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol


@dataclass(slots=True)
class Cost:
    """The cost of a case, or of several.

    `round_trips` counts how often data came after something was sent, and each TCP connection. In seconds: `waiting`
    for the relay, `idle` in pauses that a case makes by itself, `processor` in the process that ran it, and `elapsed`.
    """

    connections: int = 0
    round_trips: int = 0
    waiting: float = 0.0
    idle: float = 0.0
    processor: float = 0.0
    elapsed: float = 0.0

    def add(self, other: Cost) -> None:
        """Add the cost of another case."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


class Timekeeper(Protocol):
    """A clock: the module `time`, or a clock under the control of a test."""

    def monotonic(self) -> float:
        """Return seconds."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


class CountedClock:
    """A clock that counts the pauses of a case."""

    def __init__(self, clock: Timekeeper, cost: Cost) -> None:
        self._clock = clock
        self._cost = cost
        self.monotonic = clock.monotonic  # called a dozen times for each exchange

    def sleep(self, seconds: float, /) -> None:
        """Wait, and count it."""
        self._clock.sleep(seconds)
        self._cost.idle += seconds
