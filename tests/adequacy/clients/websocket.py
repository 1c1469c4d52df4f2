"""Deviations: WebSocket that isn't RFC 6455's (CC-WSK)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Self

from websockets.http11 import Response

from cbspec.protocol.framing import MAX_MESSAGE
from cbspec.protocol.websocket import WebSocketFramer
from tests.adequacy.clients.base import BaseClient
from tests.adequacy.clients.registry import deviation
from tests.adequacy.clients.wire import WireBytes, with_frames

_CLOSE, _PING, _PONG = 8, 9, 10


class _Head(BaseClient):
    """Writes another upgrade request, if the relay accepts it."""

    before, after = "", ""

    def on_wire(self, data: bytes) -> bytes:
        if data.startswith(b"GET "):
            data = re.sub(self.before.encode(), self.after.encode(), data, flags=re.IGNORECASE)
        return super().on_wire(data)


@deviation("CC-WSK-001", "It asks for version 8 of the WebSocket protocol.", "clean", websocket=True)
class _Version8(_Head):
    before, after = "Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"


@deviation("CC-WSK-001", "Its key has 8 bytes.", "clean", websocket=True)
class _ShortKey(_Head):
    before, after = r"Sec-WebSocket-Key: \S+", "Sec-WebSocket-Key: MTIzNDU2Nzg="


@deviation("CC-WSK-001", "Its upgrade request is a POST.", "clean", websocket=True)
class _Post(_Head):
    before, after = "^GET ", "POST "


@deviation("CC-WSK-001", "It sends no Upgrade header.", "clean", websocket=True)
class _NoUpgradeHeader(_Head):
    before, after = "Upgrade: websocket\r\n", ""


class _Frames(BaseClient):
    """Changes the frames that it sends."""

    def on_wire(self, data: bytes) -> bytes:
        return super().on_wire(with_frames(data, self.frame))

    def frame(self, frame: WireBytes) -> WireBytes | None:
        return frame


@deviation("CC-WSK-002", "It masks no frame.", "clean", websocket=True)
class _Unmasked(_Frames):
    def frame(self, frame: WireBytes) -> WireBytes:
        return WireBytes(frame.first, None, frame.payload)


@deviation("CC-WSK-002", "It masks every frame with the same mask.", "clean", websocket=True)
class _ConstantMask(_Frames):
    def frame(self, frame: WireBytes) -> WireBytes:
        return WireBytes(frame.first, b"mask", frame.payload)


@deviation("CC-WSK-002", "It masks every frame with zeros.", "clean", websocket=True)
class _ZeroMask(_Frames):
    def frame(self, frame: WireBytes) -> WireBytes:
        return WireBytes(frame.first, bytes(4), frame.payload)


class _Credulous(WebSocketFramer):
    """Doesn't check the accept value."""

    __slots__ = ()

    @classmethod
    def client(
        cls, host: str, path: str = "/", *, max_message: int = MAX_MESSAGE, headers: Mapping[str, str] | None = None
    ) -> Self:
        made = super().client(host, path, max_message=max_message, headers=headers)
        usual = made.protocol.process_response  # type: ignore[union-attr]

        def process(response: Response) -> None:
            if "Sec-WebSocket-Extensions" in response.headers:
                usual(response)

        made.protocol.process_response = process  # type: ignore[union-attr, method-assign]
        return made


@deviation("CC-WSK-003", "It doesn't check the accept value.", "upgrade-wrong-accept", websocket=True)
class _AcceptUnchecked(BaseClient):
    websocket_framer = _Credulous


class _Extending(WebSocketFramer):
    """Takes an extension that it never offered."""

    __slots__ = ()

    @classmethod
    def client(
        cls, host: str, path: str = "/", *, max_message: int = MAX_MESSAGE, headers: Mapping[str, str] | None = None
    ) -> Self:
        made = super().client(host, path, max_message=max_message, headers=headers)
        usual = made.protocol.process_response  # type: ignore[union-attr]

        def process(response: Response) -> None:
            if "Sec-WebSocket-Extensions" in response.headers:
                del response.headers["Sec-WebSocket-Extensions"]
            usual(response)

        made.protocol.process_response = process  # type: ignore[union-attr, method-assign]
        return made


@deviation(
    "CC-WSK-005",
    "It goes on although the relay has accepted an extension that wasn't offered.",
    "upgrade-extension",
    websocket=True,
)
class _ExtensionNotOffered(BaseClient):
    websocket_framer = _Extending


@deviation("CC-WSK-005", "It sets a reserved bit in its frames.", "clean", websocket=True)
class _ReservedBit(_Frames):
    def frame(self, frame: WireBytes) -> WireBytes:
        beat = b"heartbeat" in frame.payload
        return WireBytes(frame.first | 0x20 if beat else frame.first, frame.mask, frame.payload)


@deviation("CC-WSK-005", "It uses a reserved opcode.", "clean", websocket=True)
class _ReservedOpcode(_Frames):
    def frame(self, frame: WireBytes) -> WireBytes:
        beat = b"heartbeat" in frame.payload
        return WireBytes(0x83 if beat else frame.first, frame.mask, frame.payload)


@deviation("CC-WSK-004", "It answers no ping.", "websocket-pings", websocket=True)
class _NoPongs(_Frames):
    def frame(self, frame: WireBytes) -> WireBytes | None:
        return None if frame.opcode == _PONG else frame


@deviation("CC-WSK-004", "Its pongs are empty.", "websocket-pings", websocket=True)
class _EmptyPongs(_Frames):
    def frame(self, frame: WireBytes) -> WireBytes:
        return WireBytes(frame.first, frame.mask, b"") if frame.opcode == _PONG else frame


@deviation("CC-WSK-004", "It answers a ping with a ping.", "websocket-pings", websocket=True)
class _PingForPing(_Frames):
    def frame(self, frame: WireBytes) -> WireBytes:
        return WireBytes(0x80 | _PING, frame.mask, frame.payload) if frame.opcode == _PONG else frame


class _Incoming(WebSocketFramer):
    """Changes the relay's frames before they are read."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        super().feed(with_frames(data, self.frame) if self.opened and data else data)

    def frame(self, frame: WireBytes) -> WireBytes | None:
        return frame


class _Whole(_Incoming):
    __slots__ = ()

    def frame(self, frame: WireBytes) -> WireBytes:
        return WireBytes(frame.first | 0x80, frame.mask, frame.payload)


@deviation("CC-WSK-006", "It takes every fragment for a message.", "websocket-fragments", websocket=True)
class _FragmentsNotJoined(BaseClient):
    websocket_framer = _Whole


class _Unmasking(_Incoming):
    __slots__ = ()

    def frame(self, frame: WireBytes) -> WireBytes:
        return WireBytes(frame.first, None, frame.payload)


@deviation("CC-WSK-009", "It accepts masked frames from the relay.", "websocket-masked", websocket=True)
class _MaskedAccepted(BaseClient):
    websocket_framer = _Unmasking


class _BitsCleared(_Incoming):
    __slots__ = ()

    def frame(self, frame: WireBytes) -> WireBytes:
        return WireBytes(frame.first & 0x8F, frame.mask, frame.payload)


@deviation("CC-WSK-009", "It ignores reserved bits.", "websocket-reserved-bit", websocket=True)
class _ReservedBitsIgnored(BaseClient):
    websocket_framer = _BitsCleared


class _AnyOpcode(_Incoming):
    __slots__ = ()

    def frame(self, frame: WireBytes) -> WireBytes:
        strange = frame.opcode not in (0, 1, 2, _CLOSE, _PING, _PONG)
        return WireBytes(0x81 if strange else frame.first, frame.mask, frame.payload)


@deviation("CC-WSK-009", "It takes any opcode for text.", "websocket-unknown-opcode", websocket=True)
class _AnyOpcodeIsText(BaseClient):
    websocket_framer = _AnyOpcode


class _Continuing(_Incoming):
    __slots__ = ()

    def frame(self, frame: WireBytes) -> WireBytes:
        return WireBytes(0x81 if frame.first == 0x80 else frame.first, frame.mask, frame.payload)


@deviation(
    "CC-WSK-009",
    "It takes a continuation without a beginning for a message.",
    "websocket-continuation-first",
    websocket=True,
)
class _ContinuationAccepted(BaseClient):
    websocket_framer = _Continuing


@deviation("CC-WSK-007", "It sends its messages in binary frames.", "clean", websocket=True)
class _BinaryFrames(_Frames):
    def frame(self, frame: WireBytes) -> WireBytes:
        return WireBytes(0x82, frame.mask, frame.payload) if frame.opcode == 1 else frame


@deviation("CC-WSK-008", "It answers no close frame.", "websocket-close", websocket=True)
class _CloseUnanswered(_Frames):
    def frame(self, frame: WireBytes) -> WireBytes | None:
        return None if frame.opcode == _CLOSE else frame
