"""The frames that a client sends over WebSocket, read without the library that the simulator uses (RFC 6455)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_HEAD_END: Final = b"\r\n\r\n"
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_KNOWN: Final = (0, _TEXT, _BINARY, _CLOSE, _PING, _PONG)
_KEY_BYTES: Final = 16


@dataclass(slots=True)
class Frame:
    """One frame: when it was complete, its opcode, whether it was the last of its message, its mask and payload.

    `padded` says that its length is encoded in more bytes than necessary.
    """

    at: float
    opcode: int
    final: bool
    reserved: int
    mask: bytes | None
    payload: bytes
    padded: bool = False


@dataclass(slots=True)
class ClientFrames:
    """The upgrade request and the frames of one connection; `frames` are complete."""

    request: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    _rest: bytes = b""
    _parts: bytes = b""
    _opcode: int = 0

    def receive(self, data: bytes, at: float) -> Iterator[tuple[bytes, bool]]:
        """Yield the messages that bytes complete, and whether each is binary."""
        self._rest += data
        if not self.request:
            head, end, rest = self._rest.partition(_HEAD_END)
            if not end:
                return
            self._read_head(head.decode("latin-1"))
            self._rest = rest
        while (frame := self._next(at)) is not None:
            self.frames.append(frame)
            if frame.opcode in (_TEXT, _BINARY):
                self._parts, self._opcode = frame.payload, frame.opcode
            elif frame.opcode == 0:
                self._parts += frame.payload
            else:
                continue
            if frame.final:
                yield self._parts, self._opcode == _BINARY
                self._parts = b""

    def _read_head(self, head: str) -> None:
        self.request, *lines = head.split("\r\n")
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()

    def _next(self, at: float) -> Frame | None:
        data = self._rest
        if len(data) < 2:
            return None
        length, place = data[1] & 0x7F, 2
        if length > 125:
            size = 2 if length == 126 else 8
            if len(data) < place + size:
                return None
            length, place = int.from_bytes(data[place : place + size], "big"), place + size
        padded = length < {4: 126, 10: 1 << 16}.get(place, 0)
        mask = None
        if data[1] & 0x80:
            mask, place = data[place : place + 4], place + 4
        if len(data) < place + length or (mask is not None and len(mask) < 4):
            return None
        payload, self._rest = data[place : place + length], data[place + length :]
        if mask is not None:
            payload = bytes(byte ^ mask[number % 4] for number, byte in enumerate(payload))
        return Frame(at, data[0] & 0x0F, bool(data[0] & 0x80), data[0] >> 4 & 7, mask, payload, padded)

    @property
    def request_fault(self) -> str:
        """Why the upgrade request isn't one of RFC 6455, 4.1, or ""."""
        method, _, rest = self.request.partition(" ")
        headers = self.headers
        if method != "GET" or not rest.endswith("HTTP/1.1"):
            return f"the request line {self.request!r:.80}"
        if "websocket" not in headers.get("upgrade", "").lower():
            return "no header Upgrade: websocket"
        if "upgrade" not in headers.get("connection", "").lower():
            return "no header Connection: Upgrade"
        if headers.get("sec-websocket-version") != "13":
            return f"Sec-WebSocket-Version {headers.get('sec-websocket-version', 'is missing')!r}"
        try:
            key = base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)
        except (binascii.Error, ValueError):
            return "a Sec-WebSocket-Key that is no Base64"
        return "" if len(key) == _KEY_BYTES else f"a Sec-WebSocket-Key of {len(key)} bytes"

    @property
    def masks(self) -> list[bytes]:
        """The masks of the frames, in order."""
        return [frame.mask for frame in self.frames if frame.mask is not None]

    @property
    def unmasked(self) -> bool:
        """Whether a frame has no mask."""
        return any(frame.mask is None for frame in self.frames)

    @property
    def forbidden(self) -> str:
        """The first reserved bit or opcode, in words, or ""."""
        for frame in self.frames:
            if frame.reserved:
                return "a reserved bit"
            if frame.opcode not in _KNOWN:
                return f"the reserved opcode {frame.opcode}"
        return ""

    def of(self, opcode: int) -> list[Frame]:
        """Return the frames with an opcode."""
        return [frame for frame in self.frames if frame.opcode == opcode]

    @property
    def pongs(self) -> list[bytes]:
        """The payloads of the pongs."""
        return [frame.payload for frame in self.of(_PONG)]

    @property
    def pings(self) -> int:
        """The number of pings of its own."""
        return len(self.of(_PING))

    @property
    def closes(self) -> list[Frame]:
        """The close frames."""
        return self.of(_CLOSE)

    @property
    def fragments(self) -> bool:
        """Whether a message came in several frames."""
        return any(not frame.final for frame in self.frames)
