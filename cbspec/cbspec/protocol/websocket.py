"""Messages over WebSocket, one JSON object per message, on the sans-I/O layer of the `websockets` package.

Neither end offers or accepts permessage-deflate. A short text in one frame, which is the usual message, is decoded and
encoded here, and everything else by the library (a property test compares both).
Source: Notes / no compression; RFC 6455.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from http import HTTPStatus
from typing import Self

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHeader, InvalidMessage, WebSocketException
from websockets.frames import DATA_OPCODES, Opcode
from websockets.frames import Frame as WireFrame
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from cbspec.protocol.framing import MAX_MESSAGE, RawMessage
from cbspec.protocol.handshake import HEAD_END, VERSION

try:
    from websockets.speedups import apply_mask
except ImportError:  # the library was installed without its C extension
    from websockets.utils import apply_mask

_VERSION_HEADER = "Sec-WebSocket-Version"
_PONGS = 16  # a peer may send any number of unsolicited pongs
_CONNECTING, _OPEN = State.CONNECTING, State.OPEN  # access to a member of an enum costs ten times a global
_TEXT = 0x81  # first byte of an unfragmented text frame (Source: RFC 6455, 5.2)
_MASKED = 0x80  # bit of the second byte, whose other bits are the length of a short payload
_SHORT = 125
_HEADER = 6  # bytes before a short masked payload: the two above, and the mask


class WebSocketFramer:
    """One end of a WebSocket: opening handshake, messages, pings and closing handshake.

    Created by `server()` or `client()`. Bytes to send without a message (handshake, pongs, close) are in
    `data_to_send()`. `pongs` are the payloads of the peer's last pongs, `status` is the HTTP status of the relay's
    response, and `protocol` is the library's object.
    """

    __slots__ = (
        "_binary",
        "_fragmented",
        "_head_end",
        "_held_close",
        "_messages",
        "_parts",
        "_ready",
        "_short",
        "_unparsed",
        "opened",
        "pongs",
        "protocol",
        "status",
    )

    def __init__(self, protocol: ServerProtocol | ClientProtocol) -> None:
        self.protocol = protocol
        self._messages: deque[RawMessage] = deque()
        self._parts = bytearray()
        self._head_end = b""  # the last bytes of an incomplete opening handshake
        self._binary = False
        self._unparsed = 0  # bytes in the library that aren't a complete frame yet
        self._fragmented = False  # the current message has begun, and its last frame is missing
        self._ready = b""  # bytes to send first
        self._held_close = b""  # a relay's close frame, until the messages before the client's close are answered
        self._short = -1  # bytes of the longest text that is handled without the library
        self.opened = False
        self.pongs: deque[bytes] = deque(maxlen=_PONGS)
        self.status: int | None = None

    @classmethod
    def server(cls, *, max_message: int = MAX_MESSAGE) -> Self:
        """Return a relay's end, waiting for the opening handshake."""
        made = cls(ServerProtocol(max_size=max_message))
        made._short = min(_SHORT, max_message)
        return made

    @classmethod
    def client(
        cls, host: str, path: str = "/", *, max_message: int = MAX_MESSAGE, headers: Mapping[str, str] | None = None
    ) -> Self:
        """Return a client's end, with its opening handshake in `data_to_send()`; `host` may include a port."""
        protocol = ClientProtocol(parse_uri(f"wss://{host}{path}"), max_size=max_message)
        request = protocol.connect()
        request.headers.update(headers or {})
        protocol.send_request(request)
        return cls(protocol)

    @property
    def failure(self) -> WebSocketException | Exception | None:
        """Why the opening handshake or a frame of the peer was rejected, or None."""
        return self.protocol.handshake_exc or self.protocol.parser_exc

    @property
    def ended(self) -> bool:
        """Whether the closing handshake has begun or the connection has failed."""
        state = self.protocol.state
        return state is not _OPEN and state is not _CONNECTING

    @property
    def write_closed(self) -> bool:
        """Whether nothing can be sent any more; a relay may answer the messages received before the end."""
        return self.ended and not self._held_close

    @property
    def finished(self) -> bool:
        """Whether the transport may be closed after `data_to_send()` is flushed."""
        return self.protocol.close_expected()

    def feed(self, data: bytes) -> None:
        """Process received bytes."""
        state = self.protocol.state
        if state is _OPEN:
            if not self._unparsed and not self._fragmented:
                data = self._take_short_texts(data)
        elif state is _CONNECTING and isinstance(self.protocol, ServerProtocol):
            head, data = self._split_head(data)
            known = self.protocol.handshake_exc
            self._receive(head)
            if known is None:
                self._ready += _refusal(self.protocol.handshake_exc, self.protocol)
        if data:
            self._unparsed += len(data)
            self._receive(data)

    def _take_short_texts(self, data: bytes) -> bytes:
        """Take the unfragmented short texts at the beginning; return the rest."""
        begin = 0
        while len(data) - begin >= _HEADER and data[begin] == _TEXT:
            length = data[begin + 1] - _MASKED
            end = begin + _HEADER + length
            if not 0 <= length <= self._short or end > len(data):
                break
            text = begin + _HEADER
            self._messages.append(RawMessage(apply_mask(data[text:end], data[text - 4 : text])))
            begin = end
        return data[begin:]

    def _split_head(self, data: bytes) -> tuple[bytes, bytes]:
        """Split bytes at the end of the opening handshake: frames after it are parsed after the response is sent."""
        before = self._head_end
        end = (before + data).find(HEAD_END)
        self._head_end = (before + data)[1 - len(HEAD_END) :]
        cut = len(data) if end < 0 else max(0, end + len(HEAD_END) - len(before))
        return data[:cut], data[cut:]

    def _receive(self, data: bytes) -> None:
        was_open = self.protocol.state is _OPEN
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, WireFrame):
                self._unparsed -= _wire_size(event)
                self.receive_frame(event)
            elif isinstance(event, Request) and isinstance(self.protocol, ServerProtocol):
                self.protocol.send_response(_response(self.protocol, event))
                self.opened = self.protocol.state is _OPEN
            elif isinstance(event, Response):
                self.status = event.status_code
                self.opened = self.protocol.handshake_exc is None
        if was_open and self._messages and self.ended and isinstance(self.protocol, ServerProtocol):
            *ready, self._held_close = filter(None, self.protocol.data_to_send())
            self._ready += b"".join(ready)

    def receive_frame(self, frame: WireFrame) -> None:
        """Process a frame from the library."""
        if frame.opcode in DATA_OPCODES:
            self._fragmented = not frame.fin
            if frame.opcode is not Opcode.CONT:
                self._binary = frame.opcode is Opcode.BINARY
            self._parts += frame.data
            if frame.fin:
                self._messages.append(RawMessage(bytes(self._parts), binary=self._binary))
                self._parts.clear()
        elif frame.opcode is Opcode.PONG:
            self.pongs.append(bytes(frame.data))

    def take_fault(self) -> bool:
        """Whether a frame since the last call broke a rule that the library ignores; a stricter subclass checks."""
        return False

    def next_message(self) -> RawMessage | None:
        """Return the next message, or None until more bytes are available."""
        if self._messages:
            return self._messages.popleft()
        self._release_close()
        return None

    @property
    def pending(self) -> bytes:
        """The fragments of an incomplete message."""
        return bytes(self._parts)

    @property
    def unparsed(self) -> int:
        """The number of bytes of an incomplete frame."""
        return self._unparsed

    def discard(self) -> None:
        """Discard the incomplete message."""
        self._parts.clear()

    def end(self) -> None:
        """Release the library's buffers: its parser is part of a reference cycle, which delays the collection."""
        self.protocol.parser.close()

    @property
    def close_code(self) -> int | None:
        """The code of the peer's close frame, or None."""
        closed = self.protocol.close_rcvd
        return closed.code if closed is not None else None

    def encode(self, text: bytes) -> bytes:
        """Return the bytes that carry a message's text, after those of `data_to_send()`."""
        if len(text) <= self._short and self.protocol.state is _OPEN:
            return b"%b%c%c%b" % (self.data_to_send(), _TEXT, len(text), text)
        if self._held_close:
            return self.data_to_send() + WireFrame(Opcode.TEXT, text).serialize(mask=False)
        self.protocol.send_text(text)
        return self.data_to_send()

    def close(self, code: int = 1000) -> None:
        """Begin the closing handshake, or continue it without answers to the remaining messages."""
        self._release_close()
        if self.protocol.state is _OPEN:
            self.protocol.send_close(code)

    def data_to_send(self) -> bytes:
        """Return the bytes to send to the peer."""
        ready, self._ready = self._ready, b""
        return ready + b"".join(self.protocol.data_to_send())

    def _release_close(self) -> None:
        if self._held_close:
            self._ready, self._held_close = self._ready + self._held_close, b""


def _response(protocol: ServerProtocol, request: Request) -> Response:
    """Return the response to an opening handshake; a refusal of a version names the supported one (RFC 6455, 4.2.2)."""
    response = protocol.accept(request)
    refused = protocol.handshake_exc
    if isinstance(refused, InvalidHeader) and refused.name == _VERSION_HEADER:
        response.headers[_VERSION_HEADER] = VERSION
    return response


def _refusal(failure: Exception | None, protocol: ServerProtocol) -> bytes:
    """Return the error response to a request that isn't HTTP, which the library leaves out (RFC 6455, 4.2.1)."""
    if type(failure) is not InvalidMessage:  # the library answers its subclasses
        return b""
    cause = failure.__cause__
    reason = "a line doesn't end in CR LF" if isinstance(cause, EOFError) else cause
    return protocol.reject(HTTPStatus.BAD_REQUEST, f"{failure}: {reason}\n").serialize()


def _wire_size(frame: WireFrame) -> int:
    """Return the bytes of a client's frame on the wire, with its length in the shortest form."""
    size = len(frame.data)
    return _HEADER + size + (0 if size <= _SHORT else 2 if size < 1 << 16 else 8)
