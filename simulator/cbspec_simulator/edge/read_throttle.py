"""What one connection may take of the relay's time at once: the others beside it are to notice nothing of it.

What is small is taken as it comes. What is larger, or holds many messages, is taken piece by piece, in turns; where
others ask for little and wait for it, turns are short and leave most of the time to them. A single large message can't
be taken in pieces: a connection may spend a little time on such ones, and is not read from where it spent more, until
that is no more than a three-hundredth of its time. Where nobody else is there, nothing of this holds anybody up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_SMALL: Final = 1024  # bytes that are taken as they come
_LEAST, _FEW, _USUAL, _MOST = 16, 64, 512, 32 * 1024  # bytes of a piece: many only inside of a long message
_LARGE: Final = 8 * 1024  # bytes of a message from which on it may have to be paused behind
_TURN: Final = 0.00025  # seconds
_SHORT_TURN: Final = 0.00005
_GAP: Final = 4  # times as long as a turn took, a millisecond at most, until the next one
_WAITING: Final = 0.05  # seconds for which another one who asked for little counts as waiting
_FREE: Final = 0.002  # seconds that large messages may take without a pause behind them
_SHARE: Final = 1 / 300  # of the time
_LONGEST_PAUSE: Final = 30.0  # seconds
_LOOK: Final = 0.5  # seconds until it is looked again whether a pause need last
_AROUND: Final = 2.0  # seconds for which another one counts as there


@dataclass(slots=True)
class Crowd:
    """What a relay's connections know of each other: how often any of them asked for little."""

    asked: int = 0


class ReadThrottle:
    """The bytes of one connection that wait for their turn; `behind` says that messages wait that came already.

    Arguments: `crowd` is shared by all connections of a relay; `clock` gives the seconds of processor time, by which
    turns are measured: what other programs take mustn't count. The time that is handed in is any that never goes back,
    in seconds.
    """

    __slots__ = (
        "_asked",
        "_clock",
        "_crowd",
        "_data",
        "_heard",
        "_message",
        "_others",
        "_owed",
        "_since",
        "_size",
        "_spent",
        "_took",
        "behind",
    )

    def __init__(self, crowd: Crowd, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._crowd = crowd
        self._asked = 0  # how often this one asked for little
        self._others = crowd.asked  # how often others had when that was last looked at, and when it last was more
        self._heard = -math.inf
        self._data = bytearray()
        self.behind = False
        self._message = 0  # bytes since a message was complete
        self._took = 0  # messages of the last piece
        self._size = _USUAL
        self._owed = 0.0  # seconds that large messages took, less what was given for them since
        self._since = 0.0
        self._spent = 0.0  # seconds of the last turn

    def __bool__(self) -> bool:
        return self.behind or bool(self._data)

    def passes(self, size: int) -> bool:
        """Say whether so many bytes more are taken as they come; that is to ask for little, and others notice."""
        if size > _SMALL or self._data or self.behind or self._message + size > _LARGE:
            return False
        self._crowd.asked += 1
        self._asked += 1
        return True

    def put(self, data: bytes) -> None:
        """Take bytes that wait for their turn."""
        self._data += data

    def clear(self) -> None:
        """Forget what waits: nobody is there any more to take it."""
        self._data.clear()
        self.behind = False

    def pieces(self, now: float) -> Iterator[bytes]:
        """Give what is taken in this turn, piece by piece; after each `took` is told.

        An empty piece is for messages that came already.
        """
        self._spent, silence = 0.0, self._silence(now)
        if self._rest(now, silence):
            return
        began = before = self._clock()
        turn = _TURN if silence > _WAITING else _SHORT_TURN
        while self:
            piece, message = self._next(), self._message
            yield piece
            then = self._clock()
            if message + len(piece) > _LARGE and then - before > _TURN:
                self._owed = min(self._owed + then - before, _FREE + _LONGEST_PAUSE * _SHARE)
            if piece:
                self._measure(then - before, turn / 2)
            self._spent, before = then - began, then
            if self._spent >= turn:
                return

    def took(self, size: int, completed: int) -> None:
        """Take note that so many bytes were taken, and how much was complete with them."""
        self._took = completed
        if completed:
            self._message = 0
            if self._size > _USUAL:
                self._size = _USUAL
        else:
            self._message += size

    def pause(self, now: float) -> float | None:
        """Return in how many seconds to look again, or None where nothing is left and nobody need wait."""
        silence = self._silence(now)
        rest = self._rest(now, silence)
        if rest or not self:
            return min(rest, _LOOK) or None
        return 0.0 if silence > _WAITING else _GAP * min(self._spent, _TURN)

    def _next(self) -> bytes:
        if self.behind:
            self.behind = False
            return b""
        piece = bytes(self._data[: self._size])
        del self._data[: self._size]
        return piece

    def _measure(self, seconds: float, wanted: float) -> None:
        """Have pieces that take as long as is wanted; smaller ones don't help where it is one message that does."""
        if seconds > wanted and self._took != 1:
            self._size = max(_FEW if self._took else _LEAST, self._size // 4)
        elif seconds < wanted / 2 and not self.behind:
            self._size = min(2 * self._size, _USUAL if self._took else _MOST)

    def _silence(self, now: float) -> float:
        """Return for how many seconds nobody else asked for anything, as far as it was looked."""
        others = self._crowd.asked - self._asked
        if others != self._others:
            self._others, self._heard = others, now
        return now - self._heard

    def _rest(self, now: float, silence: float) -> float:
        """Return the seconds for which nothing is taken."""
        self._owed = max(0.0, self._owed - _SHARE * (now - self._since))
        self._since = now
        return max(0.0, self._owed - _FREE) / _SHARE if silence < _AROUND else 0.0
