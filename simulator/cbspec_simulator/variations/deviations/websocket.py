"""Deviations of WebSocket."""

from __future__ import annotations

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
from cbspec_simulator.base.steps import Check, Errand
from cbspec_simulator.relay.behaviour import stranger
from cbspec_simulator.variations.compose import (
    Change,
    both,
    named_tenant,
    over_websocket,
    part,
    spoken,
    unanswered,
    watching,
)
from cbspec_simulator.variations.deviations.tunnel import served_in


class _FragmentDecodingProtocol(ServerProtocol):
    """Decodes each fragment on its own."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            data = bytes(frame.data).decode("utf-8", "replace").encode()
            frame = Frame(frame.opcode, data, frame.fin)
        super().recv_frame(frame)


class _WrongKeyProtocol(ServerProtocol):
    """Sends the accept value of another key."""

    def accept(self, request: Request) -> Response:
        response = super().accept(request)
        if response.status_code == 101:
            del response.headers["Sec-WebSocket-Accept"]
            response.headers["Sec-WebSocket-Accept"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
        return response


class _MaskingProtocol(ServerProtocol):
    """Masks its frames like a client."""

    def send_frame(self, frame: Frame) -> None:
        self.writes.append(frame.serialize(mask=True, extensions=self.extensions))


class _NoPongProtocol(ServerProtocol):
    """Doesn't answer a ping."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.PING:
            super().recv_frame(frame)


class _EmptyPongProtocol(ServerProtocol):
    """Answers a ping without its payload."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self.send_frame(Frame(Opcode.PONG, b""))
        else:
            super().recv_frame(frame)


class _NoPingBetweenProtocol(ServerProtocol):
    """Fails when a ping comes between two fragments."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING and self.current_size is not None:
            raise ProtocolError("a ping between fragments")
        super().recv_frame(frame)


class _FragmentProtocol(ServerProtocol):
    """Takes every fragment as a message."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            frame = Frame(Opcode.TEXT, frame.data)
        super().recv_frame(frame)


class _SixteenBitProtocol(ServerProtocol):
    """Writes only sixteen bits of a length."""

    def send_frame(self, frame: Frame) -> None:
        data = frame.serialize(mask=False, extensions=self.extensions)
        if len(frame.data) > 0xFFFF:
            data = bytes([data[0], 126]) + (len(frame.data) & 0xFFFF).to_bytes(2, "big") + data[10:]
        self.writes.append(data)


class _PingBackProtocol(ServerProtocol):
    """Answers a ping by a ping."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self.send_frame(Frame(Opcode.PING, frame.data))
        else:
            super().recv_frame(frame)


class _ShortPongProtocol(ServerProtocol):
    """Answers a ping with the first bytes of its payload."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self.send_frame(Frame(Opcode.PONG, bytes(frame.data)[:64]))
        else:
            super().recv_frame(frame)


class _NoEmptyPingProtocol(ServerProtocol):
    """Doesn't answer a ping without payload."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.PING or frame.data:
            super().recv_frame(frame)


class _OnePingProtocol(ServerProtocol):
    """Answers only the first ping."""

    pinged = False

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.PING or not self.pinged:
            super().recv_frame(frame)
        self.pinged = self.pinged or frame.opcode is Opcode.PING


class _NoEmptyFragmentProtocol(ServerProtocol):
    """Fails when a fragment is empty."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.CONT) and not frame.data:
            raise ProtocolError("an empty fragment")
        super().recv_frame(frame)


class _TwoFragmentProtocol(ServerProtocol):
    """Fails at a message's third fragment."""

    fragments = 0

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self.fragments += 1
            if self.fragments > 2:
                raise ProtocolError("too many fragments")
            self.fragments = 0 if frame.fin else self.fragments
        super().recv_frame(frame)


class _LineFramer(WebSocketFramer):
    """Waits for a line feed at the end of every message."""

    __slots__ = ()

    def next_frame(self) -> Message | None:
        frame = super().next_frame()
        return frame if frame is None or frame.text.endswith(b"\n") else self.next_frame()


class _UnmaskedFramer(WebSocketFramer):
    """Accepts short frames without a mask."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        if self.opened and data[:1] == b"\x81" and data[2:3] == b"{" and data[1] < 126:
            data = bytes([data[0], data[1] | 0x80]) + bytes(4) + data[2:]
        super().feed(data)


class _AnyBitFramer(WebSocketFramer):
    """Ignores a reserved bit of a text frame."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        super().feed(b"\x81" + data[1:] if self.opened and data[:1] == b"\xa1" else data)


class _InterruptingProtocol(ServerProtocol):
    """Accepts a new message inside another."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self.current_size = None
        super().recv_frame(frame)


class _InterruptingFramer(WebSocketFramer):
    """Drops a message when another begins inside it."""

    __slots__ = ()

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self._parts.clear()
        super()._frame(frame)


class _BinaryFramer(WebSocketFramer):
    """Sends binary frames."""

    __slots__ = ()

    def encode(self, text: bytes) -> bytes:
        self._protocol.send_binary(text)
        return self.data_to_send()


def _unverified(inner: Check) -> Check:
    """Accept any signature over WebSocket."""

    def valid_token(attempt: Attempt) -> Errand | None:
        try:
            return inner(attempt)
        except Refused:
            token = attempt.request.token if isinstance(attempt.request, Auth) else ""
            if attempt.connection.transport != "websocket" or token.count(".") != 2:
                raise
            claims = Compact.split(token).claims
            attempt.claims = Claims(str(claims.get("sub")), claims.get("tenant_id"), claims)
            return None

    return valid_token


def _stranger_over_websocket(attempt: Attempt) -> Identity:
    return (named_tenant if attempt.connection.transport == "websocket" else stranger)(attempt)


CHANGES: dict[str, Change] = {
    "websocket-wrong-accept": spoken(_WrongKeyProtocol),
    "websocket-masked": spoken(_MaskingProtocol),
    "websocket-length-over-64-kib": spoken(_SixteenBitProtocol),
    "websocket-fragments-apart": spoken(_FragmentProtocol),
    "websocket-fragments-decoded-apart": spoken(_FragmentDecodingProtocol),
    "websocket-empty-fragment-refused": spoken(_NoEmptyFragmentProtocol),
    "websocket-third-fragment-refused": spoken(_TwoFragmentProtocol),
    "websocket-ping-unanswered": spoken(_NoPongProtocol),
    "websocket-ping-echoed": spoken(_PingBackProtocol),
    "websocket-pong-empty": spoken(_EmptyPongProtocol),
    "websocket-pong-cut": spoken(_ShortPongProtocol),
    "websocket-empty-ping-unanswered": spoken(_NoEmptyPingProtocol),
    "websocket-second-ping-unanswered": spoken(_OnePingProtocol),
    "websocket-ping-between-fragments": spoken(_NoPingBetweenProtocol),
    "websocket-binary": spoken(ServerProtocol, _BinaryFramer),
    "websocket-heartbeat-unanswered": unanswered("heartbeat_response", over_websocket),
    "websocket-tunnel-unanswered": unanswered("tunnel_response", over_websocket),
    "websocket-refusal-unanswered": unanswered("error:invalid_tunnel_info", over_websocket),
    "websocket-needs-line-feed": spoken(ServerProtocol, _LineFramer),
    "websocket-token-unverified": watching("valid-token", _unverified),
    "websocket-needs-no-auth": both(served_in(State.GREETED), part(stranger=_stranger_over_websocket)),
    "websocket-unmasked-accepted": spoken(ServerProtocol, _UnmaskedFramer),
    "websocket-reserved-bit-accepted": spoken(ServerProtocol, _AnyBitFramer),
    "websocket-messages-inside-others": spoken(_InterruptingProtocol, _InterruptingFramer),
    "websocket-deflate-accepted": spoken(ServerProtocol, extensions=[ServerPerMessageDeflateFactory()]),
}
