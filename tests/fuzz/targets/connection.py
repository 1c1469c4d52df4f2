"""State: relay and client in any order of requests, answers and broken bytes; only the table decides."""

from __future__ import annotations

from typing import Final

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import (
    AnswerReceived,
    Connection,
    LocalProtocolError,
    RemoteProtocolError,
    RequestReceived,
    RequestRefused,
)
from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.messages import (
    Auth,
    AuthResponse,
    Error,
    Heartbeat,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    Message,
    Role,
    TunnelInfo,
    TunnelResponse,
    encode,
)
from cbspec.protocol.state import TABLE, Serve, State
from tests.fuzz.target import Choices

_REQUESTS: Final[tuple[Message, ...]] = (Hello(), Auth("a.b.c"), TunnelInfo("t", "a", 1, "h", 2), Heartbeat())
_ANSWERS: Final[tuple[Message, ...]] = (
    HelloResponse(), AuthResponse("u", "a"), TunnelResponse("t"), HeartbeatResponse(),
    Error(ErrorCode.INVALID_TOKEN, "no"), TunnelResponse("other"), AuthResponse("u", "a", "bad"),
)  # fmt: skip


def check(data: bytes) -> None:
    """Exchange messages and bytes between a client and a relay."""
    pair, choices = _Pair(), Choices(data)
    while choices:
        act = choices.byte()
        if act < 64:
            pair.request((*_REQUESTS, *_ANSWERS)[act % 11])
        elif act < 128:
            pair.answer((*_ANSWERS, *_REQUESTS)[act % 11])
        elif act < 160:
            pair.to_relay(encode(_REQUESTS[act % 4]) + b"\n")
        elif act < 192:
            pair.to_client(encode(_ANSWERS[act % 7]) + b"\n")
        elif act < 250:
            raw = choices.bytes(act % 32)
            pair.to_relay(raw) if act & 1 else pair.to_client(raw)
        else:
            end = pair.relay if act & 1 else pair.client
            end.receive_end()
            assert end.state is State.CLOSED
            assert end.next_event() is None


class _Pair:
    """A client and a relay; `asked` is the request that the relay has to answer."""

    def __init__(self) -> None:
        self.client = Connection(Role.CLIENT, StreamFramer())
        self.relay = Connection(Role.RELAY, StreamFramer())
        self.asked: RequestReceived | RequestRefused | None = None

    def request(self, message: Message) -> None:
        """Have the client send a message, which it must refuse unless the table allows it and no answer is pending."""
        before, busy = self.client.state, self.client.busy
        rule = TABLE.get((before, type(message)))  # type: ignore[arg-type]
        try:
            data = self.client.send(message)
        except LocalProtocolError:
            assert busy or not isinstance(rule, Serve) or message in _ANSWERS
            assert (self.client.state, self.client.busy) == (before, busy)
        else:
            assert isinstance(rule, Serve)
            assert not busy
            self.to_relay(data)

    def to_relay(self, data: bytes) -> None:
        """Have the relay receive bytes, and read one request at most."""
        self.relay.receive_data(data)
        state, busy = self.relay.state, self.relay.busy
        try:
            event = self.relay.next_event()
        except RemoteProtocolError as error:
            assert error.requirement == "CB-ROB-003"
            return
        if event is None:
            return
        assert not busy
        assert state is self.relay.state is not State.CLOSED
        assert isinstance(event, RequestReceived | RequestRefused)
        if isinstance(event, RequestReceived):
            assert TABLE[state, type(event.request)] == event.rule
        self.asked = event

    def answer(self, message: Message) -> None:
        """Have the relay answer, which it must refuse unless it was asked and the table, or an error, fits."""
        asked, before = self.asked, self.relay.state
        fits = isinstance(asked, RequestReceived) and isinstance(message, asked.rule.answer)
        try:
            data = self.relay.send(message)
        except LocalProtocolError:
            assert not fits
            assert not isinstance(message, Error)
            assert self.relay.state is before
            return
        assert fits or isinstance(message, Error)
        expected = asked.rule.then if fits and isinstance(asked, RequestReceived) else before
        assert self.relay.state is expected
        self.asked = None
        self.to_relay(b"")
        self.to_client(data)

    def to_client(self, data: bytes) -> None:
        """Have the client receive bytes."""
        state = self.client.state
        self.client.receive_data(data)
        try:
            event = self.client.next_event()
        except RemoteProtocolError as error:
            assert error.requirement.startswith("CB-")
            assert self.client.state is state
            self.client.receive_end()
            return
        if isinstance(event, AnswerReceived):
            assert not self.client.busy
            assert not isinstance(event.answer, Error) or self.client.state is state
