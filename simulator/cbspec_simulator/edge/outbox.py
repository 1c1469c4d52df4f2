"""What a connection still has to do, and when: late, in pieces, out of order, or once somebody lets it go.

It knows no socket and reads no clock: it is told the time, and gives what is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeGuard

from cbspec_simulator.faults.kind import Cut, Delivery
from cbspec_simulator.relay.behaviour import Writing
from cbspec_simulator.relay.events import Sent
from cbspec_simulator.relay.session import Action, CloseAction, SendAction, WaitAction

_PLAIN: Final = Delivery()


@dataclass(slots=True)
class _Course:
    """Actions one after the other, each so many seconds behind the one before, the first no sooner than `begin`."""

    begin: float
    rest: Iterator[tuple[float, Action]]


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

    __slots__ = ("_aside", "_company", "_courses", "_held", "_next", "_reached", "_straight", "_writing")

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._straight = writing.straight
        self._next: tuple[float, Action] | None = None
        self._reached = 0.0  # when the last action was due that was given
        # A large answer in small pieces is cut as it goes out: all of its pieces at once would take much memory.
        self._courses: list[_Course] = []
        self._held: list[tuple[set[str], SendAction | WaitAction]] = []
        self._aside: tuple[float, SendAction] | None = None
        self._company: _Company | None = None

    def __bool__(self) -> bool:
        return bool(self._next or self._aside or self._company)

    def passes(self, action: Action) -> TypeGuard[SendAction]:
        """Say whether an action needn't be put here: nothing is before it, and it is to go out as it is, now."""
        return (
            self._straight
            and isinstance(action, SendAction)
            and action.delivery is None
            and not (self._next or self._aside or self._company)
        )

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
        self._courses.clear()
        self._next = None
        self._held.clear()
        self._aside = self._company = None

    def next_due(self) -> float | None:
        """Return when something is due next, if anything is."""
        times = [self._next[0]] if self._next else []
        if self._aside is not None:
            times.append(self._aside[0])
        if self._company is not None:
            times.append(self._company.until)
        return min(times, default=None)

    def due(self, now: float) -> Iterator[Action]:
        """Give what is due, in order; a `WaitAction` comes when it is over."""
        while True:
            if self._company is not None and self._company.until <= now:
                self._part(now)
            if self._aside is not None and self._aside[0] <= now:
                self._bring_back(now)
            if self._next is None or self._next[0] > now:
                return
            self._reached, action = self._next
            self._advance()
            yield action

    def _schedule(self, action: Action, now: float) -> None:
        match action:
            case SendAction(delivery=Delivery(gates=[_, *_] as gates)) | WaitAction(gates=(_, *_) as gates):
                self._held.append((set(gates), action))
            case SendAction() | WaitAction():
                self._pass(action, now)
            case CloseAction():
                self.end(now)
                self._put(now, iter([(0.0, action)]))
            case _:
                self._put(now, iter([(0.0, action)]))

    def _pass(self, action: SendAction | WaitAction, now: float) -> None:
        """Take what nothing holds back."""
        if isinstance(action, WaitAction):
            self._put(now, iter([(action.seconds, action)]))
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

    def _send(self, send: SendAction, now: float) -> None:
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
        self._put(now + self._writing.pause() + delivery.pause, self._in_pieces(data, then, delivery))

    def _in_pieces(self, data: bytes, then: tuple[Sent, ...], delivery: Delivery) -> Iterator[tuple[float, Action]]:
        pieces = iter([(0.0, data)]) if delivery.cuts else self._pieces(data)
        for cut in delivery.cuts:
            pieces = _cut(pieces, cut)
        left, waited = len(data), 0.0
        for before, piece in pieces:
            waited += before
            left -= len(piece)
            if piece:
                yield waited, SendAction(piece, then=() if left else then)
                waited = 0.0
        if delivery.end is not None:
            yield waited, CloseAction(delivery.end)

    def _pieces(self, data: bytes) -> Iterator[tuple[float, bytes]]:
        for number, piece in enumerate(self._writing.pieces(data)):
            yield self._writing.gap if number else 0.0, piece

    def _put(self, begin: float, actions: Iterator[tuple[float, Action]]) -> None:
        self._courses.append(_Course(begin, actions))
        if self._next is None:
            self._reached = begin
            self._advance()

    def _advance(self) -> None:
        """Find the next action."""
        self._next = None
        while self._courses:
            course = self._courses[0]
            found = next(course.rest, None)
            if found is not None:
                self._next = max(course.begin, self._reached) + found[0], found[1]
                return
            del self._courses[0]


def _cut(pieces: Iterable[tuple[float, bytes]], cut: Cut) -> Iterator[tuple[float, bytes]]:
    for gap, piece in pieces:
        for number, (before, part) in enumerate(cut(piece)):
            yield (before if number else gap + before), part


def _merged(actions: Iterable[Action]) -> list[Action]:
    """Join what is sent in a row."""
    joined: list[Action] = []
    for action in actions:
        last = joined[-1] if joined else None
        if isinstance(action, SendAction) and isinstance(last, SendAction) and not (action.delivery or last.delivery):
            joined[-1] = SendAction(last.data + action.data, then=last.then + action.then)
        else:
            joined.append(action)
    return joined
