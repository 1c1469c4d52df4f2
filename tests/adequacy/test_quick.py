"""The quick part of `make adequacy`: a deviation of each chapter, and a few conforming relays."""

from __future__ import annotations

from multiprocessing.context import ForkServerContext

import pytest

from tests.adequacy.matrix import SuiteVerdict
from tests.adequacy.runs import run
from tests.adequacy.subjects import Subject, SubjectKind, subjects
from tests.adequacy.suites import fork_server

_SUBJECTS = {(subject.kind, subject.id): subject for subject in subjects()}
_BY_CHAPTER = {
    subject.requirement.split("-")[1]: subject
    for (kind, _), subject in _SUBJECTS.items()
    if kind is SubjectKind.DEVIATION
}
_LEFT_ALONE = [
    (SubjectKind.VARIANT, "dribble", "auto"),
    (SubjectKind.VARIANT, "escapes", "websocket"),
    (SubjectKind.VARIANT, "close-after-error", "auto"),
    (SubjectKind.OPEN_POINT, "second-hello-refused", "websocket"),
]


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """Return a server that has imported the suite."""
    return fork_server()


@pytest.mark.parametrize("subject", _BY_CHAPTER.values(), ids=lambda subject: subject.id)
def test_a_deviation_is_killed_by_its_own_requirement(context: ForkServerContext, subject: Subject) -> None:
    (row,) = run(context, [subject], subject.transports[0])
    assert row.verdict is SuiteVerdict.KILLED, row
    assert row.cases


@pytest.mark.parametrize(("kind", "name", "transport"), _LEFT_ALONE)
def test_what_is_only_different_is_left_alone(
    context: ForkServerContext, kind: SubjectKind, name: str, transport: str
) -> None:
    (row,) = run(context, [_SUBJECTS[kind, name]], transport)
    assert row.verdict is SuiteVerdict.LEFT_ALONE, row
