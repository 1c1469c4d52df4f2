"""Streams: however bytes are split, the framers read the same messages from them."""

from __future__ import annotations

import contextlib
import re
from typing import Final

from cbspec.protocol.framing import MessageTooLarge, RawMessage, StreamFramer
from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec.protocol.websocket import WebSocketFramer
from tests.fuzz.target import Choices, pieces, same_however_split
from tests.support.client import UPGRADE

_LIMITS: Final = ((1 << 20, 64), (1 << 20, 3), (40, 64), (7, 2))  # bytes, depth
_LARGEST: Final = 300
_DATE: Final = re.compile(rb"Date: [^\r]*\r\n")


def framing(data: bytes) -> None:
    """Read messages with some limits; each text is an object or marked broken."""
    choices = Choices(data)
    limits, size = _LIMITS[choices.below(len(_LIMITS))], 1 + choices.below(9)

    def read(stream: bytes, size: int) -> list[RawMessage]:
        framer, found = StreamFramer(max_message=limits[0], max_depth=limits[1]), []
        try:
            for piece in pieces(stream, size):
                framer.feed(piece)
                while (frame := framer.next_message()) is not None:
                    found.append(frame)
        except MessageTooLarge:
            return [*found, RawMessage(b"", "too large")]
        return [*found, RawMessage(framer.pending.strip(b" \t\r\n"), "pending")]

    stream, place = choices.rest, 0
    for frame in same_however_split(read, stream, size)[:-1]:
        place = stream.index(frame.text, place) + len(frame.text)
        if not frame.broken:
            assert frame.text.startswith(b"{")
            assert len(frame.text) <= limits[0]
            assert read(StreamFramer.encode(frame.text), size) == [frame, RawMessage(b"", "pending")]
        elif limits[1] == 64:
            with contextlib.suppress(NotStrictJson):
                assert not isinstance(loads(frame.text), dict)


def websocket(data: bytes) -> None:
    """Read WebSocket frames with or without a handshake request."""
    choices = Choices(data)
    mode, size = choices.below(2), 1 + choices.below(20)
    same_however_split(_frames, (UPGRADE + b"\r\n" if mode else b"") + choices.rest, size)


def _frames(stream: bytes, size: int) -> tuple[list[RawMessage], bytes, bytes, str, bool, bool]:
    """Return messages, unread bytes, bytes to send, kind of failure, opened, ended."""
    framer = WebSocketFramer.server(max_message=_LARGEST)
    sent, found = b"", []
    for piece in pieces(stream, size):
        framer.feed(piece)
        while (frame := framer.next_message()) is not None:
            found.append(frame)
        sent += framer.data_to_send()
    assert all(len(frame.text) <= _LARGEST for frame in found)
    assert len(framer.pending) <= _LARGEST
    failure = type(framer.failure).__name__
    return found, framer.pending, _DATE.sub(b"", sent), failure, framer.opened, framer.ended
