"""What one connection may take of the relay's time at once: the others beside it are to notice nothing of it.

What is small is taken as it comes. What is larger, or holds many messages, is taken piece by piece, for a quarter of a
millisecond a turn. A single large message can't be taken in pieces; whoever sends one that takes long is then not read
from for a hundred times as long, so that it costs the others a hundredth at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

_SMALL: Final = 1024  # bytes that are taken as they come
_LEAST, _MOST = 128, 32 * 1024  # bytes of a piece: few where each holds whole messages, more inside of a long one
_LARGE: Final = 32 * 1024  # bytes of a message from which on it may have to pause
_TURN: Final = 0.00025  # seconds
_LONG: Final = 0.004  # seconds that a message may take without a pause behind it
_PAUSE: Final = 100  # times as long as it took
_LONGEST_PAUSE: Final = 10.0  # seconds


class Turns:
    """The bytes of one connection that wait for their turn.

    Arguments: `clock` gives the seconds of processor time, by which turns are measured: what other programs take
    mustn't count.
    """

    __slots__ = ("_clock", "_data", "_message", "_size", "_spent")

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._data = bytearray()
        self._message = 0  # bytes since a message was complete
        self._size = _LEAST
        self._spent = 0.0

    def small(self, size: int) -> bool:
        """Say whether so many bytes more can be taken as they come."""
        return size <= _SMALL and not self._data and self._message + size <= _LARGE

    def put(self, data: bytes) -> None:
        """Take bytes that wait for their turn."""
        self._data += data

    def clear(self) -> None:
        """Forget what waits: nobody is there any more to take it."""
        self._data.clear()

    def pieces(self) -> Iterator[bytes]:
        """Give what is taken in this turn, piece by piece; after each `took` is told."""
        began, self._spent = self._clock(), 0.0
        while self._data:
            piece = bytes(self._data[: self._size])
            del self._data[: self._size]
            before, message = self._clock(), self._message
            yield piece
            now = self._clock()
            if message + len(piece) > _LARGE and now - before > _LONG:
                self._spent = now - before
            if now - before > _TURN / 2:
                self._size = max(_LEAST, self._size // 4)
            if self._spent or now - began > _TURN:
                return

    def took(self, size: int, *, completed: bool) -> None:
        """Take note that so many bytes were taken, and whether anything was complete with them."""
        self._message = 0 if completed else self._message + size
        self._size = _LEAST if completed else min(2 * self._size, _MOST)

    def pause(self) -> float | None:
        """Return in how many seconds the next turn is, or None where nothing is left and nobody need wait."""
        if self._spent:
            return min(_PAUSE * self._spent, _LONGEST_PAUSE)
        return 0.0 if self._data else None
