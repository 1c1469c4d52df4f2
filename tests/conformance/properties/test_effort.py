"""The efforts: each tries harder than the one before."""

from __future__ import annotations

from cbspec_conformance.properties.effort import DEFAULT, EFFORTS, QUICK, THOROUGH


def test_each_tries_harder_than_the_one_before() -> None:
    assert list(EFFORTS.values()) == [QUICK, DEFAULT, THOROUGH]
    for measure in ("examples", "steps"):
        values = [getattr(effort, measure) for effort in EFFORTS.values()]
        assert values == sorted(set(values))
    assert [effort.enough is None for effort in EFFORTS.values()] == [False, False, True]
