"""A part of `make adequacy`: a deviation of every second chapter of the catalogue, some of them over WebSocket.

The verdicts of each run are also recomputed from its transcript (`tests.adequacy.runs`).
tests/conformance/test_end_to_end.py does the same for whole runs on a conforming relay.
"""

from __future__ import annotations

from multiprocessing.context import ForkServerContext

import pytest

from tests.adequacy.matrix import SuiteVerdict
from tests.adequacy.runs import run
from tests.adequacy.subjects import Subject, SubjectKind, subjects
from tests.support.few import few
from tests.support.forked import fork_server

_COSTLY = ("CB-MSG-005", "CB-MSG-008")  # requirements with hundreds of cases
# Requirements whose proof waits for 15 to 50 s, above all for room that never comes back.
_WAITING = (
    *("CB-HEL-001", "CB-TUN-002", "CB-LIM-001", "CB-LIM-003", "CB-LIM-007", "CB-LIM-009", "CB-LIM-011", "CB-LIM-013"),
    *("CB-LIM-015", "CB-LIM-019", "CB-CON-001", "CB-MSG-010"),
)
_JUDGED = [
    subject
    for subject in subjects(everywhere=True)
    if subject.kind is SubjectKind.DEVIATION and subject.requirement not in (*_COSTLY, *_WAITING)
]
_CHOSEN = list(enumerate({subject.requirement[3:6]: subject for subject in _JUDGED}.values()))


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """Return a server that has imported the suite."""
    return fork_server()


@pytest.mark.parametrize("chosen", few(_CHOSEN, 2), ids=lambda chosen: chosen[1].id)
def test_a_deviation_is_killed_by_its_requirement(context: ForkServerContext, chosen: tuple[int, Subject]) -> None:
    number, subject = chosen
    transport = subject.transports[number // 2 % len(subject.transports)]
    rows = run(context, [subject], transport)
    assert [row.verdict for row in rows] == [SuiteVerdict.KILLED], rows
