"""NDJSON: a stream gives the same texts however it is cut, and nothing is called broken that is an object."""

from __future__ import annotations

from typing import Final

from cbspec.protocol.framing import Frame, FrameTooLarge, StreamFramer
from cbspec.protocol.strictjson import NotStrictJson, loads
from tests.fuzz.target import Choices, Target, pieces

_LIMITS: Final = ((1 << 20, 64), (1 << 20, 3), (40, 64), (7, 2))
_TOO_LARGE: Final = Frame(b"", "too large")


def _frames(stream: bytes, size: int, limits: tuple[int, int]) -> list[Frame]:
    framer = StreamFramer(max_message=limits[0], max_depth=limits[1])
    found = []
    try:
        for piece in pieces(stream, size):
            framer.feed(piece)
            while (frame := framer.next_frame()) is not None:
                found.append(frame)
    except FrameTooLarge:
        return [*found, _TOO_LARGE]
    return [*found, Frame(framer.pending.strip(b" \t\r\n"), "pending")]


def _check(data: bytes) -> None:
    choices = Choices(data)
    limits, size = _LIMITS[choices.below(len(_LIMITS))], 1 + choices.below(9)
    stream = choices.rest
    whole = _frames(stream, len(stream) or 1, limits)
    assert _frames(stream, 1, limits) == whole
    assert _frames(stream, size, limits) == whole
    place = 0
    for frame in whole[:-1]:
        place = stream.index(frame.text, place) + len(frame.text)
        if not frame.broken:
            assert frame.text.startswith(b"{")
            assert len(frame.text) <= limits[0]
            assert _frames(StreamFramer.encode(frame.text), size, limits) == [frame, Frame(b"", "pending")]
        elif limits[1] == 64:
            try:
                assert not isinstance(loads(frame.text), dict)
            except NotStrictJson:
                pass


TARGET: Final = Target(
    _check,
    share=10,
    longest=200,
    words=(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b":",
        b",",
        b"\\",
        b"\n",
        b"\r\n",
        b'{"a":1}',
        b'{"type":"heartbeat"}',
        b"null",
    ),
)
