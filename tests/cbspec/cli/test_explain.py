"""`cbspec explain`."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.cli import main
from cbspec.cli.cases import Case
from cbspec.cli.explain import explanation, listing


def test_an_explanation_has_the_sentences_of_the_cases() -> None:
    cases = [
        Case("relay/test_x.py", "test_one", ("CB-LIM-001",), "First,\nmore.\n\nSecond."),
        Case("relay/test_x.py", "test_two", ("CB-LIM-002",), "Not this."),
    ]
    requirement = replace(REQUIREMENTS["CB-LIM-001"], when="it rains", needs=("a.b", "c"))
    lines = list(explanation(requirement, cases))
    assert lines[0].startswith("CB-LIM-001  MUST  ")
    assert {"  When: it rains", "  Needs in the profile: a.b; c"} <= set(lines)
    assert lines[-3].endswith("/relay/test_x.py: test_one")
    assert lines[-2:] == ["      First, more.", "      Second."]


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
