"""One connection of the relay without I/O: what arrived goes in, what is to be done comes out.

A session is told what arrived and when, and says what is to be done: `Send` these bytes, `Dial` a remote end, `Refresh`
the issuer's keys, `Close`.
Whatever it holds it gives back in `end`, which the edge calls however the connection ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import Connection, Framer, RemoteProtocolError, RequestReceived, RequestRefused
from cbspec.protocol.framing import Frame
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
from cbspec_simulator.base.events import Answered, Ended, Received, Sent
from cbspec_simulator.base.limits import Account
from cbspec_simulator.faults.kind import ConnectionEnd, Delivery, Handling, Strike, delivered
from cbspec_simulator.faults.websocket import framed
from cbspec_simulator.faults.when import MessageDirection, Occasion
from cbspec_simulator.relay.behaviour import Body, Exchange, spelt
from cbspec_simulator.relay.steps import Address, Attempt, Errand, Identity, Moment, Refused, Step

if TYPE_CHECKING:
    from cbspec_simulator.relay.relay import Relay


class Send(NamedTuple):
    """These bytes go to the client, at once or as `delivery` says; once they are out, `then` is told."""

    data: bytes
    delivery: Delivery | None = None
    then: tuple[Sent, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing more is taken from the client until `resume`: after so many seconds, and once every gate opens."""

    seconds: float
    gates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Close:
    """The connection ends behind what was sent, in the relay's usual way or in another one."""

    how: ConnectionEnd | None = None


Action = Send | Errand | Wait | Close

_AT_ONCE = range(4)  # messages that are taken before others have their turn
_AS_EVER = Handling()
_BEAT = HeartbeatResponse()
_CLOSED = State.CLOSED
_ASKED = (RequestReceived, RequestRefused)


class Session:
    """One connection.

    `receive_data`, `dialled`, `refreshed`, `resume` and `end` are told what happened; all but the last return what is
    to be done.
    """

    __slots__ = (
        "_asked",
        "_came",
        "_claimed",
        "_closing",
        "_held",
        "_names",
        "_then",
        "_waiting",
        "_websocket",
        "_welcomed",
        "address",
        "admitted",
        "behind",
        "connection",
        "framer",
        "identity",
        "now",
        "number",
        "paused",
        "relay",
        "sent",
        "tunnels",
    )

    def __init__(self, relay: Relay, address: Address, number: int, framer: Framer) -> None:
        self.relay = relay
        self.address = address
        self.number = number
        self.now = Moment(0.0, 0.0)
        self.admitted = False
        self.behind = False  # more came than was taken: `receive_data` goes on with it, with or without more data
        self.identity: Identity | None = None
        self.tunnels: set[str] = set()
        self.sent: defaultdict[str, int] = defaultdict(int)
        self.framer = framer
        self._websocket = framer if isinstance(framer, WebSocketFramer) else None
        self.connection = Connection(Role.RELAY, framer, read=self._read, table=relay.behaviour.table)
        self._held: list[Account] = []
        self._waiting: tuple[Attempt, Iterator[Step], RequestReceived] | None = None
        self.paused: tuple[RequestReceived | RequestRefused, Handling] | None = None  # nothing is taken before it
        self._asked = ""
        self._came = 0.0
        self._then: tuple[Sent, ...] = ()
        self._names: tuple[str, str] | None = None  # the identity's tenant and subject
        self._claimed: tuple[str, str] | str = ""  # by the token that was shown last, or that token
        self._closing = False
        self._welcomed = False

    def receive_data(self, data: bytes, now: Moment) -> list[Action]:
        """Take bytes from the client."""
        if self.connection.state is _CLOSED or self._closing:
            self.behind = False
            return []
        if data:
            self.framer.feed(data)
        if self._websocket is not None:
            self._websocket.pongs.clear()  # nobody here asked for any
        self.now = now
        self._came = now.monotonic
        unasked = self.framer.data_to_send()
        out: list[Action] = [Send(unasked)] if unasked else []
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
        """Take the request that was put off by a `Wait`."""
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
        self.connection.receive_end()
        if self._websocket is not None:
            self._websocket.end()
        if self._waiting is not None:
            self._give_back(self._waiting[0].held)
            self._waiting = None
        if reset:
            self._held = list(filter(self.relay.behaviour.gives_back_at_reset, self._held))
        self._give_back(self._held)
        self.paused = None
        self.tunnels.clear()
        self.relay.sessions.discard(self)
        self.relay.tell(Ended(self, reset))

    def hold(self, account: Account) -> None:
        """Keep what was taken from an account until the connection ends."""
        self._held.append(account)

    @property
    def transport(self) -> str:
        """The transport's name: tcp or websocket."""
        return "tcp" if self._websocket is None else "websocket"

    @property
    def acts_for(self) -> tuple[str, str]:
        """Tenant and subject: those of the connection, or else those that an auth claimed last."""
        return self._names or self._named()

    @property
    def named_by(self) -> tuple[str, str] | str:
        """The same, but for a token that claims it, which `claimed` takes apart when somebody wants to know."""
        return self._names or self._claimed

    @property
    def ended(self) -> bool:
        """Nothing is held any more, and nothing will be answered."""
        return self.connection.state is _CLOSED

    @property
    def opened(self) -> bool:
        """Messages can be exchanged: a WebSocket's opening handshake is done, or there is none."""
        return self._websocket is None or self._websocket.opened

    def close(self) -> list[Action]:
        """Say goodbye where the relay or the transport has words for it."""
        if self.ended:
            return []
        self._asked = ""
        last = self.relay.behaviour.parting(self) if self.opened and not self._closing else None
        out: list[Action] = []
        if last is not None:
            self._answer(last, None, "CB-MSG-004", out)
        self._close(out)
        return [action for action in out if isinstance(action, Send)]

    def _welcome(self, out: list[Action]) -> None:
        """Take the steps of a connection on which nothing was asked yet."""
        if not self.opened:
            return
        self._welcomed = True
        attempt = Attempt(self, None, self.now)
        try:
            for step in self.relay.behaviour.welcome:
                step.check(attempt)
            self._held += attempt.held
        except Refused as refused:
            self._refuse(attempt, refused, "CB-MSG-004", out)

    def _go_on(self, out: list[Action]) -> None:
        self.behind = False
        for _ in _AT_ONCE:
            if self._closing:
                break
            try:
                event = self.connection.next_event()
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
            out.append(Wait(handling.pause, tuple(handling.gates)))
        else:
            self._take(event, handling, out)

    def _take(self, event: RequestReceived | RequestRefused, handling: Handling, out: list[Action]) -> None:
        """Take a request as often as faults say."""
        for body in handling.extra:
            self._write([body], Exchange(self, None, "CB-MSG-004", 0), (), (), out)
        if handling.end is ConnectionEnd.HALF:
            out.append(Close(ConnectionEnd.HALF))  # nothing more is said, and the request is taken all the same
        elif handling.end is not None:
            self._close(out, handling.end)
            return
        if not handling.copies:
            self.connection.ignore()
            self._then = ()
        for number in range(handling.copies):
            if number and (self.connection.busy or self._closing):
                return  # the first one is still tried, or was the last
            self._serve_or_refuse(self.connection.again(event) if number else event, handling, out)

    def _named(self) -> tuple[str, str]:
        """Return whom the token names that was shown last."""
        return claimed(self._claimed) if isinstance(self._claimed, str) else self._claimed

    def _strikes(self, direction: MessageDirection, message: str) -> tuple[Strike, ...]:
        tenant, subject = self._named() if message == "auth" else self.acts_for
        about = (self.number, self.transport, tenant, subject, message)
        return self.relay.faults.at(
            Occasion(direction, *about, self._asked if direction is MessageDirection.ANSWER else ""), self.now.monotonic
        )

    def _serve_or_refuse(self, event: RequestReceived | RequestRefused, handling: Handling, out: list[Action]) -> None:
        behaviour = self.relay.behaviour
        every = behaviour.every if self.identity is not None else ()
        if isinstance(event, RequestReceived):
            request = event.request
            attempt = Attempt(self, request, self.now, self.identity)
            steps = behaviour.steps[type(request)]
            if every and not isinstance(request, Auth):
                steps = (*every, *steps)
            if handling is not _AS_EVER:
                steps = (*handling.steps, *steps, *handling.behind)
            self._pass(attempt, iter(steps), event, out)
            return
        attempt = Attempt(self, None, self.now, self.identity)
        try:
            for step in (*handling.steps, *every):
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
        self._held += attempt.held
        request = attempt.request
        if isinstance(request, Heartbeat):
            return _BEAT
        if isinstance(request, Hello):
            self.admitted = True
            return HelloResponse(features=self.relay.config.relay.features)
        if isinstance(request, Auth):
            self.identity = attempt.known
            self._claimed = ""
            self._names = attempt.known.tenant.id, attempt.known.subject
            return AuthResponse(attempt.known.subject, attempt.known.tenant.id)
        assert isinstance(request, TunnelInfo)  # noqa: S101 - the last of the four
        self.tunnels.add(request.tunnel_id)
        return TunnelResponse(request.tunnel_id)

    def _refuse(self, attempt: Attempt, refused: Refused, requirement: str, out: list[Action]) -> None:
        self._give_back(attempt.held)
        self.relay.behaviour.refused(attempt, refused)
        self._answer(Error(refused.code, refused.text), attempt.request, requirement, out)
        if refused.close:
            self._close(out)

    def _answer(self, answer: Answer, request: Request | None, requirement: str, out: list[Action]) -> None:
        relay = self.relay
        self.connection.note(answer)
        then, self._then = self._then, ()
        self.sent[answer.type] += 1
        if relay.straight and not relay.faults.active:
            body, text = spelt(answer)
            self._out(body, (text,), (), then, out)
        else:
            self._answer_edited(answer, Exchange(self, request, requirement, self.sent[answer.type]), then, out)

    def _answer_edited(self, answer: Answer, exchange: Exchange, then: tuple[Sent, ...], out: list[Action]) -> None:
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
        exchange: Exchange,
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
        if self._websocket is not None and self._websocket.silent:
            return
        self.relay.tell(Answered(self, body, texts))
        for text in texts:
            out.append(self._sent(text, strikes, then) if strikes else Send(self.framer.encode(text), None, then))
            then = ()

    def _sent(self, text: bytes, strikes: Sequence[Strike], then: tuple[Sent, ...]) -> Send:
        """Return how a text goes out where strikes have a say."""
        delivery, data = delivered(strikes), self._encoded(text, strikes)
        if delivery is not None and delivery.end is ConnectionEnd.CLOSE and delivery.length is None:
            data += self._goodbye()
            # It may be held back or late. A WebSocket that has said goodbye ends behind it, and not before.
            self._closing = self._closing or isinstance(self.framer, WebSocketFramer)
        return Send(data, delivery, then)

    def _encoded(self, text: bytes, strikes: Sequence[Strike]) -> bytes:
        if isinstance(self.framer, WebSocketFramer):
            framing = [strike for strike in strikes if strike.kind.frame is not None]
            if framing:
                return framed(self.framer, text, framing)
        return self.framer.encode(text)

    def _close(self, out: list[Action], how: ConnectionEnd | None = None) -> None:
        if self._closing:
            return
        self._closing = True
        if how in (None, ConnectionEnd.CLOSE) and (data := self._goodbye()):
            out.append(Send(data))
        out.append(Close(how))

    def _goodbye(self) -> bytes:
        """Return what the transport says before it is closed in good order."""
        if isinstance(self.framer, WebSocketFramer):
            self.framer.close()
        return self.framer.data_to_send()

    def _give_back(self, held: list[Account]) -> None:
        for account in filter(self.relay.behaviour.gives_back, held):
            self.relay.ledger.give(account)
        held.clear()

    def _read(self, frame: Frame, sender: Role) -> Message | Violation:
        self._asked, found = self.relay.reading(frame)
        if isinstance(found, Auth):
            self._claimed = found.token if len(found.token) <= LONGEST else claimed(found.token)
        self._then = (Sent(self, self._asked, self._came),) if self.relay.timed else ()
        self.relay.tell(Received(self, self._asked, frame.text))
        return found
