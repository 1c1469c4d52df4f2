"""A client's WebSocket frames read back from bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.failures.frames import ClientFrame, parse

PAYLOADS = st.binary(max_size=20) | st.sampled_from([125, 126, 65535, 65536]).map(bytes)
FRAMES = st.lists(st.builds(ClientFrame, st.sampled_from([0, 1, 2, 8, 9, 10]), st.booleans(), PAYLOADS), max_size=3)


@given(FRAMES)
def test_frames_are_read_as_they_were_written(frames: list[ClientFrame]) -> None:
    frames = [
        ClientFrame(f.opcode, f.fin or f.opcode > 2, f.payload if f.opcode <= 2 else f.payload[:125]) for f in frames
    ]
    assert parse(b"".join(frame.to_bytes() for frame in frames)) == frames


@given(st.binary(max_size=40))
def test_any_bytes_are_frames_or_none(data: bytes) -> None:
    found = parse(data)
    assert found is None or sum(len(frame.payload) for frame in found) < max(1, len(data))


def test_what_is_cut_off_or_not_masked_is_none() -> None:
    whole = ClientFrame(1, True, b"text").to_bytes()
    assert parse(whole[:-1]) is None
    assert parse(b"\x81\x02hi") is None
