"""The reference client's session with an opening for every byte and message that a changed client treats otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from cbspec.protocol.connection import Connection
from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import Message, Request, Role, Violation
from cbspec_client.session import ClientSession, Transport

if TYPE_CHECKING:
    from tests.adequacy.clients.base import BaseClient


_HEADER = 5  # bytes before a TLS record: its type, a version, and its length


class WireSession(ClientSession):
    """A session whose client writes its own texts and frames, and reads answers in its own way.

    `asked` is the last request. While `raw` is a list, messages are collected there, and nothing is checked.
    """

    def __init__(self, client: BaseClient) -> None:
        super().__init__(
            client.context(),
            client.server_name,
            transport=client.transport,
            authority=client.authority,
            path=client.path,
            websocket=client.websocket_framer,
        )
        self.client = client
        self.asked: Request | None = None
        self.raw: list[bytes] | None = None
        self._records = b""
        stream = client.stream_framer()
        self.framer = self._websocket or stream
        if client.transport is Transport.TCP:
            self._connection = Connection(Role.CLIENT, stream, read=self._read)

    def request(self, message: Request) -> None:
        """Send a request in the client's own spelling."""
        self.asked = message
        self._tls.send(self.client.on_wire(self._connection.send(message, self.client.spelled(message))))

    def post(self, text: bytes) -> None:
        """Send a text that no rule has seen."""
        self._tls.send(self.client.on_wire(self.framer.encode(text)))

    def receive_data(self, data: bytes) -> None:
        """Receive bytes record by record, so that no busy machine joins what the relay has split."""
        self._records += data
        while len(self._records) >= _HEADER:
            end = _HEADER + int.from_bytes(self._records[_HEADER - 2 : _HEADER], "big")
            if len(self._records) < end:
                return
            record, self._records = self._records[:end], self._records[end:]
            super().receive_data(record)

    def read_on(self) -> None:
        """Read the messages that have arrived."""
        if self.raw is None:
            super().read_on()
            return
        while (frame := self.framer.next_message()) is not None:
            self.raw.append(frame.text)

    def _read(self, frame: RawMessage, sender: Role) -> Message | Violation:
        return self.client.understood(frame.text, super()._read(frame, sender))

    def _pump(self) -> None:
        wire = self._websocket.data_to_send() if self._websocket else b""
        if wire and not self._said_goodbye:
            self._tls.send(self.client.on_wire(wire))


class WireBytes:
    """One WebSocket frame in bytes; `mask` is None without one, and `payload` is plain."""

    def __init__(self, first: int, mask: bytes | None, payload: bytes) -> None:
        self.first = first
        self.mask = mask
        self.payload = payload

    @property
    def opcode(self) -> int:
        """The opcode."""
        return self.first & 0x0F

    def __bytes__(self) -> bytes:
        size = len(self.payload)
        masked = 0x80 if self.mask is not None else 0
        if size < 126:
            length = bytes((masked | size,))
        elif size < 65536:
            length = bytes((masked | 126,)) + size.to_bytes(2, "big")
        else:
            length = bytes((masked | 127,)) + size.to_bytes(8, "big")
        return bytes((self.first,)) + length + (self.mask or b"") + _masked(self.payload, self.mask)


def split_frames(data: bytes) -> Iterator[WireBytes]:
    """Yield the frames in bytes that end with a frame."""
    while data:
        size, place = data[1] & 0x7F, 2
        if size > 125:
            width = 2 if size == 126 else 8
            size, place = int.from_bytes(data[place : place + width], "big"), place + width
        mask = None
        if data[1] & 0x80:
            mask, place = data[place : place + 4], place + 4
        yield WireBytes(data[0], mask, _masked(data[place : place + size], mask))
        data = data[place + size :]


def with_frames(data: bytes, change: Callable[[WireBytes], WireBytes | None]) -> bytes:
    """Return the bytes with each frame changed, or left out if `change` returns None; a head of HTTP is left alone."""
    if data.startswith((b"GET ", b"HTTP/")):
        return data
    return b"".join(bytes(made) for frame in split_frames(data) if (made := change(frame)) is not None)


def _masked(payload: bytes, mask: bytes | None) -> bytes:
    return payload if mask is None else bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
