"""WebSocket: frames give the same messages however the bytes are split."""

from __future__ import annotations

import re
from typing import Final

from cbspec.protocol.framing import RawMessage
from cbspec.protocol.websocket import WebSocketFramer
from tests.fuzz.target import Choices, pieces, same_however_split
from tests.support.client import UPGRADE

_HANDSHAKE: Final = UPGRADE + b"\r\n"
_LARGEST: Final = 300
_DATE: Final = re.compile(rb"Date: [^\r]*\r\n")


def check(data: bytes) -> None:
    """Read any bytes with or without a handshake request."""
    choices = Choices(data)
    mode, size = choices.below(2), 1 + choices.below(20)
    same_however_split(_read, (_HANDSHAKE if mode else b"") + choices.rest, size)


def _read(stream: bytes, size: int) -> tuple[list[RawMessage], bytes, bytes, str, bool, bool]:
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
