"""Deviations of WebSocket."""

from __future__ import annotations

from collections.abc import Callable

from websockets.exceptions import ProtocolError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import Auth
from cbspec.protocol.state import State
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tokens.jws import CompactJws
from cbspec.tokens.jwt import Claims
from cbspec_simulator.base.state import Attempt, Identity, Refused
from cbspec_simulator.base.steps import Check, IoRequest
from cbspec_simulator.relay.behaviour import identity_before_auth
from cbspec_simulator.variations.answers import over_websocket, unanswered
from cbspec_simulator.variations.deviations.arrival import websocket_read_as
from cbspec_simulator.variations.deviations.tunnel import served_in
from cbspec_simulator.variations.parts import Change, both, part, websocket_by
from cbspec_simulator.variations.steps import named_tenant, watching

_TEXTS = (Opcode.TEXT, Opcode.CONT)


def _sends(serialize: Callable[[Frame], bytes]) -> Change:
    """Serialize frames by a function."""

    class SendingProtocol(ServerProtocol):
        def send_frame(self, frame: Frame) -> None:
            self.writes.append(serialize(frame))

    return websocket_by(SendingProtocol)


def _receives(change: Callable[[ServerProtocol, Frame], Frame]) -> Change:
    """Change each frame before it is processed."""

    class ReceivingProtocol(ServerProtocol):
        def recv_frame(self, frame: Frame) -> None:
            super().recv_frame(change(self, frame))

    return websocket_by(ReceivingProtocol)


def _answers_pings(answer: Callable[[bytes, int], Frame | None]) -> Change:
    """Answer a ping by a function of its payload and its number on the connection, from 1."""

    class PingProtocol(ServerProtocol):
        pings = 0

        def recv_frame(self, frame: Frame) -> None:
            if frame.opcode is not Opcode.PING:
                super().recv_frame(frame)
                return
            self.pings += 1
            if (made := answer(bytes(frame.data), self.pings)) is not None:
                self.send_frame(made)

    return websocket_by(PingProtocol)


def _pong(payload: bytes) -> Frame:
    return Frame(Opcode.PONG, payload)


def _with_sixteen_bits(frame: Frame) -> bytes:
    data = frame.serialize(mask=False)
    if len(frame.data) > 0xFFFF:
        data = bytes([data[0], 126]) + (len(frame.data) & 0xFFFF).to_bytes(2, "big") + data[10:]
    return data


def _as_message(_: ServerProtocol, frame: Frame) -> Frame:
    return Frame(Opcode.TEXT, frame.data) if frame.opcode in (*_TEXTS, Opcode.BINARY) else frame


def _decoded_alone(_: ServerProtocol, frame: Frame) -> Frame:
    decoded = bytes(frame.data).decode("utf-8", "replace").encode()
    return Frame(frame.opcode, decoded, frame.fin) if frame.opcode in _TEXTS else frame


def _not_empty(_: ServerProtocol, frame: Frame) -> Frame:
    if frame.opcode in _TEXTS and not frame.data:
        raise ProtocolError("an empty fragment")
    return frame


def _no_ping_between(protocol: ServerProtocol, frame: Frame) -> Frame:
    if frame.opcode is Opcode.PING and protocol.current_size is not None:
        raise ProtocolError("a ping between fragments")
    return frame


class _WrongKeyProtocol(ServerProtocol):
    """Sends the accept value of another key."""

    def accept(self, request: Request) -> Response:
        response = super().accept(request)
        if response.status_code == 101:
            del response.headers["Sec-WebSocket-Accept"]
            response.headers["Sec-WebSocket-Accept"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
        return response


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

    def next_message(self) -> RawMessage | None:
        frame = super().next_message()
        return frame if frame is None or frame.text.endswith(b"\n") else self.next_message()


def _unmasked(data: bytes, opened: bool) -> bytes:
    """Mask short frames without a mask."""
    if opened and data[:1] == b"\x81" and data[2:3] == b"{" and data[1] < 126:
        return bytes([data[0], data[1] | 0x80]) + bytes(4) + data[2:]
    return data


class _InterruptingProtocol(ServerProtocol):
    """Accepts a new message inside another."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self.current_size = None
        super().recv_frame(frame)


class _InterruptingFramer(WebSocketFramer):
    """Drops a message when another begins inside it."""

    def receive_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self.discard()
        super().receive_frame(frame)


class _BinaryFramer(WebSocketFramer):
    """Sends binary frames."""

    def encode(self, text: bytes) -> bytes:
        self.protocol.send_binary(text)
        return self.data_to_send()


def _unverified(inner: Check) -> Check:
    """Accept any signature over WebSocket."""

    def valid_token(attempt: Attempt) -> IoRequest | None:
        try:
            return inner(attempt)
        except Refused:
            token = attempt.request.token if isinstance(attempt.request, Auth) else ""
            if attempt.connection.transport != "websocket" or token.count(".") != 2:
                raise
            claims = CompactJws.split(token).claims
            attempt.claims = Claims(str(claims.get("sub")), claims.get("tenant_id"), claims)
            return None

    return valid_token


def _identity_over_websocket(attempt: Attempt) -> Identity:
    return (named_tenant if attempt.connection.transport == "websocket" else identity_before_auth)(attempt)


CHANGES: dict[str, Change] = {
    "websocket-wrong-accept": websocket_by(_WrongKeyProtocol),
    "websocket-masked": _sends(lambda frame: frame.serialize(mask=True)),
    "websocket-length-over-64-kib": _sends(_with_sixteen_bits),
    "websocket-fragments-apart": _receives(_as_message),
    "websocket-fragments-decoded-apart": _receives(_decoded_alone),
    "websocket-empty-fragment-refused": _receives(_not_empty),
    "websocket-third-fragment-refused": websocket_by(_TwoFragmentProtocol),
    "websocket-ping-unanswered": _answers_pings(lambda *_: None),
    "websocket-pong-empty": _answers_pings(lambda *_: _pong(b"")),
    "websocket-pong-cut": _answers_pings(lambda data, _: _pong(data[:64])),
    "websocket-empty-ping-unanswered": _answers_pings(lambda data, _: _pong(data) if data else None),
    "websocket-second-ping-unanswered": _answers_pings(lambda data, number: _pong(data) if number == 1 else None),
    "websocket-ping-between-fragments": _receives(_no_ping_between),
    "websocket-binary": websocket_by(ServerProtocol, _BinaryFramer),
    "websocket-heartbeat-unanswered": unanswered("heartbeat_response", over_websocket),
    "websocket-tunnel-unanswered": unanswered("tunnel_response", over_websocket),
    "websocket-needs-line-feed": websocket_by(ServerProtocol, _LineFramer),
    "websocket-token-unverified": watching("valid-token", _unverified),
    "websocket-needs-no-auth": both(served_in(State.GREETED), part(identity_before_auth=_identity_over_websocket)),
    "websocket-unmasked-accepted": websocket_read_as(_unmasked),
    "websocket-reserved-bit-accepted": websocket_read_as(
        lambda data, opened: b"\x81" + data[1:] if opened and data[:1] == b"\xa1" else data
    ),
    "websocket-messages-inside-others": websocket_by(_InterruptingProtocol, _InterruptingFramer),
    "websocket-deflate-accepted": websocket_by(ServerProtocol, extensions=[ServerPerMessageDeflateFactory()]),
}
