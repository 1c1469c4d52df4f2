"""The outcome of running a failure again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReplayVerdict(StrEnum):
    """Whether the failure is still there."""

    FIXED = "fixed"
    FAILING = "still failing"
    UNCLEAR = "can't tell"


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """A verdict with its reason and the exchange in lines for people. `played`: the steps alone showed the failure."""

    verdict: ReplayVerdict
    reason: str
    exchange: str = ""
    played: bool = False
