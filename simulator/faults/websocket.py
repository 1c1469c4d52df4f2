"""Faults of WebSocket: frames that are cut, interrupted or broken, and closing with a code."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from websockets.frames import Frame, Opcode

from cbspec.websocket import WebSocketFramer
from simulator.faults.kind import Kind, Layer, Param, Strike
from simulator.values import SIZE, Value, one_of, short, whole

_ONLY: Final = ("websocket",)
_CODE: Final = Value(
    "a close code from 1000 to 4999",
    lambda value: whole(value) and 1000 <= value <= 4999,
    {"type": "integer", "minimum": 1000, "maximum": 4999},
)


def _frame(opcode: Opcode, data: bytes, *, fin: bool = True, mask: bool = False) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=mask)


def _close(framer: WebSocketFramer, text: bytes, strike: Strike) -> bytes:
    framer.close()
    framer.data_to_send()  # by hand instead: the code may be one that the library refuses to send
    return _frame(Opcode.CLOSE, struct.pack("!H", strike["code"]) + strike["reason"].encode())


def _fragments(framer: WebSocketFramer, text: bytes, strike: Strike) -> bytes:
    size = strike["bytes"]
    parts = [text[start : start + size] for start in range(0, len(text), size)] or [b""]
    return b"".join(
        _frame(Opcode.CONT if number else Opcode.TEXT, part, fin=number == len(parts) - 1)
        for number, part in enumerate(parts)
    )


def _pings(framer: WebSocketFramer, text: bytes, strike: Strike) -> bytes:
    half = len(text) // 2
    ping = _frame(Opcode.PING, strike["payload"].encode())
    return b"".join((ping, _frame(Opcode.TEXT, text[:half], fin=False), ping, _frame(Opcode.CONT, text[half:])))


def _longer(text: bytes) -> bytes:
    """Say a length of 64 bits for whatever is short."""
    return bytes((0x81, 127)) + struct.pack("!Q", len(text)) + text


BROKEN: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "masked": lambda text: _frame(Opcode.TEXT, text, mask=True),
    "reserved-bit": lambda text: b"\xc1" + _frame(Opcode.TEXT, text)[1:],
    "unknown-opcode": lambda text: b"\x83" + _frame(Opcode.TEXT, text)[1:],
    "binary": lambda text: _frame(Opcode.BINARY, text),
    "not-utf-8": lambda text: _frame(Opcode.TEXT, text[:-1] + b"\xff" + text[-1:]),
    "continuation-first": lambda text: _frame(Opcode.CONT, text),
    "long-ping": lambda text: b"\x89\x7e\x00\x7e" + bytes(126) + _frame(Opcode.TEXT, text),
    "length-not-minimal": _longer,
    "unfinished": lambda text: _frame(Opcode.TEXT, text)[:-1],
}


def _broken(framer: WebSocketFramer, text: bytes, strike: Strike) -> bytes:
    return BROKEN[strike["how"]](text)


KINDS: Final = (
    Kind(
        "websocket-close",
        Layer.WEBSOCKET,
        "A close frame comes instead of the answer.",
        "a relay or a proxy that ends the WebSocket",
        {
            "code": Param(_CODE.says("its code (RFC 6455, 7.4)"), 1001),
            "reason": Param(short(123).says("its reason"), ""),
        },
        _ONLY,
        frame=_close,
    ),
    Kind(
        "websocket-fragments",
        Layer.WEBSOCKET,
        "A message comes in fragments.",
        "CB-WSK-003",
        {"bytes": Param(SIZE.says("bytes of a fragment"), 8)},
        _ONLY,
        frame=_fragments,
    ),
    Kind(
        "websocket-pings",
        Layer.WEBSOCKET,
        "A ping comes before a message and between its fragments.",
        "CB-WSK-004",
        {"payload": Param(short(125).says("what the ping holds"), "")},
        _ONLY,
        frame=_pings,
    ),
    Kind(
        "websocket-broken-frame",
        Layer.WEBSOCKET,
        "A message comes in a frame that RFC 6455 forbids.",
        "CB-WSK-002",
        {"how": Param(one_of(*BROKEN).says("what is wrong with it"), "masked")},
        _ONLY,
        frame=_broken,
    ),
)
