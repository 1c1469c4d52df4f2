"""One measurement from end to end, as small as can be."""

from __future__ import annotations

import pytest

from bench import steady
from bench.figures import Plan


def test_it_measures_the_relay_beside_its_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "_BEATS", 50)
    said: list[str] = []
    figures = steady.measure(Plan(2, said.append))
    assert said == ["round 1 of 2", "round 2 of 2"]
    assert [figure.limit for figure in figures] == [0.7, 1.0, None, None, None]
    for figure in figures:
        assert len(figure.samples) == 2
        assert all(0 < sample < 100 for sample in figure.samples)
