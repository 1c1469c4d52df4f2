"""A client's WebSocket frames, parsed from bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from cbspec_conformance.failures.frames import parse

PAYLOADS = st.binary(max_size=20) | st.sampled_from([125, 126, 65535, 65536]).map(bytes)
DATA = st.builds(Frame, st.sampled_from([Opcode.CONT, Opcode.TEXT, Opcode.BINARY]), PAYLOADS, st.booleans())
CONTROL = st.builds(Frame, st.sampled_from([Opcode.CLOSE, Opcode.PING, Opcode.PONG]), st.binary(max_size=125))


@given(st.lists(DATA | CONTROL, max_size=3))
def test_frames_are_parsed_as_they_were_written(frames: list[Frame]) -> None:
    assert parse(b"".join(frame.serialize(mask=True) for frame in frames)) == frames


@given(st.binary(max_size=40))
def test_arbitrary_bytes_raise_nothing(data: bytes) -> None:
    parse(data)


def test_invalid_frames_are_none() -> None:
    whole = Frame(Opcode.TEXT, b"text").serialize(mask=True)
    for data in (whole[:-1], b"\x81\x02hi", bytes([whole[0] | 0x40]) + whole[1:], b"\x83" + whole[1:]):
        assert parse(data) is None
