"""`cbspec explain`."""

from __future__ import annotations

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.cli import main
from cbspec.cli.explain import explanation, listing


def test_the_list_has_a_line_for_each_requirement() -> None:
    lines = list(listing())
    for id_, requirement in REQUIREMENTS.items():
        (line,) = [line for line in lines if id_ in line]
        assert requirement.demand in line
        assert requirement.level in line
        assert max(map(len, explanation(requirement, []))) <= 100, id_


def test_requirements_are_printed_in_the_given_order_with_their_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert capsys.readouterr().out.splitlines() == list(listing())
    assert main(["explain", "cb-tun-004", "CB-UNA-001"]) == 0
    first, second = capsys.readouterr().out.split("\n\nCB-UNA-001  MUST")
    assert "CB-TUN-004  SHOULD" in first
    assert "/relay/message_types/test_3_tunnel_management.py: test_" in first
    assert "  Needs in the profile: " in second
    assert main(["explain", "CB-HEL-001", "CB-TUN-044"]) == 2
    assert capsys.readouterr().err.startswith("cbspec: unknown requirement 'CB-TUN-044'; did you mean CB-TUN-104")
