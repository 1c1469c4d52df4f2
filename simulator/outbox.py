"""What a connection still has to do, and when: late, in pieces, out of order, or once somebody lets it go.

It knows no socket and reads no clock: it is told the time, and gives what is due.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from simulator.behaviour import Writing
from simulator.faults.kind import Delivery
from simulator.session import Action, Close, Send, Wait

_PLAIN: Final = Delivery()


class Outbox:
    """The actions of one connection that are not performed yet.

    Arguments: `writing` is the relay's way of putting bytes on the wire. Times are in seconds of any clock that never
    goes back.
    """

    __slots__ = ("_aside", "_due", "_held", "_joined", "_joining", "_writing")

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._due: deque[tuple[float, Action]] = deque()
        self._held: list[tuple[set[str], Send | Wait]] = []
        self._aside: list[tuple[float, Send]] = []
        self._joined = b""
        self._joining: tuple[int, float] | None = None

    def __bool__(self) -> bool:
        return bool(self._due or self._aside or self._joined)

    def put(self, actions: Iterable[Action], now: float) -> None:
        """Take what is to be done, behind all that was taken before."""
        for action in _merged(actions) if self._writing.merge else actions:
            self._schedule(action, now)

    def release(self, gate: str, now: float) -> None:
        """Let go what is held back by a gate, where no other one holds it as well."""
        held, self._held = self._held, []
        for gates, action in held:
            gates.discard(gate)
            if gates:
                self._held.append((gates, action))
            elif isinstance(action, Send):
                self._send(action, now)
            else:
                self._put(self._last(now) + action.seconds, action)

    def clear(self) -> None:
        """Forget everything: the connection is gone."""
        self._due.clear()
        self._held.clear()
        self._aside.clear()
        self._joined = b""

    def next_due(self) -> float | None:
        """Return when something is due next, if anything is."""
        times = [due for due, _ in self._aside]
        if self._due:
            times.append(self._due[0][0])
        if self._joining is not None:
            times.append(self._joining[1])
        return min(times, default=None)

    def due(self, now: float) -> Iterator[Action]:
        """Give what is due, in order; a `Wait` comes when it is over."""
        while True:
            if self._joining is not None and self._joining[1] <= now:
                self._part_company(now)
            elif self._aside and self._aside[0][0] <= now:
                self._cut(self._aside.pop(0)[1], now)
            if not self._due or self._due[0][0] > now:
                return
            yield self._due.popleft()[1]

    def _schedule(self, action: Action, now: float) -> None:
        match action:
            case Send(delivery=Delivery(gates=[_, *_] as gates)):
                self._held.append((set(gates), action))
            case Send():
                self._send(action, now)
            case Wait(gates=(_, *_) as gates):
                self._held.append((set(gates), action))
            case Wait():
                self._put(self._last(now) + action.seconds, action)
            case _:
                self._part_company(now)
                self._put(self._last(now), action)

    def _send(self, send: Send, now: float) -> None:
        delivery = send.delivery or _PLAIN
        if delivery.swap:
            self._aside.append((now + delivery.within, send))
            return
        if delivery.join > 1 or self._joining is not None:
            self._join(send.data, delivery, now)
            return
        self._cut(send, now)
        for _, earlier in self._aside:
            self._cut(earlier, now)
        self._aside.clear()

    def _join(self, data: bytes, delivery: Delivery, now: float) -> None:
        self._joined += data
        wanted, until = self._joining or (delivery.join, now + delivery.within)
        self._joining = wanted - 1, until
        if wanted <= 1:
            self._part_company(now)

    def _part_company(self, now: float) -> None:
        """Send together what has come together so far."""
        data, self._joined, self._joining = self._joined, b"", None
        if data:
            self._put(self._last(now), Send(data))

    def _cut(self, send: Send, now: float) -> None:
        """Put a message's bytes in line, in the pieces in which they go out."""
        delivery = send.delivery or _PLAIN
        data = send.data if delivery.cut is None else send.data[: delivery.cut]
        due = max(self._last(now), now + self._writing.pause() + delivery.pause)
        for gap, piece in delivery.pieces(data) if delivery.pieces else self._pieces(data):
            due += gap
            self._put(due, Send(piece))
        if delivery.end is not None:
            self._put(due, Close(delivery.end))

    def _pieces(self, data: bytes) -> Iterator[tuple[float, bytes]]:
        for number, piece in enumerate(self._writing.pieces(data)):
            yield self._writing.gap if number else 0.0, piece

    def _last(self, now: float) -> float:
        return max(now, self._due[-1][0]) if self._due else now

    def _put(self, due: float, action: Action) -> None:
        self._due.append((due, action))


def _merged(actions: Iterable[Action]) -> list[Action]:
    """Join what is sent in a row."""
    joined: list[Action] = []
    for action in actions:
        last = joined[-1] if joined else None
        if isinstance(action, Send) and isinstance(last, Send) and not (action.delivery or last.delivery):
            joined[-1] = Send(last.data + action.data)
        else:
            joined.append(action)
    return joined
