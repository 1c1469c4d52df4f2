"""A connection of the protocol, without I/O: bytes in, events out; messages in, bytes out.

Relay and client are the same `Connection` in two roles over the same state table. At most one request is under way at a
time: `next_event` returns the next request only after the answer to the one before, and the framer keeps the bytes.

    connection.receive_data(data)
    while (event := connection.next_event()) is not None:
        match event:
            case RequestReceived(): socket.send(connection.send(answer(event)))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.framing import MessageTooLarge, RawMessage, StreamFramer
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
    encode,
    parse,
)
from cbspec.protocol.state import TABLE, Refuse, Serve, State, Table
from cbspec.protocol.strictjson import NotStrictJson, loads, utf8_fault
from cbspec.protocol.websocket import WebSocketFramer


class ProtocolError(Exception):
    """A rule of the protocol was broken; the subclass names the side. `requirement` is the catalogue's id."""

    def __init__(self, text: str, requirement: str) -> None:
        super().__init__(text)
        self.requirement = requirement


class LocalProtocolError(ProtocolError):
    """The local end was about to send a message that it may not send; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The other end sent a message that it may not send."""


class RequestReceived(NamedTuple):
    """Relay: a valid request in order. Answer it with a `rule.answer` or an Error."""

    request: Request
    rule: Serve


class RequestRefused(NamedTuple):
    """Relay: the message is invalid or out of order. Answer with an Error of `code`."""

    code: ErrorCode
    requirement: str
    text: str


class AnswerReceived(NamedTuple):
    """Client: the success of `request`, or an Error (unsolicited if `request` is None)."""

    answer: Answer
    request: Request | None


@dataclass(frozen=True, slots=True)
class ConnectionEnded:
    """Nothing more will be received. `clean` is False if a message is incomplete or a request unanswered."""

    clean: bool


Framer = StreamFramer | WebSocketFramer
Reader = Callable[[RawMessage, Role], Message | Violation]
Event = RequestReceived | RequestRefused | AnswerReceived | ConnectionEnded

_CLIENT, _RELAY, _CLOSED = Role.CLIENT, Role.RELAY, State.CLOSED  # a member of an enum costs ten times a global
_ANSWERS = (HelloResponse, AuthResponse, TunnelResponse, HeartbeatResponse, Error)
_REQUESTS = (Hello, Auth, TunnelInfo, Heartbeat)


class Connection:
    """One end of a connection.

    Arguments: `role` is the role of this end; `framer` splits the bytes of its transport; `read` parses message texts;
    `table` rules which request is served in which state.
    """

    __slots__ = ("_framer", "_pending", "_read", "_table", "_unanswered", "role", "state")

    def __init__(self, role: Role, framer: Framer, *, read: Reader | None = None, table: Table = TABLE) -> None:
        self.role = role
        self.state = State.CONNECTED
        self._framer = framer
        self._read = read or read_message
        self._table = table
        self._pending: Serve | None = None
        self._unanswered: Request | RequestRefused | None = None

    @property
    def busy(self) -> bool:
        """Whether a request is under way: received or sent, and not answered."""
        return self._unanswered is not None

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the other end; `next_event` returns their meaning."""
        self._framer.feed(data)

    def receive_end(self) -> ConnectionEnded:
        """Record the end of input, for whatever reason."""
        clean = self._unanswered is None and not self._framer.pending.strip()
        self.state = State.CLOSED
        self._read = read_message  # drops the reference to the owner of another reader, which may refer to this object
        return ConnectionEnded(clean)

    def next_event(self) -> Event | None:
        """Return the next event, or None until more bytes come or the current request is answered.

        Raises RemoteProtocolError: for a relay only if nothing more can be read (an oversized message), for a client
        whenever the relay breaks a rule.
        """
        relay = self.role is _RELAY
        if self.state is _CLOSED or (relay and self._unanswered is not None):
            return None
        try:
            frame = self._framer.next_message()
        except MessageTooLarge as error:
            raise RemoteProtocolError(str(error), "CB-ROB-003" if relay else "CB-MSG-002") from None
        if frame is None:
            return None
        return self._receive_request(self._read(frame, _CLIENT)) if relay else self._receive_answer(frame)

    def send(self, message: Message, text: bytes | None = None) -> bytes:
        """Return the bytes that carry `message`, and count it as sent.

        Arguments: `text` is the message in JSON if the caller has it already, for example from a cache. Raises
        LocalProtocolError if this end may not send the message now.
        """
        if text is None:
            try:
                text = encode(message)
            except UnicodeEncodeError:
                raise LocalProtocolError(f"the {message.type} holds half a surrogate pair", "CB-MSG-001") from None
        if self.role is _RELAY:
            self._send_answer(message)
        else:
            self._send_request(message)
        return self._framer.encode(text)

    def _receive_request(self, message: Message | Violation) -> RequestReceived | RequestRefused:
        event: RequestReceived | RequestRefused
        if isinstance(message, Violation):
            event = RequestRefused(message.code, message.requirement, message.text)
        else:
            assert isinstance(message, _REQUESTS)  # noqa: S101 - parse() returns only a client's messages
            rule = self._table[self.state, type(message)]
            if not isinstance(rule, Refuse):
                self._unanswered, self._pending = message, rule
                return RequestReceived(message, rule)
            event = RequestRefused(rule.code, rule.requirement, rule.text)
        self._unanswered, self._pending = event, None
        return event

    def _send_answer(self, message: Message) -> None:
        pending = self._pending
        if pending is not None and isinstance(message, pending.answer):
            self.state = pending.then
        elif not isinstance(message, _ANSWERS):
            raise LocalProtocolError(f"a relay never sends a {message.type}", "CB-MSG-003")
        elif not isinstance(message, Error):
            raise LocalProtocolError(f"no request for a {message.type}", "CB-MSG-004")
        self._pending = self._unanswered = None

    def _send_request(self, message: Message) -> None:
        if not isinstance(message, _REQUESTS):
            raise LocalProtocolError(f"a client never sends a {message.type}", "CB-UNK-003")
        if self.busy:
            raise LocalProtocolError("the previous request has no answer yet", "CB-MSG-010")
        rule = self._table[self.state, type(message)]
        if isinstance(rule, Refuse):
            raise LocalProtocolError(f"{message.type}: {rule.text}", rule.requirement)
        self._pending, self._unanswered = rule, message

    def _receive_answer(self, frame: RawMessage) -> AnswerReceived:
        message = self._read(frame, _RELAY)
        if isinstance(message, Violation):
            raise RemoteProtocolError(message.text, message.requirement)
        assert isinstance(message, _ANSWERS)  # noqa: S101 - parse() returns only a relay's messages
        request, pending = self._unanswered, self._pending
        assert not isinstance(request, RequestRefused)  # noqa: S101 - a client refuses nothing
        if not isinstance(message, Error):
            if pending is None or request is None:
                raise RemoteProtocolError(f"an unsolicited {message.type}", "CB-MSG-004")
            _match(request, message, pending)
            self.state = pending.then
        self._pending = self._unanswered = None
        return AnswerReceived(message, request)


def _match(request: Request, answer: Answer, rule: Serve) -> None:
    """Raise RemoteProtocolError if `answer` is not the success of `request`."""
    if not isinstance(answer, rule.answer):
        raise RemoteProtocolError(f"a {answer.type} in answer to a {request.type}", rule.requirement)
    if isinstance(answer, AuthResponse | TunnelResponse) and answer.status != "ok":
        raise RemoteProtocolError(f'a {answer.type} whose status is not "ok"', rule.requirement)
    if isinstance(request, TunnelInfo) and isinstance(answer, TunnelResponse) and answer.tunnel_id != request.tunnel_id:
        raise RemoteProtocolError("a tunnel_response for another tunnel_id", "CB-TUN-002")


def read_message(frame: RawMessage, sender: Role) -> Message | Violation:
    """Return the message of `sender` in `frame`, or the first rule that it breaks."""
    ids = ("CB-MSG-001", "CB-MSG-002") if sender is Role.RELAY else ("CB-MSG-006", "CB-MSG-005")
    if frame.broken:
        fault = utf8_fault(frame.text)
        reason = fault or frame.broken
        return Violation(ids[0 if fault else 1], ErrorCode.UNKNOWN_MESSAGE_TYPE, f"not valid JSON: {reason}")
    try:
        value = loads(frame.text)
    except NotStrictJson as error:
        return Violation(ids[0 if error.utf8 else 1], ErrorCode.UNKNOWN_MESSAGE_TYPE, f"not valid JSON: {error.reason}")
    return parse(value, sender)
