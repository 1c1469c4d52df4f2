"""What came of running a failure again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReplayVerdict(StrEnum):
    """Whether the failure is there."""

    FIXED = "fixed"
    FAILING = "still failing"
    UNCLEAR = "can't tell"


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """A verdict with its reason in a sentence, and what happened, for people. `played`: the steps alone showed it."""

    verdict: ReplayVerdict
    reason: str
    exchange: str = ""
    played: bool = False
