"""Framing: a stream gives the same texts however it is split; each text is an object or marked broken."""

from __future__ import annotations

import contextlib
from typing import Final

from cbspec.protocol.framing import MessageTooLarge, RawMessage, StreamFramer
from cbspec.protocol.strictjson import NotStrictJson, loads
from tests.fuzz.target import Choices, pieces, same_however_split

_LIMITS: Final = ((1 << 20, 64), (1 << 20, 3), (40, 64), (7, 2))  # bytes, depth


def check(data: bytes) -> None:
    """Read a stream with some limits."""
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
