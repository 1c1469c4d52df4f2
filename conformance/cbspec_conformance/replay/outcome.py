"""The outcome of a replay."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReplayVerdict(StrEnum):
    """Whether the failure still occurs."""

    FIXED = "fixed"
    FAILING = "still failing"
    UNCLEAR = "can't tell"


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """A verdict, its reason and the exchange as text."""

    verdict: ReplayVerdict
    reason: str
    exchange: str = ""
