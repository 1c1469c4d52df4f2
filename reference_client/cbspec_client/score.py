"""Counters of a load test's sessions, which worker processes send as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from cbspec_client.conversation import Blame


@dataclass(slots=True)
class BreachCount:
    """How often a requirement was broken, with the texts of the first time."""

    times: int = 0
    expected: str = ""
    seen: str = ""


@dataclass(slots=True)
class Score:
    """Sessions begun, successful and failed, and the broken requirements."""

    begun: int = 0
    well: int = 0
    failed: int = 0
    broken: dict[str, BreachCount] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """Sessions that have ended."""
        return self.well + self.failed

    @property
    def open(self) -> int:
        """Sessions that have begun and not ended."""
        return self.begun - self.ended

    def blame(self, blame: Blame) -> None:
        """Count a breach."""
        broken = self.broken.setdefault(blame.requirement, BreachCount(0, blame.expected, blame.seen))
        broken.times += 1

    @classmethod
    def sum(cls, scores: Iterable[Score]) -> Self:
        """Return the sum over several processes."""
        total = cls()
        for score in scores:
            total.begun += score.begun
            total.well += score.well
            total.failed += score.failed
            for requirement, broken in score.broken.items():
                known = total.broken.setdefault(requirement, BreachCount(0, broken.expected, broken.seen))
                known.times += broken.times
        return total
