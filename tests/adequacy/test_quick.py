"""A part of `make adequacy`: 60 deviations, at least one of each chapter, and some conforming relays.

Each run's verdicts are also recomputed from its transcript (`tests.adequacy.suites.results`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.context import ForkServerContext

import pytest

from tests.adequacy.matrix import SuiteVerdict
from tests.adequacy.runs import run
from tests.adequacy.subjects import AUTO, WEBSOCKET, Subject, SubjectKind, subjects
from tests.adequacy.suites import fork_server

_SUBJECTS = {(subject.kind, subject.id): subject for subject in subjects(everywhere=True)}
_DEVIATIONS = [subject for (kind, _), subject in _SUBJECTS.items() if kind is SubjectKind.DEVIATION]
_BY_CHAPTER = {subject.requirement.split("-")[1]: subject for subject in _DEVIATIONS}
_CHOSEN = dict.fromkeys([*_BY_CHAPTER.values(), *_DEVIATIONS[::8]])
_CONFORMING = [
    (AUTO, SubjectKind.CLEAN, ["clean"]),
    (WEBSOCKET, SubjectKind.CLEAN, ["clean"]),
    (WEBSOCKET, SubjectKind.VARIANT, ["dribble", "close-after-error", "escapes"]),
]


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """Return a server that has imported the suite."""
    return fork_server()


@pytest.mark.parametrize("subject", _CHOSEN, ids=lambda subject: subject.id)
def test_a_deviation_is_killed_by_its_requirement_on_both_transports(
    context: ForkServerContext, subject: Subject
) -> None:
    with ThreadPoolExecutor() as pool:
        for rows in pool.map(partial(run, context, [subject]), subject.transports):
            assert [row.verdict for row in rows] == [SuiteVerdict.KILLED], rows


@pytest.mark.parametrize(("transport", "kind", "names"), _CONFORMING)
def test_a_conforming_relay_is_not_accused(
    context: ForkServerContext, transport: str, kind: SubjectKind, names: list[str]
) -> None:
    rows = run(context, [_SUBJECTS[kind, name] for name in names], transport)
    assert {row.verdict for row in rows} == {SuiteVerdict.LEFT_ALONE}, rows
