"""Messages over WebSocket, one JSON object per message, on the `websockets` package's sans-I/O layer.

No permessage-deflate: neither end offers or accepts it. Source: Notes / no compression; RFC 6455.
"""

from __future__ import annotations

from collections import deque
from typing import Self

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import DATA_OPCODES, Opcode
from websockets.frames import Frame as WireFrame
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from cbspec.framing import MAX_MESSAGE, Frame

_HEAD_END = b"\r\n\r\n"
_PONGS = 16  # a peer may send any number unasked


class WebSocketFramer:
    """One end of a WebSocket: opening handshake, messages, pings and the closing handshake.

    Made by `server()` or `client()`. What wants to go out unasked (handshake, pongs, close) is in `data_to_send()`;
    `pongs` are the payloads of the peer's last pongs, `status` the HTTP status with which a relay answered a client.
    """

    __slots__ = ("_binary", "_messages", "_parts", "_protocol", "_seen", "opened", "pongs", "status")

    def __init__(self, protocol: ServerProtocol | ClientProtocol) -> None:
        self._protocol = protocol
        self._messages: deque[Frame] = deque()
        self._parts = bytearray()
        self._seen = b""  # the last bytes of a client's opening handshake, where its end may begin
        self._binary = False
        self.opened = False
        self.pongs: deque[bytes] = deque(maxlen=_PONGS)
        self.status: int | None = None

    @classmethod
    def server(cls, *, max_message: int = MAX_MESSAGE) -> Self:
        """Return a relay's end, waiting for the opening handshake."""
        return cls(ServerProtocol(max_size=max_message))

    @classmethod
    def client(cls, host: str, path: str = "/", *, max_message: int = MAX_MESSAGE) -> Self:
        """Return a client's end; its opening handshake is in `data_to_send()`. `host` may carry a port."""
        protocol = ClientProtocol(parse_uri(f"wss://{host}{path}"), max_size=max_message)
        protocol.send_request(protocol.connect())
        return cls(protocol)

    @property
    def failure(self) -> WebSocketException | Exception | None:
        """Why the opening handshake or a frame of the peer's was not accepted, if one wasn't."""
        return self._protocol.handshake_exc or self._protocol.parser_exc

    @property
    def ended(self) -> bool:
        """The closing handshake has begun, or the connection failed: no more messages will come or can be sent."""
        return self._protocol.state is not State.CONNECTING and self._protocol.state is not State.OPEN

    @property
    def finished(self) -> bool:
        """Everything is said: the transport may be closed as soon as `data_to_send()` is out."""
        return self._protocol.close_expected()

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        if self._protocol.state is State.CONNECTING and isinstance(self._protocol, ServerProtocol):
            head, data = self._split(data)
            self._receive(head)
        if data:
            self._receive(data)

    def _split(self, data: bytes) -> tuple[bytes, bytes]:
        """Split bytes behind a client's opening handshake: what a frame is worth shows once it was answered."""
        before = self._seen
        end = (before + data).find(_HEAD_END)
        self._seen = (before + data)[1 - len(_HEAD_END) :]
        cut = len(data) if end < 0 else max(0, end + len(_HEAD_END) - len(before))
        return data[:cut], data[cut:]

    def _receive(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, WireFrame):
                self._frame(event)
            elif isinstance(event, Request) and isinstance(self._protocol, ServerProtocol):
                self._protocol.send_response(self._protocol.accept(event))
                self.opened = self._protocol.state is State.OPEN
            elif isinstance(event, Response):
                self.status = event.status_code
                self.opened = self._protocol.handshake_exc is None

    def take_fault(self) -> bool:
        """Say whether a frame since the last call broke a rule that the library passes over; a stricter end looks."""
        return False

    def next_frame(self) -> Frame | None:
        """Return the next message text, or None until more bytes come."""
        return self._messages.popleft() if self._messages else None

    @property
    def pending(self) -> bytes:
        """The fragments of a message that isn't complete yet."""
        return bytes(self._parts)

    def forget(self) -> None:
        """Let go of the message that isn't complete."""
        self._parts.clear()

    @property
    def close_code(self) -> int | None:
        """The code with which the peer closed, if it did."""
        closed = self._protocol.close_rcvd
        return closed.code if closed is not None else None

    def encode(self, text: bytes) -> bytes:
        """Return `text` as a text frame."""
        self._protocol.send_text(text)
        return self.data_to_send()

    def close(self, code: int = 1000) -> None:
        """Begin the closing handshake, if it hasn't begun."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code)

    def data_to_send(self) -> bytes:
        """Return the bytes that want to go to the peer."""
        return b"".join(self._protocol.data_to_send())

    def _frame(self, frame: WireFrame) -> None:
        if frame.opcode in DATA_OPCODES:
            if frame.opcode is not Opcode.CONT:
                self._binary = frame.opcode is Opcode.BINARY
            self._parts += frame.data
            if frame.fin:
                self._messages.append(Frame(bytes(self._parts), binary=self._binary))
                self._parts.clear()
        elif frame.opcode is Opcode.PONG:
            self.pongs.append(bytes(frame.data))
