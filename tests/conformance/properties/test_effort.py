"""The efforts."""

from __future__ import annotations

from cbspec_conformance.properties.effort import DEFAULT, EFFORTS, QUICK, THOROUGH


def test_the_efforts_are_in_ascending_order() -> None:
    assert list(EFFORTS.values()) == sorted([THOROUGH, QUICK, DEFAULT], key=lambda effort: effort.examples)
    assert QUICK.steps < DEFAULT.steps < THOROUGH.steps
    assert [effort.enough is None for effort in EFFORTS.values()] == [False, False, True]
