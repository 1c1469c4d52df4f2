"""One connection of the relay without I/O: received data goes in, actions come out.

The edge tells a session what was received and when, and performs the actions that it returns: send, dial, refresh the
issuer's keys, wait, close. `end` gives back everything that the connection holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import Connection, Framer, RemoteProtocolError, RequestReceived, RequestRefused
from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import (
    Answer,
    Auth,
    AuthResponse,
    Error,
    Heartbeat,
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
from cbspec.protocol.state import State
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.redact import LONGEST
from cbspec.tokens.jws import claimed
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.base.limits import Account
from cbspec_simulator.base.state import Address, Attempt, ConnectionState, Refused
from cbspec_simulator.base.steps import Errand, Step
from cbspec_simulator.faults.kind import ConnectionEnd, Delivery, Handling, Strike, delivered
from cbspec_simulator.faults.websocket import framed
from cbspec_simulator.faults.when import MessageDirection, Occasion
from cbspec_simulator.relay.behaviour import AnswerContext, Body, spelt
from cbspec_simulator.relay.events import Answered, Connected, Disconnected, MessageReceived, Sent
from cbspec_simulator.relay.relay import Relay, plain_address


class SendAction(NamedTuple):
    """These bytes go to the client, at once or as `delivery` says; once they are out, `then` is told."""

    data: bytes
    delivery: Delivery | None = None
    then: tuple[Sent, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitAction:
    """Nothing more is taken from the client until `resume`: after so many seconds, and once every gate opens."""

    seconds: float
    gates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CloseAction:
    """The connection ends behind what was sent, in the relay's usual way or in another one."""

    how: ConnectionEnd | None = None


Action = SendAction | Errand | WaitAction | CloseAction

_AT_ONCE = range(4)  # messages that are taken before others have their turn
_AS_EVER = Handling()
_BEAT = HeartbeatResponse()
_CLOSED = State.CLOSED
_ASKED = (RequestReceived, RequestRefused)


class RelaySession:
    """One connection.

    `receive_data`, `dialled`, `refreshed`, `resume` and `end` are told what happened; all but the last return what is
    to be done.
    """

    __slots__ = (
        "_asked",
        "_came",
        "_closing",
        "_then",
        "_waiting",
        "_websocket",
        "_welcomed",
        "behind",
        "now",
        "paused",
        "relay",
        "state",
    )

    def __init__(self, relay: Relay, address: Address, number: int, framer: Framer) -> None:
        self.relay = relay
        self.now = Moment(0.0, 0.0)
        self.behind = False  # more came than was taken: `receive_data` goes on with it, with or without more data
        protocol = Connection(Role.RELAY, framer, read=self._read, table=relay.behaviour.table)
        self.state = ConnectionState(relay.state, address, number, framer, protocol)
        self._websocket = framer if isinstance(framer, WebSocketFramer) else None
        self._waiting: tuple[Attempt, Iterator[Step], RequestReceived] | None = None
        self.paused: tuple[RequestReceived | RequestRefused, Handling] | None = None  # nothing is taken before it
        self._asked = ""
        self._came = 0.0
        self._then: tuple[Sent, ...] = ()
        self._closing = False
        self._welcomed = False

    def receive_data(self, data: bytes, now: Moment) -> list[Action]:
        """Take bytes from the client."""
        if self.state.protocol.state is _CLOSED or self._closing:
            self.behind = False
            return []
        if data:
            self.state.framer.feed(data)
        if self._websocket is not None:
            self._websocket.pongs.clear()  # nobody here asked for any
        self.now = now
        self._came = now.monotonic
        unasked = self.state.framer.data_to_send()
        out: list[Action] = [SendAction(unasked)] if unasked else []
        if not self._welcomed:
            self._welcome(out)
        self._go_on(out)
        return out

    def dialled(self, reached: bool, now: Moment) -> list[Action]:
        """Take the outcome of a `Dial`."""
        if self._waiting is not None:
            self._waiting[0].dialled = reached
        return self.refreshed(now)

    def refreshed(self, now: Moment) -> list[Action]:
        """Take note that a `Refresh` is over, however it went."""
        if self._waiting is None:
            return []
        attempt, steps, event = self._waiting
        self._waiting = None
        self.now = attempt.now = now
        out: list[Action] = []
        self._pass(attempt, steps, event, out)
        self._go_on(out)
        return out

    def resume(self, now: Moment) -> list[Action]:
        """Take the request that was put off by a `WaitAction`."""
        if self.paused is None or self.ended or self._closing:
            return []
        event, handling = self.paused
        self.paused = None
        self.now = now
        out: list[Action] = []
        self._take(event, handling, out)
        self._go_on(out)
        return out

    def end(self, *, reset: bool = False) -> None:
        """Give back what the connection held; `reset` says that it was broken off without a word."""
        if self.ended:
            return
        self.state.protocol.receive_end()
        if self._websocket is not None:
            self._websocket.end()
        if self._waiting is not None:
            self._give_back(self._waiting[0].held)
            self._waiting = None
        if reset:
            self.state.held[:] = filter(self.relay.behaviour.gives_back_at_reset, self.state.held)
        self._give_back(self.state.held)
        self.paused = None
        self.state.tunnels.clear()
        self.relay.state.connections.discard(self.state)
        self.relay.tell(Disconnected(self.state, reset))

    @property
    def ended(self) -> bool:
        """Nothing is held any more, and nothing will be answered."""
        return self.state.protocol.state is _CLOSED

    @property
    def opened(self) -> bool:
        """Messages can be exchanged: a WebSocket's opening handshake is done, or there is none."""
        return self._websocket is None or self._websocket.opened

    def close(self) -> list[Action]:
        """Say goodbye where the relay or the transport has words for it."""
        if self.ended:
            return []
        self._asked = ""
        last = self.relay.behaviour.parting(self.state) if self.opened and not self._closing else None
        out: list[Action] = []
        if last is not None:
            self._answer(last, None, "CB-MSG-004", out)
        self._close(out)
        return [action for action in out if isinstance(action, SendAction)]

    def _welcome(self, out: list[Action]) -> None:
        """Take the steps of a connection on which nothing was asked yet."""
        if not self.opened:
            return
        self._welcomed = True
        attempt = Attempt(self.state, None, self.now)
        try:
            for step in self.relay.behaviour.welcome:
                step.check(attempt)
            self.state.held += attempt.held
        except Refused as refused:
            self._refuse(attempt, refused, "CB-MSG-004", out)

    def _go_on(self, out: list[Action]) -> None:
        self.behind = False
        for _ in _AT_ONCE:
            if self._closing:
                break
            try:
                event = self.state.protocol.next_event()
            except RemoteProtocolError as error:
                self._asked = "unknown"
                self._answer(Error(ErrorCode.UNKNOWN_MESSAGE_TYPE, str(error)), None, error.requirement, out)
                self._close(out)
                return
            if event is None:
                break
            assert isinstance(event, _ASKED)  # noqa: S101 - a relay's connection gives no others
            if self.relay.faults.active:
                self._handle(event, out)
            else:
                self._serve_or_refuse(event, _AS_EVER, out)
        else:
            self.behind = True
            return
        if self._websocket is not None and (self._websocket.ended or self._websocket.failure):
            self._close(out)

    def _handle(self, event: RequestReceived | RequestRefused, out: list[Action]) -> None:
        """Have a request taken as faults say."""
        handling = Handling()
        for strike in self._strikes(MessageDirection.REQUEST, self._asked):
            if strike.kind.request is not None:
                strike.kind.request(handling, strike)
        if handling.pause or handling.gates:
            self.paused = event, handling
            out.append(WaitAction(handling.pause, tuple(handling.gates)))
        else:
            self._take(event, handling, out)

    def _take(self, event: RequestReceived | RequestRefused, handling: Handling, out: list[Action]) -> None:
        """Take a request as often as faults say."""
        for body in handling.extra:
            self._write([body], AnswerContext(self.state, None, "CB-MSG-004", 0), (), (), out)
        if handling.end is ConnectionEnd.HALF:
            out.append(CloseAction(ConnectionEnd.HALF))  # nothing more is said, and the request is taken all the same
        elif handling.end is not None:
            self._close(out, handling.end)
            return
        if not handling.copies:
            self.state.protocol.ignore()
            self._then = ()
        for number in range(handling.copies):
            if number and (self.state.protocol.busy or self._closing):
                return  # the first one is still tried, or was the last
            self._serve_or_refuse(self.state.protocol.again(event) if number else event, handling, out)

    def _strikes(self, direction: MessageDirection, message: str) -> tuple[Strike, ...]:
        tenant, subject = self.state.claimed if message == "auth" else self.state.acts_for
        about = (self.state.number, self.state.transport, tenant, subject, message)
        return self.relay.faults.at(
            Occasion(direction, *about, self._asked if direction is MessageDirection.ANSWER else ""), self.now.monotonic
        )

    def _serve_or_refuse(self, event: RequestReceived | RequestRefused, handling: Handling, out: list[Action]) -> None:
        behaviour = self.relay.behaviour
        every = behaviour.every if self.state.identity is not None else ()
        if isinstance(event, RequestReceived):
            request = event.request
            attempt = Attempt(self.state, request, self.now, self.state.identity)
            steps = behaviour.steps[type(request)]
            if every and not isinstance(request, Auth):
                steps = (*every, *steps)
            if handling is not _AS_EVER:
                steps = (*handling.first_steps, *steps, *handling.last_steps)
            self._pass(attempt, iter(steps), event, out)
            return
        attempt = Attempt(self.state, None, self.now, self.state.identity)
        try:
            for step in (*handling.first_steps, *every):
                step.check(attempt)
            refused = behaviour.refuse(attempt, event)
        except Refused as earlier:
            refused = earlier
        self._refuse(attempt, refused, event.requirement, out)

    def _pass(self, attempt: Attempt, steps: Iterator[Step], event: RequestReceived, out: list[Action]) -> None:
        """Take the steps that are left, as far as they lead."""
        try:
            if attempt.identity is None and isinstance(attempt.request, TunnelInfo):
                attempt.identity = self.relay.behaviour.stranger(attempt)
            for step in steps:
                if step.when is not None and not step.when(attempt):
                    continue
                wanted = step.check(attempt)
                if wanted is not None:
                    self._waiting = attempt, steps, event
                    out.append(wanted)
                    return
        except Refused as refused:
            self._refuse(attempt, refused, event.rule.requirement, out)
        else:
            self._answer(self._serve(attempt), event.request, event.rule.requirement, out)

    def _serve(self, attempt: Attempt) -> Answer:
        self.state.held += attempt.held
        request = attempt.request
        if isinstance(request, Heartbeat):
            return _BEAT
        if isinstance(request, Hello):
            self.state.admitted = True
            return HelloResponse(features=self.relay.config.relay.features)
        if isinstance(request, Auth):
            self.state.identity = attempt.known
            self.state.shown = ""
            self.state.names = attempt.known.tenant.id, attempt.known.subject
            return AuthResponse(attempt.known.subject, attempt.known.tenant.id)
        assert isinstance(request, TunnelInfo)  # noqa: S101 - the last of the four
        self.state.tunnels.add(request.tunnel_id)
        return TunnelResponse(request.tunnel_id)

    def _refuse(self, attempt: Attempt, refused: Refused, requirement: str, out: list[Action]) -> None:
        self._give_back(attempt.held)
        self.relay.behaviour.refused(attempt, refused)
        self._answer(Error(refused.code, refused.text), attempt.request, requirement, out)
        if refused.close:
            self._close(out)

    def _answer(self, answer: Answer, request: Request | None, requirement: str, out: list[Action]) -> None:
        relay = self.relay
        self.state.protocol.note(answer)
        then, self._then = self._then, ()
        self.state.sent[answer.type] += 1
        if relay.straight and not relay.faults.active:
            body, text = spelt(answer)
            self._out(body, (text,), (), then, out)
        else:
            self._answer_edited(
                answer, AnswerContext(self.state, request, requirement, self.state.sent[answer.type]), then, out
            )

    def _answer_edited(
        self, answer: Answer, exchange: AnswerContext, then: tuple[Sent, ...], out: list[Action]
    ) -> None:
        """Answer as the behaviour and the faults have it."""
        behaviour = self.relay.behaviour
        body = to_dict(answer)
        bodies = behaviour.answers(body, exchange)
        strikes: tuple[Strike, ...] = ()
        if self.relay.faults.active:
            strikes = self._strikes(MessageDirection.ANSWER, answer.type)
            for strike in strikes:
                if strike.kind.edit is not None:
                    bodies = [made for each in bodies for made in strike.kind.edit(each, strike)]
        self._write(bodies, exchange, strikes, then, out)
        if behaviour.ends(body, exchange):
            self._close(out)

    def _write(
        self,
        bodies: Sequence[Body],
        exchange: AnswerContext,
        strikes: Sequence[Strike],
        then: tuple[Sent, ...],
        out: list[Action],
    ) -> None:
        """Give the bytes of messages, each told as it goes out; the first one is what answers a request."""
        for body in bodies:
            texts = self.relay.behaviour.spell(body, exchange)
            for strike in strikes:
                if strike.kind.text is not None:
                    texts = [strike.kind.text(text, strike) for text in texts]
            self._out(body, tuple(texts), strikes, then, out)
            if texts:
                then = ()

    def _out(
        self,
        body: Body,
        texts: tuple[bytes, ...],
        strikes: Sequence[Strike],
        then: tuple[Sent, ...],
        out: list[Action],
    ) -> None:
        """Give the bytes of a message, which is told as it goes out."""
        if self._websocket is not None and self._websocket.write_closed:
            return
        self.relay.tell(Answered(self.state, body, texts))
        for text in texts:
            out.append(
                self._sent(text, strikes, then) if strikes else SendAction(self.state.framer.encode(text), None, then)
            )
            then = ()

    def _sent(self, text: bytes, strikes: Sequence[Strike], then: tuple[Sent, ...]) -> SendAction:
        """Return how a text goes out where strikes have a say."""
        delivery, data = delivered(strikes), self._encoded(text, strikes)
        if delivery is not None and delivery.end is ConnectionEnd.CLOSE and delivery.length is None:
            data += self._goodbye()
            # It may be held back or late. A WebSocket that has said goodbye ends behind it, and not before.
            self._closing = self._closing or isinstance(self.state.framer, WebSocketFramer)
        return SendAction(data, delivery, then)

    def _encoded(self, text: bytes, strikes: Sequence[Strike]) -> bytes:
        if isinstance(self.state.framer, WebSocketFramer):
            framing = [strike for strike in strikes if strike.kind.frame is not None]
            if framing:
                return framed(self.state.framer, text, framing)
        return self.state.framer.encode(text)

    def _close(self, out: list[Action], how: ConnectionEnd | None = None) -> None:
        if self._closing:
            return
        self._closing = True
        if how in (None, ConnectionEnd.CLOSE) and (data := self._goodbye()):
            out.append(SendAction(data))
        out.append(CloseAction(how))

    def _goodbye(self) -> bytes:
        """Return what the transport says before it is closed in good order."""
        if isinstance(self.state.framer, WebSocketFramer):
            self.state.framer.close()
        return self.state.framer.data_to_send()

    def _give_back(self, held: list[Account]) -> None:
        for account in filter(self.relay.behaviour.gives_back, held):
            self.relay.state.usage.give(account)
        held.clear()

    def _read(self, frame: RawMessage, sender: Role) -> Message | Violation:
        self._asked, found = self.relay.reading(frame)
        if isinstance(found, Auth):
            self.state.shown = found.token if len(found.token) <= LONGEST else claimed(found.token)
        self._then = (Sent(self.state, self._asked, self._came),) if self.relay.timed else ()
        self.relay.tell(MessageReceived(self.state, self._asked, frame.text))
        return found


def connect(relay: Relay, address: str, *, websocket: bool = False, number: int | None = None) -> RelaySession:
    """Return the session of a new connection from `address`; `number` is the one that `accept` returned, if any."""
    behaviour, limits = relay.behaviour, relay.config.limits
    framer = behaviour.websocket(limits) if websocket else behaviour.stream(limits)
    session = RelaySession(relay, plain_address(address), number or relay.accept(), framer)
    relay.state.connections.add(session.state)
    relay.tell(Connected(session.state))
    return session
