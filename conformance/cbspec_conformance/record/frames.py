"""Framers for the bytes of a relay; the one for WebSocket also rejects padded lengths, which the library accepts.

Source: RFC 6455, 5.2 (the minimal number of bytes must be used to encode the length).
"""

from __future__ import annotations

from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig
from websockets.server import ServerProtocol

from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.handshake import HEAD_END
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_conformance.record.decoding import Decoded
from cbspec_conformance.record.transcript import End, Ended

LARGEST = 16 * 1024 * 1024
"""Bytes: largest message that the suite accepts from a relay, sixteen times the limit of deployed clients."""

TOO_LARGE = Decoded(None, "CB-MSG-002", f"the beginning of a message of more than {LARGEST} bytes")
"""The fault of a longer message."""

_EXTENDED = {126: 2, 127: 8}  # bytes of the extended length
_LEAST = {126: 126, 127: 1 << 16}


def given_up(failure: Exception) -> Decoded:
    """Return the fault for an error of the library, which reads no further."""
    if isinstance(failure, PayloadTooBig):
        return TOO_LARGE
    return Decoded(None, "CB-WSK-002", f"a broken WebSocket frame: {failure}")


def is_left_open(framer: StreamFramer | WebSocketFramer, text: bytes) -> bool:
    """Whether most relays wait for more of a text: an object in a stream whose end is missing."""
    if not isinstance(framer, StreamFramer):
        return False
    apart = StreamFramer(max_message=len(text) + 1)
    apart.feed(apart.encode(text))
    return apart.next_message() is None


def is_broken_off(rest: bytes, ended: Ended | None) -> bool:
    """Whether the relay itself left a message incomplete.

    After a reset or a close by the suite, the relay may have sent the rest.
    """
    return not rest.startswith(b"{") or (ended is not None and ended.how not in (End.RESET, End.OURS))


class StrictWebSocket(WebSocketFramer):
    """The client side of a WebSocket that also checks the lengths in frame headers."""

    __slots__ = ("_fault", "_head", "_rest", "_skip")

    def __init__(self, protocol: ServerProtocol | ClientProtocol) -> None:
        super().__init__(protocol)
        self._head = True
        self._rest = b""
        self._skip = 0
        self._fault = False

    def feed(self, data: bytes) -> None:
        """Accept received bytes."""
        self._scan(data)
        super().feed(data)

    def take_fault(self) -> bool:
        """Return whether a padded length was received since the last call."""
        fault, self._fault = self._fault, False
        return fault

    def _scan(self, data: bytes) -> None:
        rest, at = self._rest + data, self._skip
        if self._head:
            end = rest.find(HEAD_END)
            if end < 0:
                self._rest = rest
                return
            self._head, at = False, end + len(HEAD_END)
        while size := self._passed(rest, at):
            at += size
        self._skip, self._rest = max(0, at - len(rest)), rest[at:]

    def _passed(self, data: bytes, at: int) -> int:
        """Check the header at `at` and return the size of its frame, or 0 if the header is incomplete."""
        if len(data) < at + 2:
            return 0
        short = data[at + 1] & 0x7F
        extended = _EXTENDED.get(short, 0)
        if len(data) < at + 2 + extended:
            return 0
        length = int.from_bytes(data[at + 2 : at + 2 + extended], "big") if extended else short
        self._fault = self._fault or length < _LEAST.get(short, 0)
        masked = 4 if data[at + 1] & 0x80 else 0
        return 2 + extended + masked + length
