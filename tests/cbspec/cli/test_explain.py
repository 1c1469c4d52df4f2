"""`cbspec explain`."""

from __future__ import annotations

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, Level, Requirement
from cbspec.cli import main
from cbspec.cli.cases import Case
from cbspec.cli.explain import explanation, listing

ROW = Requirement(
    id="CB-LIM-001",
    level=Level.MUST,
    section="Error Codes / x",
    demand="It does.",
    why="Because.",
    when="it rains",
    needs=("a.b", "c"),
)


def test_all_parts_of_an_explanation() -> None:
    cases = [
        Case("relay/test_x.py", "test_one", ("CB-LIM-001",), "First,\nmore.\n\nSecond."),
        Case("relay/test_x.py", "test_two", ("CB-LIM-002",), "Not this."),
    ]
    assert list(explanation(ROW, cases)) == [
        "CB-LIM-001  MUST  Error Codes / x",
        "  It does.",
        "  Why: Because.",
        "  When: it rains",
        "  Needs in the profile: a.b; c",
        "  Cases:",
        "    conformance/cbspec_conformance/relay/test_x.py: test_one",
        "      First, more.",
        "      Second.",
    ]


def test_the_list_has_a_line_for_each_requirement() -> None:
    lines = list(listing())
    for id_, requirement in REQUIREMENTS.items():
        (line,) = [line for line in lines if id_ in line]
        assert requirement.demand in line
        assert requirement.level in line
        assert max(map(len, explanation(requirement, []))) <= 100, id_


def test_requirements_are_printed_in_the_given_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert capsys.readouterr().out.splitlines() == list(listing())
    assert main(["explain", "cb-tun-004", "CB-HEL-001"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("CB-TUN-004  SHOULD") < shown.index("\n\nCB-HEL-001  MUST")
    assert main(["explain", "CB-HEL-001", "CB-TUN-044"]) == 2
    assert capsys.readouterr().err.startswith("cbspec: unknown requirement 'CB-TUN-044'; did you mean CB-TUN-104")
