"""Sessions under seeded fault schedules on both transports; `make schedules` runs a thousand."""

from __future__ import annotations

from collections import Counter

import pytest

from cbspec_simulator.faults.catalogue import KINDS
from tests.reference_client.schedules import FaultSchedule, check


@pytest.mark.parametrize("first", range(0, 40, 8))
def test_a_session_works_or_ends_with_the_right_exception(first: int) -> None:
    for seed in range(first, first + 8):
        schedule, _, found = check(seed)
        assert not found, f"{schedule}\n{found}"


def test_a_seed_repeats_its_session() -> None:
    sessions = [[event.name for event in check(5)[1].events] for _ in range(2)]
    assert sessions[0] == sessions[1]


def test_schedules_have_all_kinds_of_faults() -> None:
    drawn = Counter(fault["kind"] for seed in range(1000) for fault in FaultSchedule.draw(seed).faults)
    assert set(drawn) == set(KINDS)
