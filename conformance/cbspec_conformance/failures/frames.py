"""A client's WebSocket frames, read back from the bytes that left: which frames carried a message. Source: RFC 6455."""

from __future__ import annotations

from dataclasses import dataclass

from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode

_MASKED = 0x80
_EXTENDED = {126: 2, 127: 8}  # length bytes that follow these values of the short length


@dataclass(frozen=True, slots=True)
class ClientFrame:
    """One frame as a client sends it; `opcode` as RFC 6455 numbers them."""

    opcode: int
    fin: bool
    payload: bytes

    def to_bytes(self) -> bytes:
        """Return the frame masked, for the wire."""
        return WireFrame(Opcode(self.opcode), self.payload, self.fin).serialize(mask=True)


def parse(data: bytes) -> list[ClientFrame] | None:
    """Return the masked frames that `data` is made of, or None where it isn't made of whole ones."""
    frames = []
    while data:
        if len(data) < 2 or not data[1] & _MASKED or data[0] & 0x70:
            return None
        size, at = data[1] & ~_MASKED, 2
        if extended := _EXTENDED.get(size, 0):
            size, at = int.from_bytes(data[2 : 2 + extended], "big"), 2 + extended
        mask, payload = data[at : at + 4], data[at + 4 : at + 4 + size]
        if len(mask) < 4 or len(payload) < size:
            return None
        opcode = data[0] & 0x0F
        if opcode not in tuple(Opcode):
            return None
        plain = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        frames.append(ClientFrame(opcode, bool(data[0] & _MASKED), plain))
        data = data[at + 4 + size :]
    return frames
