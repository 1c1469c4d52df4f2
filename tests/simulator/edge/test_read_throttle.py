"""Turns: all bytes in their order, none of it for long, and a pause behind what took long."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec_simulator.edge import read_throttle as module
from cbspec_simulator.edge.read_throttle import Crowd, ReadThrottle


class Time:
    """A clock of processor time that stands still but for what work takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(
    turns: ReadThrottle, time: Time, cost: Callable[[bytes], tuple[float, int]], crowd: Crowd | None = None
) -> list[tuple[bytes, float | None]]:
    """Take everything, while others of a crowd ask; return each turn, and the pause behind it, which isn't kept."""
    found = []
    for _ in range(100_000):
        turn = b""
        if crowd is not None:
            crowd.asked += 1
        for piece in turns.pieces(0.0):
            seconds, completed = cost(piece)
            time.now += seconds
            turns.took(len(piece), completed)
            turn += piece
        found.append((turn, turns.pause(0.0)))
        if not turns or not turn:
            return found
    raise AssertionError("no end of turns")


@given(st.binary(max_size=20_000), st.floats(0, 1e-6), st.integers(0, 2), st.booleans())
def test_all_is_taken_in_order_and_no_turn_is_long(data: bytes, byte: float, completed: int, busy: bool) -> None:
    time, crowd = Time(), Crowd()
    turns = ReadThrottle(crowd, time)
    turns.put(data[:100])
    turns.put(data[100:])
    found = taken(turns, time, lambda piece: (byte * len(piece), completed), crowd if busy else None)
    assert b"".join(turn for turn, _ in found) == data
    allowed = module._SHORT_TURN if busy else module._TURN
    for turn, _ in found:
        # A piece may begin just before the time is up, and is no more than doubled.
        assert byte * len(turn) <= 2 * allowed + byte * module._USUAL


@pytest.mark.parametrize("busy", [False, True])
def test_many_small_messages_are_taken_a_few_at_a_time(busy: bool) -> None:
    time, crowd = Time(), Crowd()
    turns = ReadThrottle(crowd, time)
    turns.put(bytes(100_000))
    # 24 µs for three bytes
    found = taken(turns, time, lambda piece: (len(piece) * 8e-6, len(piece) // 3), crowd if busy else None)
    later = found[10:-1]
    assert {len(turn) for turn, _ in later} == {module._FEW}
    assert {pause for _, pause in later} == {module._GAP * module._TURN if busy else 0.0}
    assert found[-1][1] is None


def test_frames_that_say_nothing_are_taken_fewer_at_a_time_still() -> None:
    time, crowd = Time(), Crowd()
    turns = ReadThrottle(crowd, time)
    turns.put(bytes(100_000))
    found = taken(turns, time, lambda piece: (len(piece) * 2e-6, 0), crowd)
    assert all(len(turn) * 2e-6 < module._SHORT_TURN + 2 * module._LEAST * 2e-6 for turn, _ in found[10:])


def test_a_message_that_takes_long_by_itself_makes_no_smaller_pieces() -> None:
    time = Time()
    turns = ReadThrottle(Crowd(), time)
    turns.put(bytes(10 * module._USUAL))
    assert {len(turn) for turn, _ in taken(turns, time, lambda _: (0.01, 1))} == {module._USUAL}


def test_a_large_message_is_taken_in_few_pieces() -> None:
    time = Time()
    turns = ReadThrottle(Crowd(), time)
    turns.put(bytes(1 << 20))
    sizes: list[int] = []

    def cost(piece: bytes) -> tuple[float, int]:
        sizes.append(len(piece))
        return len(piece) * 1e-10, 0

    assert [pause for _, pause in taken(turns, time, cost)][-1] is None
    assert len(sizes) < 50


def test_messages_that_wait_are_taken_before_more_bytes_are() -> None:
    turns = ReadThrottle(Crowd(), Time())
    turns.put(b"more")
    turns.behind = True
    assert not turns.passes(1)
    found = []
    for piece in turns.pieces(0.0):
        found.append(piece)
        turns.behind = len(found) < 3
        turns.took(len(piece), 4)
    assert found == [b"", b"", b"", b"more"]
    assert not turns


def heavy(turns: ReadThrottle, time: Time, seconds: float, now: float = 0.0) -> float | None:
    """Take a large message; return the pause behind it."""
    turns.took(module._LARGE, 0)
    assert not turns.passes(1)
    turns.put(b"}")
    for _ in turns.pieces(now):
        time.now += seconds
        turns.took(1, 1)
    return turns.pause(now)


def test_large_messages_that_take_long_are_paused_behind_until_they_are_a_small_share() -> None:
    time, crowd = Time(), Crowd()
    turns = ReadThrottle(crowd, time)
    crowd.asked += 1
    assert heavy(turns, time, module._FREE / 2) is None
    due = module._FREE / 2 / module._SHARE
    assert heavy(turns, time, module._FREE) == pytest.approx(min(module._LOOK, due))
    turns.put(b"x")
    crowd.asked += 1
    assert list(turns.pieces(due - 0.01)) == []
    assert turns.pause(due - 0.01) == pytest.approx(0.01)
    assert list(turns.pieces(due + 0.01)) == [b"x"]
    heavy(turns, time, 1000.0, due)
    crowd.asked += 1
    assert list(turns.pieces(due + module._LONGEST_PAUSE - 0.01)) == []
    turns.put(b"y")
    assert list(turns.pieces(due + module._LONGEST_PAUSE + 0.01)) == [b"y"]


def test_nobody_is_paused_while_nobody_else_is_there() -> None:
    time, crowd = Time(), Crowd()
    turns = ReadThrottle(crowd, time)
    crowd.asked += 1
    assert heavy(turns, time, 1.0) == module._LOOK
    turns.put(b"more")
    assert turns.pause(module._AROUND / 2) == module._LOOK
    assert turns.pause(module._AROUND + 0.01) == 0.0
    assert list(turns.pieces(module._AROUND + 0.01)) == [b"more"]


def test_what_it_asks_itself_keeps_nobody_waiting() -> None:
    crowd = Crowd()
    before = ReadThrottle(crowd, Time())
    assert before.passes(1)
    turns = ReadThrottle(crowd, Time())
    assert turns.passes(1)
    turns.put(b"more")
    assert turns._silence(0.0) > module._AROUND
    assert before.passes(1)
    assert turns._silence(1.0) == 0.0


def test_a_small_message_is_never_paused_behind_whatever_the_machine_does_meanwhile() -> None:
    time, crowd = Time(), Crowd()
    turns = ReadThrottle(crowd, time)
    turns.put(bytes(2000))
    pauses = [pause for _, pause in taken(turns, time, lambda _: (0.5, 1), crowd)]
    assert pauses[:-1] == [module._GAP * module._TURN] * (len(pauses) - 1)
    assert pauses[-1] is None
    assert turns.passes(1)


def test_what_waits_is_taken_first() -> None:
    turns = ReadThrottle(Crowd(), Time())
    assert turns.passes(module._SMALL)
    assert not turns.passes(module._SMALL + 1)
    turns.put(b"a")
    assert not turns.passes(1)
    turns.clear()
    assert turns.passes(1)
