"""A part of `make adequacy`: deviations of 60 requirements and some conforming relays, on both transports.

The verdicts of each run are also recomputed from its transcript (`tests.adequacy.suites.results`).
"""

from __future__ import annotations

from multiprocessing.context import ForkServerContext

import pytest

from tests.adequacy.matrix import SuiteVerdict
from tests.adequacy.runs import run
from tests.adequacy.subjects import AUTO, WEBSOCKET, Subject, SubjectKind, subjects
from tests.adequacy.suites import fork_server

_COSTLY = ("CB-MSG-005", "CB-MSG-008")  # requirements with hundreds of cases
_SUBJECTS = {(subject.kind, subject.id): subject for subject in subjects(everywhere=True)}
_BY_REQUIREMENT = {
    subject.requirement: subject
    for (kind, _), subject in _SUBJECTS.items()
    if kind is SubjectKind.DEVIATION and subject.requirement not in _COSTLY
}
_CHOSEN = list(_BY_REQUIREMENT.values())
_CHOSEN = [*_CHOSEN[::2], *_CHOSEN[1::2]][:60]
_CONFORMING = [
    (AUTO, SubjectKind.CLEAN, ["clean"]),
    (WEBSOCKET, SubjectKind.CLEAN, ["clean"]),
    (WEBSOCKET, SubjectKind.VARIANT, ["dribble", "close-after-error", "escapes"]),
]


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """Return a server that has imported the suite."""
    return fork_server()


@pytest.mark.parametrize(("number", "subject"), list(enumerate(_CHOSEN)), ids=[subject.id for subject in _CHOSEN])
def test_a_deviation_is_killed_by_its_requirement(context: ForkServerContext, number: int, subject: Subject) -> None:
    transport = subject.transports[number % len(subject.transports)]
    rows = run(context, [subject], transport)
    assert [row.verdict for row in rows] == [SuiteVerdict.KILLED], rows


@pytest.mark.parametrize(("transport", "kind", "names"), _CONFORMING)
def test_a_conforming_relay_is_not_accused(
    context: ForkServerContext, transport: str, kind: SubjectKind, names: list[str]
) -> None:
    rows = run(context, [_SUBJECTS[kind, name] for name in names], transport)
    assert {row.verdict for row in rows} == {SuiteVerdict.LEFT_ALONE}, rows
