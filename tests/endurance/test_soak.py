"""The soak in its short form, and how it tells growth from rest."""

from __future__ import annotations

import pytest

from cbspec_simulator.faults.fault import Fault
from tests.endurance.promises import PROMISES, STORMS, Promise
from tests.endurance.soak import main, plateaus
from tests.support.processes import Holding


def test_a_short_soak_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    # Within ten seconds the relay is still warming up: only what leaks fast can show in its memory.
    code = main(["--seconds", "8", "--seed", "5", "--memory", "8192"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert "nothing was found (seed 5)" in said
    assert "'served'" in said


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: f"{promise.kind}-{promise.message}-{promise.outcome}")
def test_every_promise_is_about_a_fault_that_there_is(promise: Promise) -> None:
    fault = Fault.read(promise.fault("a-name", "somebody"))
    assert fault.name == "a-name"


def test_storms_are_faults() -> None:
    for storm in STORMS:
        Fault.read({"name": "storm", **storm})


def samples(*held: tuple[float, int, int]) -> list[tuple[Holding, int]]:
    return [(Holding(memory, descriptors, 0.0), tasks) for memory, descriptors, tasks in held]


def test_warming_up_and_peaks_are_no_growth() -> None:
    warming, peak, rest = (10.0, 5, 3), (99.0, 12, 6), (90.0, 9, 4)
    resting = samples(warming, warming, warming, warming, rest, peak, peak, (90.5, 9, 4))
    assert plateaus(resting, 1.0) == []


@pytest.mark.parametrize(("last", "said"), [
    ((92.5, 9, 4), "memory in KiB grew from 90 to 92"),
    ((90.0, 10, 4), "descriptors grew from 9 to 10"),
    ((90.0, 9, 5), "tasks grew from 4 to 5"),
])  # fmt: skip
def test_growth_is_named(last: tuple[float, int, int], said: str) -> None:
    assert plateaus(samples(*[(90.0, 9, 4)] * 6, last, last), 1.0) == [said]
