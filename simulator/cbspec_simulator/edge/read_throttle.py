"""The share of the relay's time that the input of one connection may take: other connections must not notice.

Small input is read at once. Larger input, or many messages, are read in turns: short ones, with gaps, while other
connections wait. A single large message can't be read in parts: a connection has a small budget for them, and after
that is paused until they took no more than a three-hundredth of the time. All this applies only while other connections
are active.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_SMALL: Final = 1024  # bytes of input that are read at once
_LEAST, _FEW, _USUAL, _MOST = 16, 64, 512, 32 * 1024  # bytes of a piece; the largest only inside a long message
_LARGE: Final = 8 * 1024  # bytes of a message that counts against the budget
_TURN: Final = 0.00025  # seconds
_SHORT_TURN: Final = 0.00005
_GAP: Final = 4  # the gap between short turns, as a multiple of the last turn, at most a millisecond
_WAITING: Final = 0.05  # seconds for which another connection counts as waiting after small input
_BUDGET: Final = 0.002  # seconds for large messages without a pause
_SHARE: Final = 1 / 300  # of the time for large messages beyond the budget
_LONGEST_PAUSE: Final = 30.0  # seconds
_RECHECK: Final = 0.5  # seconds until a pause is reconsidered
_ACTIVE: Final = 2.0  # seconds for which another connection counts as active after small input


@dataclass(slots=True)
class Crowd:
    """The number of small inputs of all connections of a relay."""

    small_inputs: int = 0


class ReadThrottle:
    """The unread input of one connection; `backlog`: messages of earlier input wait to be handled.

    Arguments: `crowd` is shared by all connections of a relay; `clock` returns seconds of processor time, which other
    programs don't affect. The time that is passed to methods is in seconds of a monotonic clock.
    """

    __slots__ = (
        "_clock",
        "_completed",
        "_crowd",
        "_data",
        "_fixed",
        "_heard",
        "_message",
        "_others",
        "_owed",
        "_own",
        "_since",
        "_size",
        "_spent",
        "backlog",
    )

    def __init__(self, crowd: Crowd, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._crowd = crowd
        self._own = 0  # small inputs of this connection
        self._others = crowd.small_inputs  # those of the other connections when they were last counted,
        self._heard = -math.inf  # and the time at which the number last grew
        self._data = bytearray()
        self.backlog = False
        self._message = 0  # bytes since the end of the last message
        self._completed = 0  # messages that the last piece completed
        self._size = _USUAL
        self._fixed = 0.0  # seconds that a piece takes whatever its size
        self._owed = 0.0  # seconds for large messages, less the share of the time since
        self._since = 0.0
        self._spent = 0.0  # seconds of the last turn

    def __bool__(self) -> bool:
        return self.backlog or bool(self._data)

    def passes(self, size: int) -> bool:
        """Count `size` bytes as small input, and return whether they are: they can be read at once."""
        if size > _SMALL or self._data or self.backlog or self._message + size > _LARGE:
            return False
        self._crowd.small_inputs += 1
        self._own += 1
        return True

    @property
    def waiting(self) -> bytes:
        """The unread input."""
        return bytes(self._data)

    def put(self, data: bytes) -> None:
        """Add input that waits for its turn."""
        self._data += data

    def clear(self) -> None:
        """Drop all input."""
        self._data.clear()
        self.backlog = False

    def pieces(self, now: float) -> Iterator[bytes]:
        """Return the input of one turn in pieces; call `took` after each. An empty piece stands for the backlog."""
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
                self._owed = min(self._owed + then - before, _BUDGET + _LONGEST_PAUSE * _SHARE)
            if piece:
                self._adapt(then - before, turn / 2)
            self._spent, before = then - began, then
            if self._spent >= turn:
                return

    def took(self, size: int, completed: int) -> None:
        """Record that a piece was read, and how many messages it completed."""
        self._completed = completed
        if completed:
            self._message = 0
            self._size = min(self._size, _USUAL)
        else:
            self._message += size

    def pause(self, now: float) -> float | None:
        """Return the seconds until the next turn; None if no input is left and no pause is needed."""
        silence = self._silence(now)
        rest = self._rest(now, silence)
        if rest or not self:
            return min(rest, _RECHECK) or None
        return 0.0 if silence > _WAITING else _GAP * min(self._spent, _TURN)

    def _next(self) -> bytes:
        if self.backlog:
            self.backlog = False
            return b""
        piece = bytes(self._data[: self._size])
        del self._data[: self._size]
        return piece

    def _adapt(self, seconds: float, wanted: float) -> None:
        """Adapt the size of pieces to the wanted time; smaller ones don't shorten the work on a single message."""
        if not self._completed:
            # Without this, the smallest pieces stay small on a machine that calls our functions slowly.
            if self._size == _LEAST:
                self._fixed = min(seconds, 2 * wanted)
            seconds -= self._fixed
        if seconds > wanted and self._completed != 1:
            self._size = max(_FEW if self._completed else _LEAST, self._size // 4)
        elif seconds < wanted / 2 and not self.backlog:
            self._size = min(2 * self._size, _USUAL if self._completed else _MOST)

    def _silence(self, now: float) -> float:
        """Return the seconds since another connection's last small input, as far as it was counted."""
        others = self._crowd.small_inputs - self._own
        if others != self._others:
            self._others, self._heard = others, now
        return now - self._heard

    def _rest(self, now: float, silence: float) -> float:
        """Return the seconds of the pause that large messages demand."""
        self._owed = max(0.0, self._owed - _SHARE * (now - self._since))
        self._since = now
        return max(0.0, self._owed - _BUDGET) / _SHARE if silence < _ACTIVE else 0.0
