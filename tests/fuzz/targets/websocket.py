"""WebSocket: frames give the same messages however the bytes are cut, and well-formed ones give what was in them."""

from __future__ import annotations

import re
from typing import Final

from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode

from cbspec.protocol.framing import Frame
from cbspec.protocol.websocket import WebSocketFramer
from tests.fuzz.target import Choices, Target, pieces

_UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_LARGEST: Final = 300
_DATE: Final = re.compile(rb"Date: [^\r]*\r\n")
_OPCODES: Final = (Opcode.TEXT, Opcode.CONT, Opcode.BINARY, Opcode.PING, Opcode.PONG, Opcode.CLOSE)


def _heard(stream: bytes, size: int) -> tuple[list[Frame], bytes, bytes, str, bool, bool]:
    """Return all that came of a stream: messages, what is left and what goes out, why it failed, and how it stands."""
    framer = WebSocketFramer.server(max_message=_LARGEST)
    sent, found = b"", []
    for piece in pieces(stream, size):
        framer.feed(piece)
        while (frame := framer.next_frame()) is not None:
            found.append(frame)
        sent += framer.data_to_send()
    assert all(len(frame.text) <= _LARGEST for frame in found)
    assert len(framer.pending) <= _LARGEST
    failure = type(framer.failure).__name__
    return found, framer.pending, _DATE.sub(b"", sent), failure, framer.opened, framer.ended


def _frame(choices: Choices) -> WireFrame:
    kind = choices.byte()
    opcode = _OPCODES[kind % len(_OPCODES)]
    data = choices.bytes(choices.below(130 if opcode in (Opcode.TEXT, Opcode.CONT, Opcode.BINARY) else 126))
    return WireFrame(opcode, data, fin=kind < 192 or opcode not in (Opcode.TEXT, Opcode.CONT, Opcode.BINARY))


def _meant(frames: list[WireFrame]) -> list[Frame] | None:
    """Return the messages that frames carry, by RFC 6455, 5.4; None where they break a rule of it."""
    found, parts, binary = list[Frame](), list[bytes](), False
    begun = False
    for frame in frames:
        if frame.opcode is Opcode.CLOSE:
            return None
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            continue
        if (frame.opcode is Opcode.CONT) is not begun:
            return None
        binary = frame.opcode is Opcode.BINARY if not begun else binary
        parts.append(bytes(frame.data))
        begun = not frame.fin
        if sum(map(len, parts)) > _LARGEST:
            return None
        if frame.fin:
            found.append(Frame(b"".join(parts), binary=binary))
            parts.clear()
    return found


def _check(data: bytes) -> None:
    choices = Choices(data)
    mode, size = choices.below(3), 1 + choices.below(20)
    meant = None
    if mode == 0:
        frames = []
        while choices:
            frames.append(_frame(choices))
        stream = _UPGRADE + b"".join(frame.serialize(mask=True) for frame in frames)
        meant = _meant(frames)
    else:
        stream = (_UPGRADE if mode == 1 else b"") + choices.rest
    whole = _heard(stream, len(stream) or 1)
    assert _heard(stream, size) == whole
    assert _heard(stream, 1) == whole
    if meant is not None:
        assert whole[0] == meant
        assert (whole[4], whole[5]) == (True, False)


TARGET: Final = Target(
    _check, share=4,
    longest=400,
    words=(
        _UPGRADE, b"\r\n\r\n", b"GET / HTTP/1.1\r\n", b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
        b"\x81\x80", b"\xc1\x80", b"\x88\x80", b"\x89\x80", b"\x81\xfe\x00\x7e", b"\x81\xff",
    ),
)  # fmt: skip
