"""Ways to be wrong about WebSocket."""

from __future__ import annotations

from typing import Any

from websockets.exceptions import ProtocolError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from cbspec.websocket import WebSocketFramer
from simulator.compose import Change, answers, part, silence
from simulator.config import Limits
from simulator.deviations.kind import Deviation


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


class _Binary(WebSocketFramer):
    """Sends binary frames."""

    __slots__ = ()

    def encode(self, text: bytes) -> bytes:
        self._protocol.send_binary(text)
        return self.data_to_send()


def _spoken(protocol: type[ServerProtocol], framer: type[WebSocketFramer] = WebSocketFramer, **options: Any) -> Change:  # noqa: ANN401 - the protocol's own
    """Speak WebSocket by another protocol object or framer."""

    def websocket(limits: Limits) -> WebSocketFramer:
        return framer(protocol(max_size=limits.max_message, **options))

    return part(websocket=websocket)


DEVIATIONS = (
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
        answers("heartbeat_response", silence, lambda exchange: isinstance(exchange.session.framer, WebSocketFramer)),
    ),
    Deviation(
        "websocket-deflate-accepted",
        "CB-CMP-003",
        "permessage-deflate is agreed to.",
        _spoken(ServerProtocol, extensions=[ServerPerMessageDeflateFactory()]),
    ),
)
