"""What was expected of an exchange, as data: so that a failure file can be judged again, by this kit or a script."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The judgement that was made; each is a function of `cbspec_conformance.judging.judge`, or the invariants."""

    ACCEPTED = "accepted"
    REFUSED_WITH = "refused_with"
    REFUSED = "refused"
    NOT_ACCEPTED = "not_accepted"
    NOTICED = "noticed"
    ALL_ANSWERED = "all_answered"
    INVARIANT = "invariant"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A judgement and what it was told: `values` are the error codes that it names, or the types of answers."""

    kind: Kind
    values: tuple[str, ...] = ()


INVARIANT = Expectation(Kind.INVARIANT)
"""That the exchange breaks none of the invariants that belong to the finding's requirement."""
