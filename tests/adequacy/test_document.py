"""The kill matrix as a document, and whether the one in docs/ is about today's relays."""

from __future__ import annotations

import re

import pytest

from tests.adequacy.document import summary, write
from tests.adequacy.matrix import Row, Verdict
from tests.adequacy.subjects import Kind, Subject, subjects
from tests.repo.tree import ROOT, text

DEVIATION = Subject(Kind.DEVIATION, "port-ignored", "CB-TUN-007")
VARIANT = Subject(Kind.VARIANT, "dribble")
ROWS = [
    Row(DEVIATION, "auto", Verdict.KILLED, ("relay/a.py::test_port[1]", "relay/a.py::test_port[2]"), ("CB-MSG-004",)),
    Row(DEVIATION, "websocket", Verdict.SURVIVED),
    Row(VARIANT, "auto", Verdict.ACCUSED, others=("CB-TUN-001",), remark="inconclusive: CB-TUN-002"),
]


def test_every_relay_is_a_row_with_a_verdict_for_each_transport() -> None:
    written = write(ROWS)
    assert "| `port-ignored` | CB-TUN-007 | killed | survived | `test_port` | CB-MSG-004 |" in written
    assert "| `dribble` | accused |  | accused by CB-TUN-001; inconclusive: CB-TUN-002 |" in written
    assert "| Deviations | auto | 1 | 1 |" in written
    assert "| Deviations | websocket | 1 | 0 |" in written


def test_the_summary_counts() -> None:
    assert summary(ROWS) == "1 killed, 1 survived, 1 accused"


@pytest.mark.parametrize("subject", subjects(), ids=lambda subject: f"{subject.kind} {subject.id}")
def test_the_matrix_in_docs_has_every_relay(subject: Subject) -> None:
    row = rf"^\| `{re.escape(subject.id)}` \| {subject.requirement}"
    assert re.search(row, text(ROOT / "docs" / "kill-matrix.md"), re.MULTILINE), "run make adequacy"


def test_the_matrix_in_docs_has_nothing_else_and_nothing_bad() -> None:
    matrix = text(ROOT / "docs" / "kill-matrix.md")
    named = re.findall(r"^\| `(\S+)` \|", matrix, re.MULTILINE)
    assert sorted(named) == sorted(subject.id for subject in subjects())
    for verdict in Verdict:
        assert verdict.good or f"| {verdict} |" not in matrix
