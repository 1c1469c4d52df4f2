"""One connection of the relay without I/O: received data goes in, actions come out.

The edge passes received bytes, the results of I/O and the time to a session, and performs the actions that it returns.
A session is made of a `Connection` (bytes to requests), a `RequestHandler` (requests to answers) and an `Output`
(answers to actions); it pauses, repeats and drops requests as faults demand. `end` releases everything that it holds.
"""

from __future__ import annotations

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import Connection, Framer, RemoteProtocolError, RequestReceived, RequestRefused
from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import Auth, Error, HeartbeatResponse, Message, Role, Violation
from cbspec.protocol.state import Refuse, State
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.redact import LONGEST
from cbspec.tokens.jws import claimed
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.base.state import Address, ConnectionState, Refused
from cbspec_simulator.base.steps import Dial, Refresh
from cbspec_simulator.faults.kind import ConnectionEnd, Handling
from cbspec_simulator.faults.when import MessageDirection
from cbspec_simulator.relay.actions import Action, CloseAction, SendAction, WaitAction
from cbspec_simulator.relay.events import Connected, Disconnected, EndedBy, MessageReceived, Sent
from cbspec_simulator.relay.output import Output
from cbspec_simulator.relay.relay import Relay, plain_address
from cbspec_simulator.relay.requests import Outcome, RequestHandler

BATCH = 4
"""Messages of one connection that are handled before other connections have their turn."""

_BATCH = range(BATCH)
_CLOSED = State.CLOSED
_REQUEST_EVENTS = (RequestReceived, RequestRefused)
_IO_REQUESTS = (Dial, Refresh)  # isinstance() takes longer with a union


class RelaySession:
    """One connection.

    `receive_data`, `io_done` and `resume` return the next actions. While `backlog` is set, received
    messages wait to be handled: call `receive_data` again, with or without data. `paused` is a request that a
    `WaitAction` delays.
    """

    __slots__ = (
        "_arrival",
        "_now",
        "_opened",
        "_output",
        "_requests",
        "_websocket",
        "backlog",
        "paused",
        "relay",
        "state",
    )

    def __init__(self, relay: Relay, address: Address, number: int, framer: Framer) -> None:
        self.relay = relay
        protocol = Connection(Role.RELAY, framer, read=self._read, table=relay.behaviour.table)
        self.state = ConnectionState(relay.state, address, number, framer, protocol)
        self.backlog = False
        self.paused: tuple[RequestReceived | RequestRefused, Handling] | None = None
        self._requests = RequestHandler(relay, self.state)
        self._output = Output(relay, self.state)
        self._websocket = framer if isinstance(framer, WebSocketFramer) else None
        self._now = Moment(0.0, 0.0)
        self._arrival = 0.0
        self._opened = False

    def receive_data(self, data: bytes, now: Moment) -> list[Action]:
        """Take bytes from the client."""
        state, output = self.state, self._output
        if state.protocol.state is _CLOSED or output.closing:
            self.backlog = False
            return []
        if data:
            state.protocol.receive_data(data)
        if self._websocket is not None:
            self._websocket.pongs.clear()  # the relay sends no pings that need them
        output.actions = []
        self._now = now
        self._arrival = now.monotonic
        if own := state.framer.data_to_send():
            output.actions.append(SendAction(own))
        if not self._opened and self.opened:
            self._opened = True
            if (refused := self._requests.open(now)) is not None:
                self._conclude(refused, None)
        return self._continue()

    def io_done(self, success: bool, now: Moment) -> list[Action]:
        """Continue after an I/O request; only the failure of a `Dial` matters."""
        event = self._requests.waiting
        if event is None:
            return []
        self._output.actions = []
        self._now = now
        self._conclude(self._requests.go_on(success, now), event)
        return self._continue()

    def resume(self, now: Moment) -> list[Action]:
        """Continue after a `WaitAction`."""
        if self.paused is None or self.ended or self._output.closing:
            return []
        event, handling = self.paused
        self.paused = None
        self._output.actions = []
        self._now = now
        self._apply(handling, event)
        return self._continue()

    def end(self, *, reset: bool = False) -> None:
        """Release everything that the connection holds; `reset`: it ended without a close."""
        if self.ended:
            return
        self.state.protocol.receive_end()
        if self._websocket is not None:
            self._websocket.end()
        self._requests.abandon()
        if reset:
            self.state.held[:] = filter(self.relay.behaviour.releases_at_reset, self.state.held)
        self.relay.release(self.state.held)
        self.paused = None
        self.state.tunnels.clear()
        self.relay.state.connections.discard(self.state)
        self.relay.tell(Disconnected(self.state, reset))

    @property
    def ended(self) -> bool:
        """Whether everything is released, and nothing will be answered."""
        return self.state.protocol.state is _CLOSED

    @property
    def opened(self) -> bool:
        """Whether messages can be exchanged: a WebSocket needs its opening handshake first."""
        return self._websocket is None or self._websocket.opened

    def close(self) -> list[SendAction]:
        """Return the last messages before the relay closes the connection: those of its behaviour and transport."""
        if self.ended:
            return []
        output = self._output
        output.actions = []
        output.request_type = ""
        if self.opened and not output.closing and (last := self.relay.behaviour.parting(self.state)) is not None:
            output.answer(last, None, self._now)
        output.close()
        return [action for action in output.actions if isinstance(action, SendAction)]

    def _continue(self) -> list[Action]:
        """Handle the messages that have arrived, at most one batch; return the actions."""
        output = self._output
        self.backlog = False
        for _ in _BATCH:
            if output.closing:
                break
            try:
                event = self.state.protocol.next_event()
            except RemoteProtocolError as error:
                output.request_type = "unknown"
                refused = RequestRefused(ErrorCode.UNKNOWN_MESSAGE_TYPE, error.requirement, str(error))
                output.answer(Error(refused.code, refused.text), refused, self._now)
                output.close()
                return output.actions
            if event is None:
                break
            assert isinstance(event, _REQUEST_EVENTS)  # noqa: S101 - a relay's connection returns no others
            if self.relay.faults.active:
                self._handle_with_faults(event)
            else:
                outcome = self._requests.handle(event, self._now, None)
                if isinstance(outcome, HeartbeatResponse):  # the most frequent outcome
                    output.answer(outcome, event, self._now)
                else:
                    self._conclude(outcome, event)
        else:
            self.backlog = True
            return output.actions
        if self._websocket is not None and (self._websocket.ended or self._websocket.failure):
            output.close(by=EndedBy.RELAY if self._websocket.failure else EndedBy.CLIENT)
        return output.actions

    def _conclude(self, outcome: Outcome, event: RequestReceived | RequestRefused | None) -> None:
        if isinstance(outcome, Refused):
            self._output.answer(Error(outcome.code, outcome.text), event, self._now)
            if outcome.close:
                self._output.close(by=EndedBy.FAULT if outcome.by_fault else EndedBy.RELAY)
        elif isinstance(outcome, _IO_REQUESTS):
            self._output.actions.append(outcome)
        else:
            self._output.answer(outcome, event, self._now)

    def _handle_with_faults(self, event: RequestReceived | RequestRefused) -> None:
        handling, output = Handling(), self._output
        for strike in output.strikes(MessageDirection.REQUEST, output.request_type, self._now):
            if strike.kind.request is not None:
                strike.kind.request(handling, strike)
        if handling.pause or handling.gates:
            self.paused = event, handling
            output.actions.append(WaitAction(handling.pause, tuple(handling.gates)))
        else:
            self._apply(handling, event)

    def _apply(self, handling: Handling, event: RequestReceived | RequestRefused) -> None:
        """Handle a request as often as faults demand, after the messages that they insert."""
        output, protocol = self._output, self.state.protocol
        output.insert(handling.extra)
        if handling.end is ConnectionEnd.HALF:
            output.actions.append(CloseAction(ConnectionEnd.HALF, EndedBy.FAULT))  # the request is handled
        elif handling.end is not None:
            output.close(handling.end, EndedBy.FAULT)
            return
        if not handling.copies:
            output.drop()
        for number in range(handling.copies):
            if number:
                if protocol.busy or output.closing:
                    return  # the first copy waits for I/O, or was the last request
                event = self._judged_again(event)
                output.copy = True
            outcome = self._requests.handle(event, self._now, handling)
            if number and isinstance(outcome, _IO_REQUESTS):
                self._requests.abandon()  # the connection would not wait for it
                return
            self._conclude(outcome, event)

    def _judged_again(self, event: RequestReceived | RequestRefused) -> RequestReceived | RequestRefused:
        """Return the event of a request that arrives once more."""
        if isinstance(event, RequestRefused):
            return event
        rule = self.relay.behaviour.table[self.state.protocol.state, type(event.request)]
        if isinstance(rule, Refuse):
            return RequestRefused(rule.code, rule.requirement, rule.text)
        return RequestReceived(event.request, rule)

    def _read(self, frame: RawMessage, sender: Role) -> Message | Violation:
        """Parse a message text; publish its arrival."""
        state, output = self.state, self._output
        output.request_type, found = self.relay.reading(frame)
        output.copy = False
        if isinstance(found, Auth):
            state.shown = found.token if len(found.token) <= LONGEST else claimed(found.token)
        output.timing = (Sent(state, output.request_type, self._arrival),) if self.relay.timed else ()
        self.relay.tell(MessageReceived(state, output.request_type, frame.text))
        return found


def connect(relay: Relay, address: str, *, websocket: bool = False, number: int | None = None) -> RelaySession:
    """Return the session of a new connection from `address`; `number`: the result of `accept`, if it was called."""
    behaviour, limits = relay.behaviour, relay.config.limits
    framer = behaviour.websocket(limits) if websocket else behaviour.stream(limits)
    session = RelaySession(relay, plain_address(address), number or relay.accept(), framer)
    relay.state.connections.add(session.state)
    relay.tell(Connected(session.state))
    return session
