"""WebSocket: frames give the same messages however the bytes are split; well-formed ones give their payloads."""

from __future__ import annotations

import re
from typing import Final

from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode

from cbspec.protocol.framing import RawMessage
from cbspec.protocol.websocket import WebSocketFramer
from tests.fuzz.target import Choices, pieces, same_however_split
from tests.support.client import UPGRADE

_HANDSHAKE: Final = UPGRADE + b"\r\n"
_LARGEST: Final = 300
_DATE: Final = re.compile(rb"Date: [^\r]*\r\n")
_DATA: Final = (Opcode.TEXT, Opcode.CONT, Opcode.BINARY)
_OPCODES: Final = (*_DATA, Opcode.PING, Opcode.PONG, Opcode.CLOSE)


def check(data: bytes) -> None:
    """Read well-formed frames, or any bytes with or without a handshake request."""
    choices = Choices(data)
    mode, size = choices.below(3), 1 + choices.below(20)
    if mode:
        same_however_split(_read, (_HANDSHAKE if mode == 1 else b"") + choices.rest, size)
        return
    frames = []
    while choices:
        frames.append(_frame(choices))
    stream = _HANDSHAKE + b"".join(frame.serialize(mask=True) for frame in frames)
    found = same_however_split(_read, stream, size)
    if (messages := _messages(frames)) is not None:
        assert found[0] == messages
        assert found[4:] == (True, False)


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


def _frame(choices: Choices) -> WireFrame:
    kind = choices.byte()
    opcode = _OPCODES[kind % len(_OPCODES)]
    data = choices.bytes(choices.below(130 if opcode in _DATA else 126))
    return WireFrame(opcode, data, fin=kind < 192 or opcode not in _DATA)


def _messages(frames: list[WireFrame]) -> list[RawMessage] | None:
    """Return the messages in frames, or None if they break a rule of RFC 6455, 5.4."""
    found, parts, binary, begun = list[RawMessage](), list[bytes](), False, False
    for frame in frames:
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            continue
        if frame.opcode is Opcode.CLOSE or (frame.opcode is Opcode.CONT) is not begun:
            return None
        binary = binary if begun else frame.opcode is Opcode.BINARY
        parts.append(bytes(frame.data))
        begun = not frame.fin
        if sum(map(len, parts)) > _LARGEST:
            return None
        if frame.fin:
            found.append(RawMessage(b"".join(parts), binary=binary))
            parts.clear()
    return found
