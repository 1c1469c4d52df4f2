"""The quick part of `make adequacy`: a deviation of each chapter, and a few relays that must be left alone."""

from __future__ import annotations

from multiprocessing.context import ForkServerContext

import pytest

from tests.adequacy.matrix import Verdict
from tests.adequacy.runs import run
from tests.adequacy.subjects import Kind, Subject, subjects
from tests.adequacy.suites import fork_server

_SUBJECTS = {(subject.kind, subject.id): subject for subject in subjects()}
_BY_CHAPTER = {
    subject.requirement.split("-")[1]: subject for (kind, _), subject in _SUBJECTS.items() if kind is Kind.DEVIATION
}
_LEFT_ALONE = [
    (Kind.VARIANT, "dribble", "auto"),
    (Kind.VARIANT, "escapes", "websocket"),
    (Kind.VARIANT, "close-after-error", "auto"),
    (Kind.OPEN_POINT, "second-hello-refused", "websocket"),
]


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """Start suites from a process that has imported them."""
    return fork_server()


@pytest.mark.parametrize("subject", _BY_CHAPTER.values(), ids=lambda subject: subject.id)
def test_a_deviation_is_killed_by_its_own_requirement(context: ForkServerContext, subject: Subject) -> None:
    (row,) = run(context, [subject], subject.transports[0])
    assert row.verdict is Verdict.KILLED, row
    assert row.cases


@pytest.mark.parametrize(("kind", "name", "transport"), _LEFT_ALONE)
def test_what_is_only_different_is_left_alone(
    context: ForkServerContext, kind: Kind, name: str, transport: str
) -> None:
    (row,) = run(context, [_SUBJECTS[kind, name]], transport)
    assert row.verdict is Verdict.LEFT_ALONE, row
