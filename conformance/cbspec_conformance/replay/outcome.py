"""What came of running a failure again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Whether the failure is there."""

    FIXED = "fixed"
    FAILING = "still failing"
    UNCLEAR = "can't tell"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict with its reason in a sentence, and what happened, for people. `played`: the steps alone showed it."""

    verdict: Verdict
    reason: str
    exchange: str = ""
    played: bool = False
