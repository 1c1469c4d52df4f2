"""Turns: all bytes in their order, none of it for long, and a pause behind what took long."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from simulator import turns as module
from simulator.turns import Turns


class Time:
    """A clock of processor time that stands still but for what work takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(turns: Turns, time: Time, cost: Callable[[bytes], tuple[float, bool]]) -> list[tuple[bytes, float | None]]:
    """Take everything; return what each turn took, and the pause behind it."""
    found = []
    for _ in range(10_000):
        turn = b""
        for piece in turns.pieces():
            seconds, completed = cost(piece)
            time.now += seconds
            turns.took(len(piece), completed=completed)
            turn += piece
        found.append((turn, turns.pause()))
        if found[-1][1] != 0.0:
            return found
    raise AssertionError("no end of turns")


@given(st.binary(max_size=20_000), st.floats(0, 1e-6), st.booleans())
def test_all_is_taken_in_order_and_no_turn_is_long(data: bytes, byte: float, completed: bool) -> None:
    time = Time()
    turns = Turns(time)
    turns.put(data[:100])
    turns.put(data[100:])
    found = taken(turns, time, lambda piece: (byte * len(piece), completed))
    assert b"".join(turn for turn, _ in found) == data
    for turn, _ in found:
        # A piece may begin just before the time is up, and is no more than doubled.
        assert byte * len(turn) <= 3 * module._TURN + byte * module._LEAST


def test_messages_that_are_complete_keep_the_pieces_small() -> None:
    time = Time()
    turns = Turns(time)
    turns.put(bytes(100_000))
    found = taken(turns, time, lambda piece: (len(piece) * 8e-6, True))  # 24 µs for three bytes
    assert max(len(turn) for turn, _ in found) == module._LEAST
    assert found[-1][1] is None


def test_a_large_message_is_taken_in_few_pieces() -> None:
    time = Time()
    turns = Turns(time)
    turns.put(bytes(1 << 20))
    sizes: list[int] = []

    def cost(piece: bytes) -> tuple[float, bool]:
        sizes.append(len(piece))
        return len(piece) * 1e-9, False

    assert [pause for _, pause in taken(turns, time, cost)][-1] is None
    assert len(sizes) < 50


def test_a_large_message_that_takes_long_is_paused_behind_for_a_hundred_times_as_long() -> None:
    time = Time()
    turns = Turns(time)
    turns.took(module._LARGE, completed=False)
    assert not turns.small(1)
    turns.put(b"}")
    assert taken(turns, time, lambda _: (0.05, True)) == [(b"}", 5.0)]
    turns.took(module._LARGE, completed=False)
    turns.put(b"}more")
    assert taken(turns, time, lambda _: (10.0, True))[0][1] == module._LONGEST_PAUSE


def test_a_small_message_is_never_paused_behind_whatever_the_machine_does_meanwhile() -> None:
    time = Time()
    turns = Turns(time)
    turns.put(bytes(2000))
    assert all(not pause for _, pause in taken(turns, time, lambda _: (0.5, True)))
    assert turns.small(1)


def test_what_waits_is_taken_first() -> None:
    turns = Turns(Time())
    assert turns.small(module._SMALL)
    assert not turns.small(module._SMALL + 1)
    turns.put(b"a")
    assert not turns.small(1)
