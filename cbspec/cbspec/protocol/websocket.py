"""Messages over WebSocket, one JSON object per message, on the `websockets` package's sans-I/O layer.

No permessage-deflate: neither end offers or accepts it. What a relay gets and says nearly always, a short text in a
frame of its own, is read and written here in one step; the library has all that is anything else, and says the same of
the usual (a property test holds the two together). Source: Notes / no compression; RFC 6455.
"""

from __future__ import annotations

from collections import deque
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

try:
    from websockets.speedups import apply_mask
except ImportError:  # where the library is pure Python, as for its own frames
    from websockets.utils import apply_mask

_HEAD_END = b"\r\n\r\n"
_VERSION_HEADER, _VERSION = "Sec-WebSocket-Version", "13"
_PONGS = 16  # a peer may send any number unasked
_CONNECTING, _OPEN = State.CONNECTING, State.OPEN  # a member of an enum costs ten times a global
_TEXT = 0x81  # the first byte of a text that is whole (Source: RFC 6455, 5.2)
_MASKED = 0x80  # in the second byte, whose rest is the length up to
_SHORT = 125
_BEGIN = 6  # bytes before a short text that is masked: these two, and the mask


class WebSocketFramer:
    """One end of a WebSocket: opening handshake, messages, pings and the closing handshake.

    Made by `server()` or `client()`. What wants to go out unasked (handshake, pongs, close) is in `data_to_send()`;
    `pongs` are the payloads of the peer's last pongs, `status` the HTTP status with which a relay answered a client.
    """

    __slots__ = (
        "_behind",
        "_binary",
        "_farewell",
        "_messages",
        "_parted",
        "_parts",
        "_protocol",
        "_ready",
        "_seen",
        "_short",
        "opened",
        "pongs",
        "status",
    )

    def __init__(self, protocol: ServerProtocol | ClientProtocol) -> None:
        self._protocol = protocol
        self._messages: deque[RawMessage] = deque()
        self._parts = bytearray()
        self._seen = b""  # the last bytes of a client's opening handshake, where its end may begin
        self._binary = False
        self._behind = 0  # bytes of the peer's frames that the library has, and gave no frame for
        self._parted = False  # a message has begun in a frame that isn't its last
        self._farewell = b""  # a relay's close, while messages that came before the client's wait to be answered
        self._ready = b""  # what goes out before it
        self._short = -1  # bytes of a text up to which it is read and written here
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
        state = self._protocol.state
        return state is not _OPEN and state is not _CONNECTING

    @property
    def silent(self) -> bool:
        """Nothing can be sent any more: it has ended, and what came before its end was taken."""
        return self.ended and not self._farewell

    @property
    def finished(self) -> bool:
        """Everything is said: the transport may be closed as soon as `data_to_send()` is out."""
        return self._protocol.close_expected()

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        state = self._protocol.state
        if state is _OPEN:
            if not self._behind and not self._parted:
                data = self._usual(data)
        elif state is _CONNECTING and isinstance(self._protocol, ServerProtocol):
            head, data = self._split(data)
            known = self._protocol.handshake_exc
            self._receive(head)
            if known is None:
                self._ready += _refusal(self._protocol.handshake_exc, self._protocol)
        if data:
            self._behind += len(data)
            self._receive(data)

    def _usual(self, data: bytes) -> bytes:
        """Take the short texts that are whole in a frame of their own; return what begins with anything else."""
        begin = 0
        while len(data) - begin >= _BEGIN and data[begin] == _TEXT:
            length = data[begin + 1] - _MASKED
            end = begin + _BEGIN + length
            if not 0 <= length <= self._short or end > len(data):
                break
            text = begin + _BEGIN
            self._messages.append(RawMessage(apply_mask(data[text:end], data[text - 4 : text])))
            begin = end
        return data[begin:]

    def _split(self, data: bytes) -> tuple[bytes, bytes]:
        """Split bytes behind a client's opening handshake: what a frame is worth shows once it was answered."""
        before = self._seen
        end = (before + data).find(_HEAD_END)
        self._seen = (before + data)[1 - len(_HEAD_END) :]
        cut = len(data) if end < 0 else max(0, end + len(_HEAD_END) - len(before))
        return data[:cut], data[cut:]

    def _receive(self, data: bytes) -> None:
        was_open = self._protocol.state is _OPEN
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, WireFrame):
                self._behind -= _wire_size(event)
                self._frame(event)
            elif isinstance(event, Request) and isinstance(self._protocol, ServerProtocol):
                self._protocol.send_response(_response(self._protocol, event))
                self.opened = self._protocol.state is _OPEN
            elif isinstance(event, Response):
                self.status = event.status_code
                self.opened = self._protocol.handshake_exc is None
        if was_open and self._messages and self.ended and isinstance(self._protocol, ServerProtocol):
            *ready, self._farewell = filter(None, self._protocol.data_to_send())
            self._ready += b"".join(ready)

    def take_fault(self) -> bool:
        """Say whether a frame since the last call broke a rule that the library passes over; a stricter end looks."""
        return False

    def next_message(self) -> RawMessage | None:
        """Return the next message text, or None until more bytes come."""
        if self._messages:
            return self._messages.popleft()
        self._let_go()
        return None

    @property
    def pending(self) -> bytes:
        """The fragments of a message that isn't complete yet."""
        return bytes(self._parts)

    def forget(self) -> None:
        """Let go of the message that isn't complete."""
        self._parts.clear()

    def end(self) -> None:
        """Take note that the connection is over: nothing is read any more, and what the library holds can be let go.

        Its parser refers to it, so half of a large message would stay until the garbage collector comes.
        """
        self._protocol.parser.close()

    @property
    def close_code(self) -> int | None:
        """The code with which the peer closed, if it did."""
        closed = self._protocol.close_rcvd
        return closed.code if closed is not None else None

    def encode(self, text: bytes) -> bytes:
        """Return `text` as a text frame."""
        if len(text) <= self._short and self._protocol.state is _OPEN:
            return b"%b%c%c%b" % (self.data_to_send(), _TEXT, len(text), text)
        if self._farewell:
            return self.data_to_send() + WireFrame(Opcode.TEXT, text).serialize(mask=False)
        self._protocol.send_text(text)
        return self.data_to_send()

    def close(self, code: int = 1000) -> None:
        """Begin the closing handshake, if it hasn't begun; nothing that waits is answered any more."""
        self._let_go()
        if self._protocol.state is _OPEN:
            self._protocol.send_close(code)

    def data_to_send(self) -> bytes:
        """Return the bytes that want to go to the peer."""
        ready, self._ready = self._ready, b""
        return ready + b"".join(self._protocol.data_to_send())

    def _let_go(self) -> None:
        """Let the close go out: what came before it was answered."""
        if self._farewell:
            self._ready, self._farewell = self._ready + self._farewell, b""

    def _frame(self, frame: WireFrame) -> None:
        if frame.opcode in DATA_OPCODES:
            self._parted = not frame.fin
            if frame.opcode is not Opcode.CONT:
                self._binary = frame.opcode is Opcode.BINARY
            self._parts += frame.data
            if frame.fin:
                self._messages.append(RawMessage(bytes(self._parts), binary=self._binary))
                self._parts.clear()
        elif frame.opcode is Opcode.PONG:
            self.pongs.append(bytes(frame.data))


def _response(protocol: ServerProtocol, request: Request) -> Response:
    """Return what an opening handshake draws; one of another version learns which one is spoken (RFC 6455, 4.2.2)."""
    response = protocol.accept(request)
    refused = protocol.handshake_exc
    if isinstance(refused, InvalidHeader) and refused.name == _VERSION_HEADER:
        response.headers[_VERSION_HEADER] = _VERSION
    return response


def _refusal(failure: Exception | None, protocol: ServerProtocol) -> bytes:
    """Return what a head draws that is no HTTP: an error (RFC 6455, 4.2.1), where the library says nothing."""
    if type(failure) is not InvalidMessage:  # what is derived from it is answered there
        return b""
    cause = failure.__cause__
    reason = "a line doesn't end in CR LF" if isinstance(cause, EOFError) else cause
    return protocol.reject(HTTPStatus.BAD_REQUEST, f"{failure}: {reason}\n").serialize()


def _wire_size(frame: WireFrame) -> int:
    """Return how long a client's frame was on the wire, its length spelt in as few bytes as can be."""
    size = len(frame.data)
    return _BEGIN + size + (0 if size <= _SHORT else 2 if size < 1 << 16 else 8)
