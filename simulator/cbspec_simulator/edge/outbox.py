"""The actions of one connection, performed in order: at once, delayed, in pieces, swapped, joined or held back.

It uses no socket and reads no clock: the caller passes the time, in seconds of a monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cbspec_simulator.faults.kind import FILLER, Cut, Delivery
from cbspec_simulator.relay.actions import Action, CloseAction, SendAction, WaitAction
from cbspec_simulator.relay.behaviour import Writing, in_one_piece
from cbspec_simulator.relay.events import EndedBy

_BATCH: Final = 256  # actions of one connection that are performed before other connections have their turn
_CHUNK: Final = 64 * 1024  # bytes of a long message that are sent at once,
_TURN: Final = 256 * 1024  # and of one connection before other connections have their turn
_PLAIN: Final = Delivery()

_Timed = Iterator[tuple[float, Action]]
"""Actions, each with the seconds after the one before."""


@dataclass(slots=True)
class _Joined:
    """Messages that are sent together, once `missing` more have come, or at `until`."""

    send: SendAction
    delivery: Delivery
    missing: int
    until: float


class Outbox:
    """Performs actions in the order that `writing` (the relay's way to write) and the deliveries of faults demand.

    Arguments: `perform` performs one action. While `blocked` is set, the socket's write buffer is full, and nothing is
    performed.
    """

    __slots__ = (
        "_held",
        "_joined",
        "_last_due",
        "_next",
        "_perform",
        "_plain",
        "_queued",
        "_swapped",
        "_writing",
        "blocked",
    )

    def __init__(self, writing: Writing, perform: Callable[[Action], None]) -> None:
        self.blocked = False
        self._perform = perform
        self._writing = writing
        self._plain = writing.plain
        self._next: tuple[float, Action] | None = None
        self._last_due = 0.0
        # Each with its earliest time. A large answer is split while it is sent: all its pieces would take much memory.
        self._queued: deque[tuple[float, _Timed]] = deque()
        self._held: list[tuple[set[str], SendAction | WaitAction]] = []
        self._swapped: tuple[float, SendAction] | None = None
        self._joined: _Joined | None = None

    def __bool__(self) -> bool:
        return bool(self._next or self._swapped or self._joined)

    @property
    def waits(self) -> bool:
        """Whether an action waits for its time, for another one, or for a gate."""
        return bool(self or self._held)

    def add(self, actions: Sequence[Action], now: float) -> None:
        """Perform actions after the queued ones."""
        for nth, action in enumerate(actions):
            short = isinstance(action, SendAction) and action.delivery is None and len(action.data) <= _CHUNK
            at_once = self._plain and short
            if not at_once or nth == _BATCH or self.blocked or self:
                self.put(actions[nth:], now)
                self.run(now)
                return
            self._perform(action)

    def run(self, now: float) -> None:
        """Perform the actions that are due, at most one batch."""
        size = 0
        for done, action in enumerate(self.due(now), 1):
            self._perform(action)
            size += len(action.data) if isinstance(action, SendAction) else 0
            if self.blocked or done == _BATCH or size >= _TURN:
                return

    def put(self, actions: Iterable[Action], now: float) -> None:
        """Queue actions."""
        for action in _merged(actions) if self._writing.merge else actions:
            match action:
                case SendAction(delivery=Delivery(gates=[_, *_] as gates)) | WaitAction(gates=(_, *_) as gates):
                    self._held.append((set(gates), action))
                case SendAction() | WaitAction():
                    self._pass(action, now)
                case _:
                    if isinstance(action, CloseAction):
                        self.end(now)
                    self._queue(now, iter([(0.0, action)]))

    def release(self, gate: str, now: float) -> None:
        """Open a gate: queue the actions that no other gate holds back."""
        held, self._held = self._held, []
        for gates, action in held:
            gates.discard(gate)
            if gates:
                self._held.append((gates, action))
            else:
                self._pass(action, now)

    def end(self, now: float) -> None:
        """Send messages that wait for others: none will come."""
        self._send_swapped(now)
        self._send_joined(now)

    def clear(self) -> None:
        """Drop all actions."""
        self._queued.clear()
        self._held.clear()
        self._next = self._swapped = self._joined = None

    def next_due(self) -> float | None:
        """Return the time of the next action, if any."""
        times = [each[0] for each in (self._next, self._swapped) if each]
        return min([*times, self._joined.until] if self._joined else times, default=None)

    def due(self, now: float) -> Iterator[Action]:
        """Return the actions that are due, in order; a `WaitAction` is due after its time."""
        while True:
            if self._joined is not None and self._joined.until <= now:
                self._send_joined(now)
            if self._swapped is not None and self._swapped[0] <= now:
                self._send_swapped(now)
            if self._next is None or self._next[0] > now:
                return
            self._last_due, action = self._next
            self._advance()
            yield action

    def _pass(self, action: SendAction | WaitAction, now: float) -> None:
        """Queue an action that no gate holds back."""
        if isinstance(action, WaitAction):
            self._queue(now, iter([(action.seconds, action)]))
        elif action.delivery is not None and action.delivery.swap and self._swapped is None:
            self._swapped = now + action.delivery.within, action
        else:
            self._send(action, now)
            self._send_swapped(now)

    def _send_swapped(self, now: float) -> None:
        if self._swapped is not None:
            (_, send), self._swapped = self._swapped, None
            self._send(send, now)

    def _send(self, send: SendAction, now: float) -> None:
        delivery = send.delivery or _PLAIN
        if delivery.fill:
            self._send_joined(now)
        else:
            send = SendAction(send.data if delivery.length is None else send.data[: delivery.length], None, send.then)
        joined = self._joined
        if joined is None:
            if delivery.join <= 1:
                self._split(send, delivery, now)
                return
            joined = self._joined = _Joined(send, delivery, delivery.join - 1, now + delivery.within)
        else:
            joined.send = SendAction(joined.send.data + send.data, None, joined.send.then + send.then)
            joined.missing -= 1
            joined.delivery.pause = max(joined.delivery.pause, delivery.pause)
            joined.delivery.end = delivery.end
        if joined.missing <= 0 or delivery.end is not None:
            self._send_joined(now)

    def _send_joined(self, now: float) -> None:
        if self._joined is not None:
            joined, self._joined = self._joined, None
            self._split(joined.send, joined.delivery, now)

    def _split(self, send: SendAction, delivery: Delivery, now: float) -> None:
        self._queue(now + self._writing.pause() + delivery.pause, self._pieces(send, delivery))

    def _pieces(self, send: SendAction, delivery: Delivery) -> _Timed:
        writing = self._writing
        size = len(send.data) + delivery.fill
        left = size if delivery.length is None or not delivery.fill else min(size, delivery.length)
        pieces: Iterator[tuple[float, bytes]] = ((0.0, piece) for piece in _chunks(send.data, delivery, left))
        if delivery.whole:
            pieces = iter([(0.0, send.data)])
        elif not (delivery.cuts or delivery.fill or writing.pieces is in_one_piece):
            pieces = ((writing.gap if nth else 0.0, piece) for nth, piece in enumerate(writing.pieces(send.data)))
        for cut in delivery.cuts:
            pieces = _cut(pieces, cut)
        waited = 0.0
        for before, piece in pieces:
            waited += before
            left -= len(piece)
            if piece:
                yield waited, SendAction(piece, then=() if left else send.then)
                waited = 0.0
        if delivery.end is not None:
            yield waited, CloseAction(delivery.end, EndedBy.FAULT)

    def _queue(self, begin: float, actions: _Timed) -> None:
        self._queued.append((begin, actions))
        if self._next is None:
            self._last_due = begin
            self._advance()

    def _advance(self) -> None:
        """Find the next action."""
        self._next = None
        while self._queued:
            begin, actions = self._queued[0]
            for seconds, action in actions:
                self._next = max(begin, self._last_due) + seconds, action
                return
            self._queued.popleft()


def _chunks(data: bytes, delivery: Delivery, size: int) -> Iterator[bytes]:
    """Yield the first `size` bytes of a message and of the padding in it, in chunks."""
    place, end = delivery.place, delivery.place + delivery.fill
    filler = FILLER.encode() * min(_CHUNK, delivery.fill)
    sent = 0
    while sent < size:
        if sent < place:
            chunk = data[sent : min(sent + _CHUNK, place)]
        elif sent < end:
            chunk = filler[: end - sent]
        else:
            chunk = data[sent - delivery.fill : sent - delivery.fill + _CHUNK]
        chunk = chunk[: size - sent]
        sent += len(chunk)
        yield chunk


def _cut(pieces: Iterable[tuple[float, bytes]], cut: Cut) -> Iterator[tuple[float, bytes]]:
    for gap, piece in pieces:
        for number, (before, part) in enumerate(cut(piece)):
            yield (before if number else gap + before), part


def _merged(actions: Iterable[Action]) -> list[Action]:
    """Join the messages that follow each other."""
    joined: list[Action] = []
    for action in actions:
        last = joined[-1] if joined else None
        if isinstance(action, SendAction) and isinstance(last, SendAction) and not (action.delivery or last.delivery):
            joined[-1] = SendAction(last.data + action.data, then=last.then + action.then)
        else:
            joined.append(action)
    return joined
