"""Turns of reading: all bytes in order, no turn too long, and pauses for expensive messages."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec_simulator.edge import read_throttle as module
from cbspec_simulator.edge.read_throttle import Crowd, ReadThrottle


class Work:
    """A throttle, and a clock of processor time that only work advances."""

    def __init__(self, waiting: bytes = b"", *, busy: bool = False) -> None:
        self.time = 0.0
        self.crowd = Crowd()
        self.busy = busy
        self.throttle = ReadThrottle(self.crowd, lambda: self.time)
        if waiting:
            self.throttle.put(waiting)

    def turns(self, cost: Callable[[bytes], tuple[float, int]]) -> list[tuple[bytes, float | None]]:
        """Read everything; return each turn, and the pause after it, which isn't kept.

        `cost` returns the seconds of a piece and the messages that it completes; others are active if `busy`.
        """
        found = []
        for _ in range(100_000):
            turn = b""
            self.crowd.small_inputs += self.busy
            for piece in self.throttle.pieces(0.0):
                seconds, completed = cost(piece)
                self.time += seconds
                self.throttle.took(len(piece), completed)
                turn += piece
            found.append((turn, self.throttle.pause(0.0)))
            if not self.throttle or not turn:
                return found
        raise AssertionError("no end of turns")

    def read_large_message(self, seconds: float, now: float = 0.0) -> float | None:
        """Read a large message; return the pause after it."""
        self.throttle.took(module._LARGE, 0)
        assert not self.throttle.passes(1)
        self.throttle.put(b"}")
        for _ in self.throttle.pieces(now):
            self.time += seconds
            self.throttle.took(1, 1)
        return self.throttle.pause(now)


@given(st.binary(max_size=20_000), st.floats(0, 1e-6), st.integers(0, 2), st.booleans())
def test_all_input_is_read_in_order_in_short_turns(data: bytes, byte: float, completed: int, busy: bool) -> None:
    work = Work(data[:100], busy=busy)
    work.throttle.put(data[100:])
    found = work.turns(lambda piece: (byte * len(piece), completed))
    assert b"".join(turn for turn, _ in found) == data
    allowed = module._SHORT_TURN if busy else module._TURN
    # A piece may begin just before the end of the turn, and its size at most doubles.
    assert all(byte * len(turn) <= 2 * allowed + byte * module._USUAL for turn, _ in found)


@pytest.mark.parametrize("busy", [False, True])
def test_many_small_messages_are_read_in_small_pieces(busy: bool) -> None:
    # 24 µs for three bytes
    found = Work(bytes(100_000), busy=busy).turns(lambda piece: (len(piece) * 8e-6, len(piece) // 3))
    assert {len(turn) for turn, _ in found[10:-1]} == {module._FEW}
    assert {pause for _, pause in found[10:-1]} == {module._GAP * module._TURN if busy else 0.0}
    assert found[-1][1] is None


def test_the_backlog_is_handled_before_more_bytes() -> None:
    throttle = Work(b"more").throttle
    throttle.backlog = True
    assert not throttle.passes(1)
    found = []
    for piece in throttle.pieces(0.0):
        found.append(piece)
        throttle.backlog = len(found) < 3
        throttle.took(len(piece), 4)
    assert found == [b"", b"", b"", b"more"]
    assert not throttle


def test_expensive_messages_are_paused_until_they_are_a_small_share_of_the_time() -> None:
    work = Work()
    throttle = work.throttle
    work.crowd.small_inputs += 1
    assert work.read_large_message(module._BUDGET / 2) is None
    due = module._BUDGET / 2 / module._SHARE
    assert work.read_large_message(module._BUDGET) == pytest.approx(min(module._RECHECK, due))
    throttle.put(b"x")
    work.crowd.small_inputs += 1
    assert list(throttle.pieces(due - 0.01)) == []
    assert throttle.pause(due - 0.01) == pytest.approx(0.01)
    assert list(throttle.pieces(due + 0.01)) == [b"x"]
    work.read_large_message(1000.0, due)
    work.crowd.small_inputs += 1
    assert list(throttle.pieces(due + module._LONGEST_PAUSE - 0.01)) == []
    throttle.put(b"y")
    assert list(throttle.pieces(due + module._LONGEST_PAUSE + 0.01)) == [b"y"]


def test_the_pause_ends_when_no_other_connection_is_active() -> None:
    work = Work()
    work.crowd.small_inputs += 1
    assert work.read_large_message(1.0) == module._RECHECK
    work.throttle.put(b"more")
    assert work.throttle.pause(module._ACTIVE / 2) == module._RECHECK
    assert work.throttle.pause(module._ACTIVE + 0.01) == 0.0
    assert list(work.throttle.pieces(module._ACTIVE + 0.01)) == [b"more"]


def test_large_messages_are_read_in_few_pieces_and_expensive_ones_do_not_shrink_them() -> None:
    pieces = itertools.count()
    found = Work(bytes(1 << 20)).turns(lambda piece: (len(piece) * 1e-10 + 0 * next(pieces), 0))
    assert found[-1][1] is None
    assert next(pieces) < 50
    found = Work(bytes(1 << 20), busy=True).turns(lambda _: (0.00004, 0))  # a slow machine: any piece takes 40 µs
    assert len(found) < 50
    found = Work(bytes(10 * module._USUAL)).turns(lambda _: (0.01, 1))
    assert {len(turn) for turn, _ in found} == {module._USUAL}


def test_small_input_passes_unless_other_input_waits() -> None:
    throttle = Work().throttle
    assert throttle.passes(module._SMALL)
    assert not throttle.passes(module._SMALL + 1)
    throttle.put(b"a")
    assert not throttle.passes(1)
    throttle.clear()
    assert throttle.passes(1)
