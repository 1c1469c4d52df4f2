"""One connection of the relay without I/O: what arrived goes in, what is to be done comes out.

A session is told what arrived and when, and says what is to be done: `Send` these bytes, `Dial` a remote end, `Close`.
Whatever it holds it gives back in `end`, which the edge calls however the connection ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cbspec.codes import ErrorCode
from cbspec.connection import (
    Connection,
    Event,
    Framer,
    RemoteProtocolError,
    RequestReceived,
    RequestRefused,
)
from cbspec.framing import Frame
from cbspec.messages import (
    RULES,
    Answer,
    Auth,
    AuthResponse,
    Error,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    Message,
    Request,
    Role,
    TunnelInfo,
    TunnelResponse,
    Violation,
    to_dict,
)
from cbspec.state import State
from cbspec.strictjson import NotStrictJson
from cbspec.websocket import WebSocketFramer
from simulator.behaviour import Exchange
from simulator.limits import Account
from simulator.steps import Address, Attempt, Dial, Identity, Moment, Refused, Step

if TYPE_CHECKING:
    from simulator.relay import Relay


@dataclass(frozen=True, slots=True)
class Send:
    """These bytes go to the client."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The connection ends behind what was sent."""


Action = Send | Dial | Close


class Session:
    """One connection.

    `receive_data`, `dialled` and `end` are told what happened; the first two return what is to be done.
    """

    __slots__ = (
        "_closing",
        "_held",
        "_waiting",
        "_welcomed",
        "address",
        "admitted",
        "connection",
        "framer",
        "identity",
        "number",
        "relay",
        "sent",
        "tunnels",
    )

    def __init__(self, relay: Relay, address: Address, number: int, framer: Framer) -> None:
        self.relay = relay
        self.address = address
        self.number = number
        self.admitted = False
        self.identity: Identity | None = None
        self.tunnels: set[str] = set()
        self.sent: Counter[str] = Counter()
        self.framer = framer
        self.connection = Connection(Role.RELAY, framer, read=self._read, table=relay.behaviour.table)
        self._held: list[Account] = []
        self._waiting: tuple[Attempt, Iterator[Step], RequestReceived] | None = None
        self._closing = False
        self._welcomed = False

    def receive_data(self, data: bytes, now: Moment) -> list[Action]:
        """Take bytes from the client."""
        if self.ended or self._closing:
            return []
        self.connection.receive_data(data)
        if isinstance(self.framer, WebSocketFramer):
            self.framer.pongs.clear()  # nobody here asked for any
        return [*self._unasked(), *self._welcome(now), *self._go_on(now)]

    def dialled(self, reached: bool, now: Moment) -> list[Action]:
        """Take the outcome of a `Dial`."""
        if self._waiting is None:
            return []
        attempt, steps, event = self._waiting
        self._waiting = None
        attempt.dialled, attempt.now = reached, now
        return [*self._pass(attempt, steps, event), *self._go_on(now)]

    def end(self, *, reset: bool = False) -> None:
        """Give back what the connection held; `reset` says that it was broken off without a word."""
        if self.ended:
            return
        self.connection.receive_end()
        if self._waiting is not None:
            self._give_back(self._waiting[0].held)
            self._waiting = None
        if reset:
            self._held = list(filter(self.relay.behaviour.gives_back_at_reset, self._held))
        self._give_back(self._held)
        self.tunnels.clear()
        self.relay.sessions.discard(self)

    def hold(self, account: Account) -> None:
        """Keep what was taken from an account until the connection ends."""
        self._held.append(account)

    @property
    def ended(self) -> bool:
        """Nothing is held any more, and nothing will be answered."""
        return self.connection.state is State.CLOSED

    @property
    def opened(self) -> bool:
        """Messages can be exchanged: a WebSocket's opening handshake is done, or there is none."""
        return not isinstance(self.framer, WebSocketFramer) or self.framer.opened

    def close(self) -> list[Action]:
        """Say goodbye where the relay or the transport has words for it."""
        if self.ended:
            return []
        last = self.relay.behaviour.parting(self) if self.opened and not self._closing else None
        said = self._answer(last, None, "CB-MSG-004") if last is not None else ()
        return [action for action in (*said, *self._close()) if isinstance(action, Send)]

    def _welcome(self, now: Moment) -> Iterator[Action]:
        """Take the steps of a connection on which nothing was asked yet."""
        if self._welcomed or not self.opened:
            return
        self._welcomed = True
        attempt = Attempt(self, None, now)
        try:
            for step in self.relay.behaviour.welcome:
                step.check(attempt)
            self._held += attempt.held
        except Refused as refused:
            yield from self._refuse(attempt, refused, "CB-MSG-004")

    def _go_on(self, now: Moment) -> Iterator[Action]:
        while not self._closing:
            try:
                event = self.connection.next_event()
            except RemoteProtocolError as error:
                yield from self._answer(Error(ErrorCode.UNKNOWN_MESSAGE_TYPE, str(error)), None, error.requirement)
                yield from self._close()
                return
            if event is None:
                break
            yield from self._handle(event, now)
        if isinstance(self.framer, WebSocketFramer) and (self.framer.ended or self.framer.failure):
            yield from self._close()

    def _handle(self, event: Event, now: Moment) -> Iterator[Action]:
        behaviour = self.relay.behaviour
        request = event.request if isinstance(event, RequestReceived) else None
        attempt = Attempt(self, request, now, self.identity)
        every = behaviour.every if self.identity is not None and not isinstance(request, Auth) else ()
        if isinstance(event, RequestReceived):
            yield from self._pass(attempt, iter((*every, *behaviour.steps[type(event.request)])), event)
        elif isinstance(event, RequestRefused):
            try:
                for step in every:
                    step.check(attempt)
                refused = behaviour.refuse(attempt, event)
            except Refused as earlier:
                refused = earlier
            yield from self._refuse(attempt, refused, event.requirement)

    def _pass(self, attempt: Attempt, steps: Iterator[Step], event: RequestReceived) -> Iterator[Action]:
        """Take the steps that are left, as far as they lead."""
        try:
            if attempt.identity is None and isinstance(attempt.request, TunnelInfo):
                attempt.identity = self.relay.behaviour.stranger(attempt)
            for step in steps:
                if not step.when(attempt):
                    continue
                wanted = step.check(attempt)
                if wanted is not None:
                    self._waiting = attempt, steps, event
                    yield wanted
                    return
        except Refused as refused:
            yield from self._refuse(attempt, refused, event.rule.requirement)
        else:
            yield from self._answer(self._serve(attempt), event.request, event.rule.requirement)

    def _serve(self, attempt: Attempt) -> Answer:
        self._held += attempt.held
        request = attempt.request
        if isinstance(request, Hello):
            self.admitted = True
            return HelloResponse(features=self.relay.config.relay.features)
        if isinstance(request, Auth):
            self.identity = attempt.known
            return AuthResponse(attempt.known.subject, attempt.known.tenant.id)
        if isinstance(request, TunnelInfo):
            self.tunnels.add(request.tunnel_id)
            return TunnelResponse(request.tunnel_id)
        return HeartbeatResponse()

    def _refuse(self, attempt: Attempt, refused: Refused, requirement: str) -> Iterator[Action]:
        self._give_back(attempt.held)
        self.relay.behaviour.refused(attempt, refused)
        yield from self._answer(Error(refused.code, refused.text), attempt.request, requirement)
        if refused.close:
            yield from self._close()

    def _answer(self, answer: Answer, request: Request | None, requirement: str) -> Iterator[Action]:
        behaviour = self.relay.behaviour
        self.connection.note(answer)
        self.sent[answer.type] += 1
        if isinstance(answer, Error):
            self.relay.observer.refused(ErrorCode(answer.code))
        exchange = Exchange(self, request, requirement, self.sent[answer.type])
        body = to_dict(answer)
        for message in behaviour.answers(body, exchange):
            for text in behaviour.spell(message, exchange):
                if isinstance(self.framer, WebSocketFramer) and self.framer.ended:
                    return
                yield Send(self.framer.encode(text))
        if behaviour.ends(body, exchange):
            yield from self._close()

    def _close(self) -> Iterator[Action]:
        if self._closing:
            return
        self._closing = True
        if isinstance(self.framer, WebSocketFramer):
            self.framer.close()
            yield from self._unasked()
        yield Close()

    def _unasked(self) -> Iterator[Action]:
        if data := self.framer.data_to_send():
            yield Send(data)

    def _give_back(self, held: list[Account]) -> None:
        for account in filter(self.relay.behaviour.gives_back, held):
            self.relay.ledger.give(account)
        held.clear()

    def _read(self, frame: Frame, sender: Role) -> Message | Violation:
        behaviour, value = self.relay.behaviour, None
        found: Message | Violation
        try:
            value = behaviour.decode(frame, self.relay.config.limits.max_depth)
            found = behaviour.understand(value)
        except NotStrictJson as error:
            requirement = "CB-MSG-006" if error.utf8 else "CB-MSG-005"
            found = Violation(requirement, ErrorCode.UNKNOWN_MESSAGE_TYPE, f"not valid JSON: {error.reason}")
        self.relay.observer.received(_type_of(value))
        return found


def _type_of(value: object) -> str:
    name = value.get("type") if isinstance(value, dict) else None
    known = isinstance(name, str) and name in RULES and RULES[name].sender is Role.CLIENT
    return str(name) if known else "unknown"
