"""Which case may begin while others run: a pure state machine, without processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cbspec_conformance.runner.reservations import Needs

_FEW: Final = 3  # names


class Schedule:
    """The cases of a run, waiting and running.

    Cases with a name in common run one after the other in their order, so none overtakes another (the locks are fair).
    A case that needs the relay alone begins when no other runs. The late ones begin after all others. A case that is
    postponed needs the relay alone, and comes last among the late ones, or among the others.

    Arguments: `needs` of each case, in the order of the report. Cases that need the relay alone come last among the
    late ones, or among the others.
    """

    def __init__(self, needs: Sequence[Needs]) -> None:
        self._needs = [*needs]
        order = range(len(needs))
        self._waiting = sorted(order, key=lambda case: (needs[case].late, needs[case].alone, _turn(needs[case])))
        self._running: set[int] = set()
        self._alone: int | None = None

    @property
    def left(self) -> int:
        """The number of cases that have not ended."""
        return len(self._waiting) + len(self._running)

    def begin(self) -> int | None:
        """Return a case that may begin now, which counts as running from here on, or None."""
        if self._alone is not None or not self._waiting:
            return None
        late = self._needs[self._waiting[0]].late
        if any(self._needs[case].late != late for case in self._running):
            return None
        taken = {name for case in self._running for name in self._needs[case].names}
        for case in self._waiting:
            needs = self._needs[case]
            if needs.late != late or (needs.alone and self._running):
                return None
            if not needs.names & taken:
                self._waiting.remove(case)
                self._running.add(case)
                self._alone = case if needs.alone else None
                return case
            taken |= needs.names
        return None

    def is_alone(self, case: int) -> bool:
        """Whether a case has the relay alone."""
        return self._alone == case

    def postpone(self, case: int) -> None:
        """Record that a running case has ended without a result, and begins again later, alone."""
        self.end(case)
        self._needs[case] = replace(self._needs[case], alone=True)
        late = self._needs[case].late
        at = sum(self._needs[each].late <= late for each in self._waiting)
        self._waiting.insert(at, case)

    def end(self, case: int) -> None:
        """Record that a case ended."""
        self._running.discard(case)
        self._alone = None if self._alone == case else self._alone


def _turn(needs: Needs) -> int:
    """Rank a case: those with names wait for each other, so they are the longest chains and begin first.

    But one with many names would keep most others waiting.
    """
    return 2 if not needs.names else int(len(needs.names) > _FEW)
