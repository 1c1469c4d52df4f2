"""The marks of cases."""

from __future__ import annotations

import pytest

from cbspec.catalogue.requirements import UnknownRequirement
from cbspec_conformance.runner.marks import MARKERS, requirement


def test_the_marks_are_known_here_as_in_the_suite(pytestconfig: pytest.Config) -> None:
    assert set(MARKERS) <= set(pytestconfig.getini("markers"))


def test_a_mark_carries_the_catalogue_s_spelling_of_an_id() -> None:
    assert requirement("cb-tun-004").mark.args == ("CB-TUN-004",)


def test_an_unknown_id_is_an_error_at_once() -> None:
    with pytest.raises(UnknownRequirement, match="CB-TUN-004"):
        requirement("CB-TUN-0004")
