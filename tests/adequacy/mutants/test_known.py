"""What is known of the mutants, as it is written down."""

from __future__ import annotations

import pytest

from tests.adequacy.mutants.known import LeftOut, read
from tests.repo.tree import ROOT

REASON = '[[reason]]\nkind = "{}"\nwhy = "It is slower."\nmutants = ["a b: 1 -> 2"]\n'


def test_what_is_written_down_can_be_used() -> None:
    known = read()
    assert known.survivors
    assert all((ROOT / file).is_file() for file in known.modules)
    assert all((ROOT / entry.file).is_file() for entry in known.left_out)


@pytest.mark.parametrize(
    ("scope", "left_out"), [("A", True), ("A.b", True), ("A.b.c", True), ("B.c", True), ("AB", False), ("B", False)]
)
def test_a_scope_is_left_out_with_all_that_is_in_it(scope: str, left_out: bool) -> None:
    entry = LeftOut("m.py", ("A", "B.c"), "")
    assert entry.covers("m.py", scope) is left_out
    assert not entry.covers("n.py", scope)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (REASON.format("boring"), "boring is none of equivalent"),
        (REASON.format("equivalent") * 2, "more than one reason for a b: 1 -> 2"),
    ],
)
def test_a_contradiction_is_said(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        read("modules = []\n" + text)
