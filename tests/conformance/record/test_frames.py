"""WebSocket frame lengths must use the shortest encoding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from cbspec_conformance.record.frames import StrictWebSocket

_SIZES = st.sampled_from([0, 1, 125, 126, 127, 300, 65535, 65536, 70000])


def _opened() -> StrictWebSocket:
    """Return a client's end after a successful opening handshake."""
    client, relay = StrictWebSocket.client("localhost"), ServerProtocol()
    relay.receive_data(client.data_to_send())
    (request,) = relay.events_received()
    relay.send_response(relay.accept(request))  # type: ignore[arg-type]
    client.feed(b"".join(relay.data_to_send()))
    assert client.opened
    return client


def _frame(size: int, length_bytes: int) -> bytes:
    """Return a text frame whose length takes 0, 2 or 8 extended bytes."""
    if not length_bytes:
        return bytes([0x81, size]) + b"x" * size
    return bytes([0x81, 126 if length_bytes == 2 else 127]) + size.to_bytes(length_bytes, "big") + b"x" * size


@given(st.lists(_SIZES, max_size=5), st.integers(1, 999))
def test_shortest_lengths_are_valid_for_any_split(sizes: list[int], step: int) -> None:
    client = _opened()
    data = b"".join(Frame(Opcode.TEXT, b"x" * size).serialize(mask=False) for size in sizes)
    step = step if len(data) < 1000 else 997
    for at in range(0, len(data), step):
        client.feed(data[at : at + step])
    assert not client.take_fault()
    assert sum(1 for _ in iter(client.next_message, None)) == len(sizes)


@given(st.sampled_from([(5, 2), (125, 2), (5, 8), (126, 8), (65535, 8)]), st.integers(0, 12))
def test_longer_length_is_reported_once(padded: tuple[int, int], cut: int) -> None:
    client = _opened()
    data = _frame(5, 0) + _frame(*padded)
    for piece in (data[:cut], data[cut:]):
        client.feed(piece)
    assert client.take_fault()
    assert not client.take_fault()


def test_many_small_frames_need_linear_memory() -> None:
    client = _opened()
    client.feed(_frame(0, 0) * 20_000 + _frame(5, 8))  # read over and over, these would take minutes
    assert client.take_fault()
