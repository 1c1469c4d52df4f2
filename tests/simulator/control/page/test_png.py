"""A picture made smaller is the same picture."""

from __future__ import annotations

import struct
import zlib

import pytest

from tests.simulator.control.page.png import plain, smaller

HEAD = b"\x89PNG\r\n\x1a\n"
# One line for each filter of the specification, worked out by hand: all say the pixels (10, 20, 30), (40, 50, 60).
FILTERED = b"".join(
    map(
        bytes,
        (
            (0, 10, 20, 30, 40, 50, 60),
            (1, 10, 20, 30, 30, 30, 30),
            (2, 0, 0, 0, 0, 0, 0),
            (3, 5, 10, 15, 15, 15, 15),
            (4, 0, 0, 0, 0, 0, 0),
        ),
    )
)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(colour: int) -> bytes:
    head = struct.pack(">IIBBBBB", 2, 5, 8, colour, 0, 0, 0)
    data = zlib.compress(FILTERED, 0)
    chunks = ((b"IHDR", head), (b"tEXt", b"x" * 99), (b"IDAT", data[:9]), (b"IDAT", data[9:]), (b"IEND", b""))
    return HEAD + b"".join(_chunk(*chunk) for chunk in chunks)


def test_every_filter_is_undone() -> None:
    assert list(plain(FILTERED, 6, 3)) == [bytes([10, 20, 30, 40, 50, 60])] * 5


def test_it_is_smaller_and_the_same() -> None:
    found = smaller(_png(2))
    assert len(found) < len(_png(2))
    size = struct.unpack(">I", found[33:37])[0]
    assert zlib.decompress(found[41 : 41 + size]) == (b"\0" + bytes([10, 20, 30, 40, 50, 60])) * 5
    assert found.startswith(_png(2)[:33])
    assert smaller(found) == found


def test_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="8-bit RGB"):
        smaller(_png(6))
