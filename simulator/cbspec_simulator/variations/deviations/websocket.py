"""Ways to be wrong about WebSocket."""

from __future__ import annotations

from typing import Any, ClassVar

from websockets.exceptions import ProtocolError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from cbspec.protocol.framing import Frame as Message
from cbspec.protocol.messages import Auth
from cbspec.protocol.state import State
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tokens.jws import Compact
from cbspec.tokens.jwt import Claims
from cbspec_simulator.base.state import Attempt, Identity, Refused
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, stranger
from cbspec_simulator.settings.config import LimitSettings
from cbspec_simulator.variations.compose import Change, answers, both, check, part, silence
from cbspec_simulator.variations.deviations.auth import named_tenant, serve_stranger
from cbspec_simulator.variations.deviations.kind import Deviation


class _WrongKey(ServerProtocol):
    """Answers every key with the same accept value."""

    def accept(self, request: Request) -> Response:
        response = super().accept(request)
        if response.status_code == 101:
            del response.headers["Sec-WebSocket-Accept"]
            response.headers["Sec-WebSocket-Accept"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
        return response


class _NoKey(ServerProtocol):
    """Leaves the accept value out."""

    def accept(self, request: Request) -> Response:
        response = super().accept(request)
        if response.status_code == 101:
            del response.headers["Sec-WebSocket-Accept"]
        return response


class _Masked(ServerProtocol):
    """Masks its frames as a client does."""

    def send_frame(self, frame: Frame) -> None:
        self.writes.append(frame.serialize(mask=True, extensions=self.extensions))


class _Reserved(ServerProtocol):
    """Sets a reserved bit that nothing was agreed about."""

    def send_frame(self, frame: Frame) -> None:
        data = frame.serialize(mask=False, extensions=self.extensions)
        self.writes.append(bytes([data[0] | 0x20]) + data[1:])


class _NoPong(ServerProtocol):
    """Doesn't answer a ping."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.PING:
            super().recv_frame(frame)


class _EmptyPong(ServerProtocol):
    """Answers a ping without its payload."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self.send_frame(Frame(Opcode.PONG, b""))
        else:
            super().recv_frame(frame)


class _NoPingBetween(ServerProtocol):
    """Fails when a ping comes between two fragments."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING and self.current_size is not None:
            raise ProtocolError("a ping between fragments")
        super().recv_frame(frame)


class _EachFragment(ServerProtocol):
    """Takes every fragment for a message."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            frame = Frame(Opcode.TEXT, frame.data)
        super().recv_frame(frame)


class _Padded(ServerProtocol):
    """Writes every length in eight bytes."""

    def send_frame(self, frame: Frame) -> None:
        data = frame.serialize(mask=False, extensions=self.extensions)
        start = {126: 4, 127: 10}.get(data[1], 2)
        self.writes.append(bytes([data[0], 127]) + (len(data) - start).to_bytes(8, "big") + data[start:])


class _SevenBits(ServerProtocol):
    """Writes a length of 126 or 127 in the seven bits in which these stand for another way to write it."""

    def send_frame(self, frame: Frame) -> None:
        data = frame.serialize(mask=False, extensions=self.extensions)
        if len(frame.data) in (126, 127):
            data = bytes([data[0], len(frame.data)]) + data[-len(frame.data) :]
        self.writes.append(data)


class _SixteenBits(ServerProtocol):
    """Writes no more than sixteen bits of a length."""

    def send_frame(self, frame: Frame) -> None:
        data = frame.serialize(mask=False, extensions=self.extensions)
        if len(frame.data) > 0xFFFF:
            data = bytes([data[0], 126]) + (len(frame.data) & 0xFFFF).to_bytes(2, "big") + data[10:]
        self.writes.append(data)


class _UnknownOpcode(ServerProtocol):
    """Sends frames of a kind that nobody knows."""

    def send_frame(self, frame: Frame) -> None:
        data = frame.serialize(mask=False, extensions=self.extensions)
        self.writes.append(bytes([data[0] & 0xF0 | 0x03]) + data[1:])


class _StrayContinuation(ServerProtocol):
    """Begins its messages with a continuation frame."""

    def send_frame(self, frame: Frame) -> None:
        opcode = Opcode.CONT if frame.opcode is Opcode.TEXT else frame.opcode
        super().send_frame(Frame(opcode, frame.data, frame.fin))


class _OldKey(ServerProtocol):
    """Answers every key with the first one's accept value."""

    first: ClassVar[str] = ""

    def accept(self, request: Request) -> Response:
        response = super().accept(request)
        if response.status_code == 101:
            type(self).first = type(self).first or response.headers["Sec-WebSocket-Accept"]
            del response.headers["Sec-WebSocket-Accept"]
            response.headers["Sec-WebSocket-Accept"] = type(self).first
        return response


class _PingBack(ServerProtocol):
    """Answers a ping by a ping."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self.send_frame(Frame(Opcode.PING, frame.data))
        else:
            super().recv_frame(frame)


class _ShortPong(ServerProtocol):
    """Answers with no more than the first bytes of a ping."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self.send_frame(Frame(Opcode.PONG, bytes(frame.data)[:64]))
        else:
            super().recv_frame(frame)


class _NoEmptyPing(ServerProtocol):
    """Doesn't answer a ping without payload."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.PING or frame.data:
            super().recv_frame(frame)


class _OnePing(ServerProtocol):
    """Answers no ping but the first."""

    pinged = False

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.PING or not self.pinged:
            super().recv_frame(frame)
        self.pinged = self.pinged or frame.opcode is Opcode.PING


class _NoEmptyFragment(ServerProtocol):
    """Fails when a fragment is empty."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.CONT) and not frame.data:
            raise ProtocolError("an empty fragment")
        super().recv_frame(frame)


class _TwoFragmentsAtMost(ServerProtocol):
    """Fails at a message's third fragment."""

    fragments = 0

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self.fragments += 1
            if self.fragments > 2:
                raise ProtocolError("too many fragments")
            self.fragments = 0 if frame.fin else self.fragments
        super().recv_frame(frame)


class _LinesOnly(WebSocketFramer):
    """Waits for a line feed at the end of every message."""

    __slots__ = ()

    def next_frame(self) -> Message | None:
        frame = super().next_frame()
        return frame if frame is None or frame.text.endswith(b"\n") else self.next_frame()


class _MaskedOrNot(WebSocketFramer):
    """Takes a short frame without a mask as if it had one."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        if self.opened and data[:1] == b"\x81" and data[2:3] == b"{" and data[1] < 126:
            data = bytes([data[0], data[1] | 0x80]) + bytes(4) + data[2:]
        super().feed(data)


class _AnyBits(WebSocketFramer):
    """Passes over a reserved bit of a text frame."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        super().feed(b"\x81" + data[1:] if self.opened and data[:1] == b"\xa1" else data)


class _BeginsAnew(ServerProtocol):
    """Lets a message begin inside another."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self.current_size = None
        super().recv_frame(frame)


class _LastBegun(WebSocketFramer):
    """Forgets a message when another begins inside it."""

    __slots__ = ()

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self._parts.clear()
        super()._frame(frame)


class _Binary(WebSocketFramer):
    """Sends binary frames."""

    __slots__ = ()

    def encode(self, text: bytes) -> bytes:
        self._protocol.send_binary(text)
        return self.data_to_send()


def _spoken(protocol: type[ServerProtocol], framer: type[WebSocketFramer] = WebSocketFramer, **options: Any) -> Change:  # noqa: ANN401 - the protocol's own
    """Speak WebSocket by another protocol object or framer."""

    def websocket(limits: LimitSettings) -> WebSocketFramer:
        return framer(protocol(max_size=limits.max_message, **options))

    return part(websocket=websocket)


def _over_websocket(exchange: AnswerContext) -> bool:
    return isinstance(exchange.connection.framer, WebSocketFramer)


def _unverified(behaviour: Behaviour) -> Behaviour:
    """Look at no signature over WebSocket."""

    def valid_token(attempt: Attempt) -> None:
        step = next(step for step in behaviour.steps[Auth] if step.name == "valid-token")
        try:
            step.check(attempt)
        except Refused:
            token = attempt.request.token if isinstance(attempt.request, Auth) else ""
            if not isinstance(attempt.connection.framer, WebSocketFramer) or token.count(".") != 2:
                raise
            claims = Compact.split(token).claims
            attempt.claims = Claims(str(claims.get("sub")), claims.get("tenant_id"), claims)

    return check("valid-token", valid_token)(behaviour)


def _stranger_over_websocket(attempt: Attempt) -> Identity:
    return (named_tenant if isinstance(attempt.connection.framer, WebSocketFramer) else stranger)(attempt)


MORE = (
    Deviation(
        "websocket-length-of-126",
        "CB-WSK-002",
        "A length of 126 or 127 is written as any shorter one.",
        _spoken(_SevenBits),
    ),
    Deviation(
        "websocket-length-over-64-kib",
        "CB-WSK-002",
        "Of a length over 65535 only sixteen bits are written.",
        _spoken(_SixteenBits),
    ),
    Deviation(
        "websocket-reserved-bit-accepted",
        "CB-WSK-008",
        "A reserved bit of a client's frame is passed over.",
        _spoken(ServerProtocol, _AnyBits),
    ),
    Deviation(
        "websocket-messages-inside-others",
        "CB-WSK-008",
        "A message may begin inside another, which is forgotten then.",
        _spoken(_BeginsAnew, _LastBegun),
    ),
    Deviation(
        "websocket-unmasked-accepted",
        "CB-WSK-007",
        "A client's frames needn't be masked.",
        _spoken(ServerProtocol, _MaskedOrNot),
    ),
    Deviation(
        "websocket-length-padded", "CB-WSK-002", "The length of every frame takes eight bytes.", _spoken(_Padded)
    ),
    Deviation(
        "websocket-unknown-opcode", "CB-WSK-002", "The relay's frames are of an unknown kind.", _spoken(_UnknownOpcode)
    ),
    Deviation(
        "websocket-stray-continuation",
        "CB-WSK-002",
        "The relay's messages begin with a continuation frame.",
        _spoken(_StrayContinuation),
    ),
    Deviation(
        "websocket-accept-of-the-first",
        "CB-WSK-001",
        "The accept value is that of the first client's key.",
        lambda behaviour: _spoken(type("_Old", (_OldKey,), {"first": ""}))(behaviour),
    ),
    Deviation("websocket-ping-echoed", "CB-WSK-004", "A ping is answered by a ping.", _spoken(_PingBack)),
    Deviation("websocket-pong-cut", "CB-WSK-004", "A pong carries 64 bytes at the most.", _spoken(_ShortPong)),
    Deviation(
        "websocket-empty-ping-unanswered",
        "CB-WSK-004",
        "A ping without payload is not answered.",
        _spoken(_NoEmptyPing),
    ),
    Deviation(
        "websocket-second-ping-unanswered",
        "CB-WSK-004",
        "Of a connection's pings only the first is answered.",
        _spoken(_OnePing),
    ),
    Deviation(
        "websocket-empty-fragment-refused",
        "CB-WSK-003",
        "An empty fragment ends the connection.",
        _spoken(_NoEmptyFragment),
    ),
    Deviation(
        "websocket-third-fragment-refused",
        "CB-WSK-003",
        "A message's third fragment ends the connection.",
        _spoken(_TwoFragmentsAtMost),
    ),
    Deviation(
        "websocket-needs-line-feed",
        "CB-WSK-006",
        "Over WebSocket a message must end with a line feed.",
        _spoken(ServerProtocol, _LinesOnly),
    ),
    Deviation(
        "websocket-tunnel-unanswered",
        "CB-WSK-006",
        "Over WebSocket a tunnel_info is not answered.",
        answers("tunnel_response", silence, _over_websocket),
    ),
    Deviation(
        "websocket-refusal-unanswered",
        "CB-WSK-006",
        "Over WebSocket an invalid tunnel_info is not answered.",
        answers("error:invalid_tunnel_info", silence, _over_websocket),
    ),
    Deviation(
        "websocket-token-unverified", "CB-WSK-006", "Over WebSocket a token's signature is not looked at.", _unverified
    ),
    Deviation(
        "websocket-needs-no-auth",
        "CB-WSK-006",
        "Over WebSocket a tunnel_info needs no auth.",
        both(serve_stranger(State.GREETED), part(stranger=_stranger_over_websocket)),
    ),
)

DEVIATIONS = (
    *MORE,
    Deviation("websocket-wrong-accept", "CB-WSK-001", "The accept value belongs to another key.", _spoken(_WrongKey)),
    Deviation("websocket-no-accept", "CB-WSK-001", "The 101 response has no accept value.", _spoken(_NoKey)),
    Deviation("websocket-masked", "CB-WSK-002", "The relay masks its frames.", _spoken(_Masked)),
    Deviation(
        "websocket-reserved-bit", "CB-WSK-002", "A reserved bit is set in the relay's frames.", _spoken(_Reserved)
    ),
    Deviation(
        "websocket-fragments-apart", "CB-WSK-003", "Each fragment is taken for a message.", _spoken(_EachFragment)
    ),
    Deviation("websocket-ping-unanswered", "CB-WSK-004", "A ping is not answered.", _spoken(_NoPong)),
    Deviation("websocket-pong-empty", "CB-WSK-004", "A pong doesn't carry its ping's payload.", _spoken(_EmptyPong)),
    Deviation(
        "websocket-ping-between-fragments",
        "CB-WSK-004",
        "A ping between two fragments ends the connection.",
        _spoken(_NoPingBetween),
    ),
    Deviation("websocket-binary", "CB-WSK-005", "Messages go out in binary frames.", _spoken(ServerProtocol, _Binary)),
    Deviation(
        "websocket-heartbeat-unanswered",
        "CB-WSK-006",
        "Over WebSocket heartbeats are not answered.",
        answers(
            "heartbeat_response", silence, lambda exchange: isinstance(exchange.connection.framer, WebSocketFramer)
        ),
    ),
    Deviation(
        "websocket-deflate-accepted",
        "CB-CMP-003",
        "permessage-deflate is agreed to.",
        _spoken(ServerProtocol, extensions=[ServerPerMessageDeflateFactory()]),
    ),
)
