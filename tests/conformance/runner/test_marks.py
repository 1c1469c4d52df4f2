"""The marks of cases."""

from __future__ import annotations

import pytest

from cbspec.catalogue.requirements import UnknownRequirement
from cbspec_conformance.runner.marks import MARKERS, requirement


def test_the_project_s_tests_know_the_marks(pytestconfig: pytest.Config) -> None:
    assert set(MARKERS) <= set(pytestconfig.getini("markers"))


def test_a_mark_has_the_id_of_the_catalogue() -> None:
    assert requirement("cb-tun-004").mark.args == ("CB-TUN-004",)
    with pytest.raises(UnknownRequirement, match="CB-TUN-004"):
        requirement("CB-TUN-0004")
