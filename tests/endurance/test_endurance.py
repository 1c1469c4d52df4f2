"""A short soak, and how its samples are compared."""

from __future__ import annotations

import pytest

from tests.endurance import soak
from tests.support.processes import Holding


def test_a_short_soak_has_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    # The relay is still warming up, so only fast leaks are found.
    code = soak.main(["--seconds", "8", "--seed", "5", "--memory", "8192"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert " sessions, " in printed


def test_growth_is_distinguished_from_warming_up_and_peaks() -> None:
    def grown(*samples: tuple[float, int, int]) -> list[str]:
        return soak.growth([(Holding(memory, descriptors, 0.0), tasks) for memory, descriptors, tasks in samples], 1.0)

    warming, peak, rest = (10.0, 5, 3), (99.0, 12, 6), (90.0, 9, 4)
    assert grown(*[warming] * 4, rest, peak, peak, (90.5, 9, 4)) == []
    assert grown(*[rest] * 6, *[(92.5, 10, 4)] * 2) == [
        "memory in KiB grew from 90 to 92",
        "descriptors grew from 9 to 10",
    ]
