"""The effects of faults on WebSocket frames: fragments, interleaved pings, broken frames and close frames."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeGuard

from websockets.frames import Frame, Opcode

from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.faults.kind import Strike

_TEXTS: Final = (Opcode.TEXT, Opcode.CONT)
_Frames = list[Frame | bytes]


def framed(framer: WebSocketFramer, text: bytes, strikes: Iterable[Strike]) -> bytes:
    """Return the frames of a message after each strike has changed them."""
    frames: _Frames = [Frame(Opcode.TEXT, text)]
    for strike in strikes:
        if strike.kind.frame is not None:
            frames = strike.kind.frame(framer, frames, strike)
    return b"".join(each if isinstance(each, bytes) else each.serialize(mask=False) for each in frames)


def close(framer: WebSocketFramer, _: _Frames, strike: Strike) -> _Frames:
    framer.close()
    framer.data_to_send()  # discarded: the library refuses to send some codes
    # Serialized here, so that later strikes do not take it for a message.
    return [Frame(Opcode.CLOSE, struct.pack("!H", strike["code"]) + strike["reason"].encode()).serialize(mask=False)]


def _cut(frame: Frame, size: int) -> list[Frame]:
    """Split a frame of a message into fragments of `size` bytes."""
    parts = [frame.data[start : start + size] for start in range(0, len(frame.data), size)] or [b""]
    return [
        Frame(Opcode.CONT if number else frame.opcode, part, fin=frame.fin and number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]


def _is_text(frame: Frame | bytes) -> TypeGuard[Frame]:
    return isinstance(frame, Frame) and frame.opcode in _TEXTS


def fragment(_: WebSocketFramer, frames: _Frames, strike: Strike) -> _Frames:
    made: _Frames = []
    for frame in frames:
        made += _cut(frame, strike["bytes"]) if _is_text(frame) else [frame]
    return made


def add_pings(_: WebSocketFramer, frames: _Frames, strike: Strike) -> _Frames:
    ping = Frame(Opcode.PING, strike["payload"].encode())
    if len(frames) == 1 and _is_text(frames[0]):  # a ping between fragments needs two of them
        frames = [*_cut(frames[0], max(1, len(frames[0].data) // 2))]
    return [each for frame in frames for each in ((ping, frame) if _is_text(frame) else (frame,))]


def _serialized(frame: Frame, *, opcode: int | None = None, bits: int = 0) -> bytes:
    first, *rest = frame.serialize(mask=False)
    return bytes(((first & 0xF0 | opcode if opcode is not None else first) | bits, *rest))


def _not_utf8(frame: Frame) -> bytes:
    data = b"".join((frame.data[:-1], b"\xff", frame.data[-1:]))
    return Frame(frame.opcode, data, fin=frame.fin).serialize(mask=False)


def _longer(frame: Frame) -> bytes:
    """Serialize with a length of 64 bits, even if the payload is short."""
    return b"".join((frame.serialize(mask=False)[:1], b"\x7f", struct.pack("!Q", len(frame.data)), frame.data))


BROKEN: Final[Mapping[str, Callable[[Frame], bytes]]] = {
    "masked": lambda frame: frame.serialize(mask=True),
    "reserved-bit": lambda frame: _serialized(frame, bits=0x40),
    "unknown-opcode": lambda frame: _serialized(frame, opcode=3),
    "binary": lambda frame: _serialized(frame, opcode=Opcode.BINARY),
    "not-utf-8": _not_utf8,
    "continuation-first": lambda frame: _serialized(frame, opcode=Opcode.CONT),
    "long-ping": lambda frame: b"\x89\x7e\x00\x7e" + bytes(126) + frame.serialize(mask=False),
    "length-not-minimal": _longer,
    "unfinished": lambda frame: frame.serialize(mask=False)[:-1],
}


def break_frame(_: WebSocketFramer, frames: _Frames, strike: Strike) -> _Frames:
    """Break the first frame of a message, or the last one if it is to be unfinished."""
    texts = [(place, frame) for place, frame in enumerate(frames) if _is_text(frame)]
    if not texts:
        return frames
    place, frame = texts[-1 if strike["how"] == "unfinished" else 0]
    return [*frames[:place], BROKEN[strike["how"]](frame), *frames[place + 1 :]]
