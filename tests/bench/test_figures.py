"""What a figure says of its samples."""

from __future__ import annotations

import pytest

from bench.document import write
from bench.figures import Figure, Target, microseconds, ratios


@pytest.mark.parametrize(
    ("limit", "least", "met"),
    [(None, False, True), (2.0, False, True), (1.9, False, False), (2.0, True, True), (2.1, True, False)],
)
def test_the_median_keeps_the_limit_or_not(limit: float | None, least: bool, met: bool) -> None:
    figure = Figure("this / that", [9.0, 2.0, 1.0], limit, least)
    assert (figure.value, figure.spread, figure.met) == (2.0, (1.0, 9.0), met)
    assert ("MISSED" in str(figure)) is not met


def test_ratios_are_of_the_same_round() -> None:
    assert ratios([2.0, 6.0], [1.0, 2.0]) == [2.0, 3.0]
    assert microseconds(this=[1e-6, 3e-6], the_other=[5e-6]) == "this 2 µs, the other 5 µs"


def test_the_document_has_every_figure_and_the_story() -> None:
    figures = [Figure("a / b", [1.0], 2.0, parts="a 1"), Figure("c / d", [1.0], 2.0, least=True)]
    text = write({Target(7, "Something", lambda _: figures): figures}, 3)
    assert "## 7. Something" in text
    assert "| a / b | 1.00 x | 1.00 to 1.00 | at most 2 | met | a 1 |" in text
    assert "| c / d | 1.00 x | 1.00 to 1.00 | at least 2 | **missed** |  |" in text
    assert "## The story" in text
