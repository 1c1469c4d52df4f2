"""Steps of a case that run at the same time."""

from __future__ import annotations

import select
import socket
import time
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.probe.waits import YieldingClock, at_once, ready

CLOCK = YieldingClock()


@given(pauses=st.lists(st.integers(0, 4), max_size=6), bad=st.sets(st.integers(0, 5), max_size=2))
def test_results_and_the_first_error_are_those_of_the_order(pauses: list[int], bad: set[int]) -> None:
    ended: list[int] = []

    def step(number: int) -> int:
        CLOCK.sleep(pauses[number] / 1000)
        ended.append(number)
        if number in bad:
            raise ValueError(number)
        return number

    wrong = sorted(bad & {*range(len(pauses))})
    try:
        assert at_once([partial(step, n) for n in range(len(pauses))]) == [*range(len(pauses))]
        assert not wrong
    except ValueError as error:
        assert error.args == (wrong[0],)  # noqa: PT017 - which error it is depends on the examples
    if len(pauses) > 1 or not wrong:
        assert sorted(ended) == [*range(len(pauses))]  # all steps are carried out


def test_waits_overlap_and_data_wakes_its_own_step_only() -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    order: list[int] = []

    def hear(number: int) -> list[int]:
        here = pairs[number][0]
        found = ready({here.fileno(): select.POLLIN}, 5.0 if number < 2 else 0.05)
        order.append(number)
        if found:
            here.recv(1)
            pairs[0][1].send(b"x")
        return found

    pairs[1][1].send(b"x")
    began = time.monotonic()
    found = at_once([lambda: hear(0), lambda: hear(1), lambda: hear(2)])
    assert time.monotonic() - began < 5.0
    assert [bool(each) for each in found] == [True, True, False]
    assert order.index(1) < order.index(0)
    for pair in pairs:
        for end in pair:
            end.close()


def test_an_interruption_ends_all_steps() -> None:
    cleaned: list[int] = []

    def step(number: int) -> None:
        if number == 1:
            CLOCK.sleep(0.0)
            raise KeyboardInterrupt
        try:
            CLOCK.sleep(60.0)
        finally:
            CLOCK.sleep(60.0)  # no wait delays the end
            cleaned.append(number)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        at_once([partial(step, n) for n in range(3)])
    assert cleaned == [0, 2]
    assert time.monotonic() - began < 30.0
    assert at_once([lambda: at_once([lambda: 1, lambda: 2])] * 2) == [[1, 2], [1, 2]]  # steps within a step
