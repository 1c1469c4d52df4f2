"""What a connection still has to do, and when: late, in pieces, out of order, or once somebody lets it go.

It knows no socket and reads no clock: it is told the time, and gives what is due.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from simulator.behaviour import Writing
from simulator.events import Sent
from simulator.faults.kind import Delivery
from simulator.session import Action, Close, Send, Wait

_PLAIN: Final = Delivery()


@dataclass(slots=True)
class _Company:
    """Messages that go out as one: their bytes, what is told then, how, for how many they wait and until when."""

    data: bytes
    then: tuple[Sent, ...]
    delivery: Delivery
    wanted: int
    until: float


class Outbox:
    """The actions of one connection that are not performed yet.

    Arguments: `writing` is the relay's way of putting bytes on the wire. Times are in seconds of any clock that never
    goes back.
    """

    __slots__ = ("_aside", "_company", "_due", "_held", "_writing")

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._due: deque[tuple[float, Action]] = deque()
        self._held: list[tuple[set[str], Send | Wait]] = []
        self._aside: tuple[float, Send] | None = None
        self._company: _Company | None = None

    def __bool__(self) -> bool:
        return bool(self._due or self._aside or self._company)

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
            else:
                self._pass(action, now)

    def end(self, now: float) -> None:
        """Take note that nothing more comes: who waits for others goes out without them."""
        self._bring_back(now)
        self._part(now)

    def clear(self) -> None:
        """Forget everything: the connection is gone."""
        self._due.clear()
        self._held.clear()
        self._aside = self._company = None

    def next_due(self) -> float | None:
        """Return when something is due next, if anything is."""
        times = [self._due[0][0]] if self._due else []
        if self._aside is not None:
            times.append(self._aside[0])
        if self._company is not None:
            times.append(self._company.until)
        return min(times, default=None)

    def due(self, now: float) -> Iterator[Action]:
        """Give what is due, in order; a `Wait` comes when it is over."""
        while True:
            if self._company is not None and self._company.until <= now:
                self._part(now)
            if self._aside is not None and self._aside[0] <= now:
                self._bring_back(now)
            if not self._due or self._due[0][0] > now:
                return
            yield self._due.popleft()[1]

    def _schedule(self, action: Action, now: float) -> None:
        match action:
            case Send(delivery=Delivery(gates=[_, *_] as gates)) | Wait(gates=(_, *_) as gates):
                self._held.append((set(gates), action))
            case Send() | Wait():
                self._pass(action, now)
            case Close():
                self.end(now)
                self._put(now, action)
            case _:
                self._put(now, action)

    def _pass(self, action: Send | Wait, now: float) -> None:
        """Take what nothing holds back."""
        if isinstance(action, Wait):
            self._put(self._last(now) + action.seconds, action)
        elif action.delivery is not None and action.delivery.swap and self._aside is None:
            self._aside = now + action.delivery.within, action
        else:
            self._send(action, now)
            self._bring_back(now)

    def _bring_back(self, now: float) -> None:
        """Send what was put aside."""
        if self._aside is not None:
            (_, send), self._aside = self._aside, None
            self._send(send, now)

    def _send(self, send: Send, now: float) -> None:
        delivery = send.delivery or _PLAIN
        data = send.data if delivery.length is None else send.data[: delivery.length]
        if delivery.join <= 1 and self._company is None:
            self._put_pieces(data, send.then, delivery, now)
            return
        if self._company is None:
            self._company = _Company(data, send.then, delivery, delivery.join - 1, now + delivery.within)
        else:
            company = self._company
            company.data += data
            company.then += send.then
            company.wanted -= 1
            company.delivery.pause = max(company.delivery.pause, delivery.pause)
            company.delivery.end = delivery.end
        if self._company.wanted <= 0 or delivery.end is not None:
            self._part(now)

    def _part(self, now: float) -> None:
        """Send what has come together so far."""
        if self._company is not None:
            company, self._company = self._company, None
            self._put_pieces(company.data, company.then, company.delivery, now)

    def _put_pieces(self, data: bytes, then: tuple[Sent, ...], delivery: Delivery, now: float) -> None:
        due = max(self._last(now), now + self._writing.pause() + delivery.pause)
        pieces = [(0.0, data)] if delivery.cuts else list(self._pieces(data))
        for cut in delivery.cuts:
            pieces = [
                (before if number else gap + before, part)
                for gap, piece in pieces
                for number, (before, part) in enumerate(cut(piece))
            ]
        left = len(data)
        for before, piece in pieces:
            due += before
            left -= len(piece)
            if piece:
                self._put(due, Send(piece, then=() if left else then))
        if delivery.end is not None:
            self._put(due, Close(delivery.end))

    def _pieces(self, data: bytes) -> Iterator[tuple[float, bytes]]:
        for number, piece in enumerate(self._writing.pieces(data)):
            yield self._writing.gap if number else 0.0, piece

    def _last(self, now: float) -> float:
        return max(now, self._due[-1][0]) if self._due else now

    def _put(self, due: float, action: Action) -> None:
        self._due.append((max(due, self._last(due)), action))


def _merged(actions: Iterable[Action]) -> list[Action]:
    """Join what is sent in a row."""
    joined: list[Action] = []
    for action in actions:
        last = joined[-1] if joined else None
        if isinstance(action, Send) and isinstance(last, Send) and not (action.delivery or last.delivery):
            joined[-1] = Send(last.data + action.data, then=last.then + action.then)
        else:
            joined.append(action)
    return joined
