"""A connection of the protocol, without I/O: bytes in, events out; messages in, bytes out.

Relay and client are the same `Connection` in two roles over the same state table. At most one request is under way at a
time: the next event is given only when the request before it has its answer, and bytes wait in the framer meanwhile.

    connection.receive_data(data)
    while (event := connection.next_event()) is not None:
        match event:
            case RequestReceived(): socket.send(connection.send(answer(event)))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.framing import MessageTooLarge, RawMessage
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


class Framer(Protocol):
    """What cuts bytes into message texts; see `cbspec.protocol.framing`."""

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""

    def next_message(self) -> RawMessage | None:
        """Return the next message text, or None."""

    @property
    def pending(self) -> bytes:
        """The bytes of a message that isn't complete yet."""

    def encode(self, text: bytes) -> bytes:
        """Return `text` as it goes on the wire."""

    def data_to_send(self) -> bytes:
        """Return the bytes that want to go out unasked."""


class ProtocolError(Exception):
    """A rule of the protocol was broken; the subclass says by whom. `requirement` is the catalogue's id."""

    def __init__(self, text: str, requirement: str) -> None:
        super().__init__(text)
        self.requirement = requirement


class LocalProtocolError(ProtocolError):
    """The end that runs this code was about to send what it may not; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The other end sent what it may not."""


class RequestReceived(NamedTuple):
    """Relay: a valid request in its place. Answer it with a `rule.answer` or an Error."""

    request: Request
    rule: Serve


class RequestRefused(NamedTuple):
    """Relay: the message is not valid or not in its place. Answer with an Error of `code`."""

    code: ErrorCode
    requirement: str
    text: str


class AnswerReceived(NamedTuple):
    """Client: the answer to `request`, which is what the request asks for, or an Error (`request` None: unasked)."""

    answer: Answer
    request: Request | None


@dataclass(frozen=True, slots=True)
class ConnectionEnded:
    """No more will be received. `clean` is False where a message or a request was left unfinished."""

    clean: bool


Reader = Callable[[RawMessage, Role], Message | Violation]
Event = RequestReceived | RequestRefused | AnswerReceived | ConnectionEnded

_CLIENT, _RELAY, _CLOSED = Role.CLIENT, Role.RELAY, State.CLOSED  # a member of an enum costs ten times a global
_ANSWERS = (HelloResponse, AuthResponse, TunnelResponse, HeartbeatResponse, Error)
_REQUESTS = (Hello, Auth, TunnelInfo, Heartbeat)


class Connection:
    """One end of a connection.

    Arguments: `role` is the end that this object is; `framer` cuts the bytes of its transport; `read` and `table` are
    how message texts are read and what they mean in which state (only a relay that is wrong on purpose gives others).
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
        """A request is under way: received and not answered, or sent and not answered."""
        return self._unanswered is not None

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the other end; `next_event` says what they mean."""
        self._framer.feed(data)

    def receive_end(self) -> ConnectionEnded:
        """Take note that the other end will send nothing more, for whatever reason."""
        clean = self._unanswered is None and not self._framer.pending.strip()
        self.state = State.CLOSED
        self._read = read_message  # nothing is read any more: who did, and holds this, is let go without a collector
        return ConnectionEnded(clean)

    def next_event(self) -> Event | None:
        """Return what happened next, or None until more bytes come or the request at hand is answered.

        Raises RemoteProtocolError: for a relay only where nothing more can be read (a message without end), for a
        client whenever the relay breaks a rule.
        """
        relay = self.role is _RELAY
        if self.state is _CLOSED or (relay and self._unanswered is not None):
            return None
        try:
            frame = self._framer.next_message()
        except MessageTooLarge as error:
            raise RemoteProtocolError(str(error), "CB-MSG-002" if self.role is Role.CLIENT else "CB-ROB-003") from None
        if frame is None:
            return None
        return self._judge_request(self._read(frame, _CLIENT)) if relay else self._answer(frame)

    def send(self, message: Message) -> bytes:
        """Return the bytes that carry `message`, and take note of it.

        Raises LocalProtocolError where this end may not send it now.
        """
        try:
            text = encode(message)
        except UnicodeEncodeError:
            raise LocalProtocolError(f"the {message.type} holds half a surrogate pair", "CB-MSG-001") from None
        self.note(message)
        return self._framer.encode(text)

    def note(self, message: Message) -> None:
        """Take note that this end sends `message`, for who puts it on the wire in another way.

        Raises LocalProtocolError where this end may not send it now.
        """
        if self.role is _RELAY:
            self._note_answer(message)
        else:
            self._note_request(message)

    def ignore(self) -> None:
        """Relay: take the request at hand as if it had never come (only one that is wrong on purpose does)."""
        self._pending = self._unanswered = None

    def again(self, event: RequestReceived | RequestRefused) -> RequestReceived | RequestRefused:
        """Relay: take a request that was answered once more, as if it came again (only one wrong on purpose does)."""
        return self._judge_request(event.request) if isinstance(event, RequestReceived) else self._refused(event)

    def _judge_request(self, message: Message | Violation) -> RequestReceived | RequestRefused:
        if isinstance(message, Violation):
            return self._refused(RequestRefused(message.code, message.requirement, message.text))
        assert isinstance(message, _REQUESTS)  # noqa: S101 - parse() gives a client's messages only
        found = self._table[self.state, type(message)]
        if isinstance(found, Refuse):
            return self._refused(RequestRefused(found.code, found.requirement, found.text))
        self._unanswered, self._pending = message, found
        return RequestReceived(message, found)

    def _refused(self, event: RequestRefused) -> RequestRefused:
        self._unanswered, self._pending = event, None
        return event

    def _note_answer(self, message: Message) -> None:
        pending = self._pending
        if pending is not None and isinstance(message, pending.answer):
            self.state = pending.then
        elif not isinstance(message, _ANSWERS):
            raise LocalProtocolError(f"a relay never sends a {message.type}", "CB-MSG-003")
        elif not isinstance(message, Error):
            raise LocalProtocolError(f"nobody asked for a {message.type}", "CB-MSG-004")
        self._pending = self._unanswered = None

    def _note_request(self, message: Message) -> None:
        if not isinstance(message, _REQUESTS):
            raise LocalProtocolError(f"a client never sends a {message.type}", "CB-UNK-003")
        if self.busy:
            raise LocalProtocolError("the request before has no answer yet", "CB-MSG-010")
        found = self._table[self.state, type(message)]
        if isinstance(found, Refuse):
            raise LocalProtocolError(f"{message.type}: {found.text}", found.requirement)
        self._pending, self._unanswered = found, message

    def _answer(self, frame: RawMessage) -> AnswerReceived:
        message = self._read(frame, Role.RELAY)
        if isinstance(message, Violation):
            raise RemoteProtocolError(message.text, message.requirement)
        assert isinstance(message, _ANSWERS)  # noqa: S101 - parse() gives a relay's messages only
        request, pending = self._unanswered, self._pending
        assert not isinstance(request, RequestRefused)  # noqa: S101 - a client refuses nothing
        if not isinstance(message, Error):
            if pending is None or request is None:
                raise RemoteProtocolError(f"a {message.type} that nobody asked for", "CB-MSG-004")
            self._match(request, message, pending)
            self.state = pending.then
        self._pending = self._unanswered = None
        return AnswerReceived(message, request)

    @staticmethod
    def _match(request: Request, answer: Answer, pending: Serve) -> None:
        if not isinstance(answer, pending.answer):
            raise RemoteProtocolError(f"a {answer.type} in answer to a {request.type}", pending.requirement)
        if isinstance(answer, AuthResponse | TunnelResponse) and answer.status != "ok":
            raise RemoteProtocolError(f'a {answer.type} whose status is not "ok"', pending.requirement)
        if (
            isinstance(request, TunnelInfo)
            and isinstance(answer, TunnelResponse)
            and answer.tunnel_id != request.tunnel_id
        ):
            raise RemoteProtocolError("a tunnel_response for another tunnel_id", "CB-TUN-002")


def read_message(frame: RawMessage, sender: Role) -> Message | Violation:
    """Return the message that came as `frame` from `sender`, or the first rule that it breaks."""
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
