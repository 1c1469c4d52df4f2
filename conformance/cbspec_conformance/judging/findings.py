"""The findings of cases and invariants, as plain data that travels between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a case ended for its requirement. Only verdicts are KNOWN: broken, and in the run's baseline."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    INCONCLUSIVE = "inconclusive"
    NOT_EXERCISED = "not exercised"
    OBSERVED = "observed"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class Finding:
    """One outcome for one requirement.

    `case` is the case's node id; `reason` explains an inconclusive or skipped case; `expected`, `seen` and `exchange`
    describe a failure. For an observation, `seen` is the relay's behaviour in the situation `aspect`. `steps` is the
    content of a failure file, as JSON.
    """

    requirement: str
    outcome: Outcome
    case: str = ""
    reason: str = ""
    expected: str = ""
    seen: str = ""
    exchange: str = ""
    aspect: str = ""
    steps: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the finding as a JSON object."""
        return {**asdict(self), "outcome": self.outcome.value}

    @classmethod
    def from_dict(cls, data: Mapping[str, str]) -> Finding:
        """Return the finding that `to_dict` wrote."""
        return cls(**{**data, "outcome": Outcome(data["outcome"])})  # type: ignore[arg-type]  # all others are strings
