"""The conclusions of the probe and of the case, as records: verdicts need only these and the records of the wire.

Messages and exchanges are identified by their index in `Transcript.records`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Silence(StrEnum):
    """The meaning of a missing answer."""

    NONE = ""
    IGNORED = "two later requests were answered in that time, and this one was not"
    HELD_BACK = "its answer came only after a later request, and did so again after whole time-outs"
    UNRESPONSIVE = "nothing more came on this connection in that time"


class Ending(StrEnum):
    """How a case, or one judgement in it, ended."""

    PASSED = "passed"
    BROKEN = "broken"
    INCONCLUSIVE = "inconclusive"
    NOT_EXERCISED = "not exercised"
    TIME_UP = "time up"
    KIT_ERROR = "error of the kit"


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


@dataclass(frozen=True, slots=True)
class Entry:
    """A record of a transcript: seconds since its beginning, and the number of the connection (0: none)."""

    at: float
    connection: int


@dataclass(frozen=True, slots=True)
class Breach:
    """A violation of `requirement`: the expected and the seen behaviour."""

    requirement: str
    expected: str
    seen: str


@dataclass(frozen=True, slots=True)
class Concluded(Entry):
    """The probe matched answers to a request (None: the answers are unsolicited).

    `silence` is the meaning of a missing answer, `waited` the seconds until the first answer or until the probe gave
    up, `relay_alive` whether a new connection was answered at that time. `held` says that the exchange was checked
    against the invariants. `leaking` (answers that hold a secret), `nameless` (the token has no subject) and `breaches`
    were computed from the full texts: a saved transcript holds no token and cuts long texts.
    """

    request: int | None = None
    answers: tuple[int, ...] = ()
    silence: Silence = Silence.NONE
    tenant: str = ""
    waited: float = 0.0
    relay_alive: bool = True
    held: bool = True
    leaking: tuple[int, ...] = ()
    nameless: bool = False
    breaches: tuple[Breach, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged(Entry):
    """The case compared an exchange with an expectation."""

    exchange: int
    expectation: Expectation
    result: Ending


@dataclass(frozen=True, slots=True)
class Blamed(Entry):
    """The case found a breach of another requirement than its own.

    `claimed` withdraws a breach that an invariant found. `certain` is False if another peer may have caused the breach:
    it counts as inconclusive then.
    """

    breach: Breach
    exchanges: tuple[int, ...] = ()
    expectation: Expectation | None = None
    claimed: bool = False
    certain: bool = True
    reason: str = ""
    case: str = ""


@dataclass(frozen=True, slots=True)
class Observed(Entry):
    """The case saw how the relay behaves on a point that the specification leaves open, in the situation `of`."""

    value: str
    of: str = ""


@dataclass(frozen=True, slots=True)
class CaseEnded(Entry):
    """The end of a case. `text` is the reason for a skip, or the remarks of a pass.

    `breach` and the members after it describe a broken case; see `cbspec_conformance.judging.errors.Broken`.
    """

    ending: Ending
    text: str = ""
    breach: Breach | None = None
    unserved: str = ""
    exchanges: tuple[int, ...] = ()
    expectation: Expectation | None = None
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TriedAgain(Entry):
    """The case begins again: the relay had paused as a whole, so nothing seen before counts."""


Conclusion = Concluded | Judged | Blamed | Observed | CaseEnded | TriedAgain
