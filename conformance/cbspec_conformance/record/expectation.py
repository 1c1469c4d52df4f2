"""Expectations as data, so that a failure file or a saved transcript can be judged again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ExpectationKind(StrEnum):
    """The name of a judgement: a function of `cbspec_conformance.judging.judge`, or the invariants."""

    ACCEPTED = "accepted"
    REFUSED_WITH = "refused_with"
    REFUSED = "refused"
    NOT_ACCEPTED = "not_accepted"
    NOTICED = "noticed"
    ALL_ANSWERED = "all_answered"
    INVARIANT = "invariant"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A judgement and its arguments: `values` are error codes, or the types of the answers."""

    kind: ExpectationKind
    values: tuple[str, ...] = ()


INVARIANT = Expectation(ExpectationKind.INVARIANT)
"""The exchange violates none of the invariants that belong to the finding's requirement."""
