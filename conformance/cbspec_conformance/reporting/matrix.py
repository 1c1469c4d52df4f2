"""Requirements by implementations, from the recorded results of several: pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cbspec.catalogue.requirements import CHAPTERS, Level, Requirement
from cbspec.errors import InputError
from cbspec_conformance.judging.verdicts import Outcome, Verdict
from cbspec_conformance.reporting.comparison import described
from cbspec_conformance.reporting.stream import RecordedRun

_MET = (Outcome.PASSED, Outcome.OBSERVED)
_JUDGED = (Outcome.PASSED, Outcome.FAILED, Outcome.WARNED, Outcome.KNOWN)


@dataclass(frozen=True, slots=True)
class Implementation:
    """A column: the name of an implementation, and its run."""

    name: str
    run: RecordedRun

    def met(self, level: Level) -> str:
        """Return how many requirements of a level it meets, of those that were judged."""
        found = Counter(verdict.outcome for verdict in self.run.verdicts if verdict.requirement.level == level)
        return f"{found[Outcome.PASSED]} of {sum(found[outcome] for outcome in _JUDGED)}"

    def broken(self) -> list[str]:
        """Return the ids of the requirements that it fails."""
        return [verdict.requirement.id for verdict in self.run.verdicts if verdict.outcome is Outcome.FAILED]


@dataclass(frozen=True, slots=True)
class RequirementRow:
    """A requirement with the verdict on each implementation (None: its catalogue lacks the requirement)."""

    requirement: Requirement
    verdicts: tuple[Verdict | None, ...]

    @property
    def differs(self) -> bool:
        """Whether the implementations differ."""
        return len({verdict and verdict.outcome for verdict in self.verdicts}) > 1

    def told(self, number: int) -> str:
        """Return the outcome of an implementation, with what was seen if it breaks the requirement."""
        return described(self.verdicts[number])


@dataclass(frozen=True, slots=True)
class FingerprintLine:
    """What each implementation does in a situation on which the specification is silent ("": not observed)."""

    requirement: Requirement
    aspect: str
    seen: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the implementations differ."""
        return len(set(self.seen)) > 1


@dataclass(frozen=True, slots=True)
class Matrix:
    """Requirements by implementations, in the order of the catalogue."""

    implementations: tuple[Implementation, ...]
    chapters: tuple[tuple[str, str, tuple[RequirementRow, ...]], ...]
    fingerprint: tuple[FingerprintLine, ...]


def matrix_of(implementations: Sequence[Implementation]) -> Matrix:
    """Return the matrix. Raises InputError if some implementations are relays and others clients."""
    roles = {each.run.started.subject.role for each in implementations}
    if len(roles) > 1:
        raise InputError("some results are of relays and others of clients: make a matrix of each")
    rows: dict[str, Requirement] = {}
    for each in reversed(implementations):  # the first one's wording counts
        rows |= each.run.requirements
    known = [{verdict.requirement.id: verdict for verdict in each.run.verdicts} for each in implementations]
    listed = [RequirementRow(row, tuple(of.get(row.id) for of in known)) for row in rows.values()]
    chapters = dict.fromkeys(row.requirement.chapter for row in listed)
    return Matrix(
        tuple(implementations),
        tuple(
            (code, CHAPTERS.get(code, code), tuple(row for row in listed if row.requirement.chapter == code))
            for code in chapters
        ),
        tuple(line for row in listed for line in _lines(row)),
    )


def _lines(row: RequirementRow) -> list[FingerprintLine]:
    seen = [verdict.observed if verdict else {} for verdict in row.verdicts]
    return [
        FingerprintLine(row.requirement, aspect, tuple(each.get(aspect, "") for each in seen))
        for aspect in sorted({aspect for each in seen for aspect in each})
    ]
