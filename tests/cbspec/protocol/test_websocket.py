"""Messages over WebSocket: handshake, fragments, pings, closing handshake, no compression."""

from __future__ import annotations

import gc
import re
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidHeader, InvalidStatus, NegotiationError, PayloadTooBig, ProtocolError
from websockets.server import ServerProtocol

from cbspec.protocol.handshake import EXAMPLE_ACCEPT, accepting_response, opening_request, parse_headers
from cbspec.protocol.websocket import WebSocketFramer
from tests.cbspec.spelling import cut

OPENING = opening_request().decode().removesuffix("\r\n") + "%s\r\n"
TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A  # first bytes of unfragmented frames
FIN = 0x80
ZEROS = bytes(4)


def frame(first: int, payload: bytes, mask: bytes = b"", spelt: int = 0) -> bytes:
    """Return a hand-written frame, with its length in at least `spelt` extra bytes (Source: RFC 6455, 5.2)."""
    extra = max(0 if len(payload) < 126 else 2, spelt)
    short = {0: len(payload), 2: 126, 8: 127}[extra]
    length = bytes([(0x80 if mask else 0) | short]) + (len(payload).to_bytes(extra, "big") if extra else b"")
    keys = mask or ZEROS
    return bytes([first]) + length + mask + bytes(byte ^ keys[nth % 4] for nth, byte in enumerate(payload))


def opened_relay(max_message: int = 1 << 20) -> WebSocketFramer:
    relay = WebSocketFramer.server(max_message=max_message)
    relay.feed((OPENING % "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n").encode())
    answer = relay.data_to_send()
    assert relay.opened
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert f"Sec-WebSocket-Accept: {EXAMPLE_ACCEPT}\r\n".encode() in answer
    assert b"extensions" not in answer.lower()
    return relay


def accepting(opening: bytes, *extra: str) -> bytes:
    return accepting_response(parse_headers(opening.decode())["sec-websocket-key"], *extra)


def opened_client() -> WebSocketFramer:
    client = WebSocketFramer.client("relay:8080", "/cb?x=1")
    opening = client.data_to_send()
    assert opening.startswith(b"GET /cb?x=1 HTTP/1.1\r\n")
    assert b"Host: relay:8080\r\n" in opening
    assert b"extensions" not in opening.lower()
    client.feed(accepting(opening))
    assert client.opened
    return client


def texts_of(framer: WebSocketFramer) -> list[bytes]:
    found = []
    while (message := framer.next_message()) is not None:
        assert not message.broken
        found.append(message.text)
    return found


def test_unsolicited_pongs_take_no_memory() -> None:
    relay = opened_relay()
    relay.feed(b"".join(frame(PONG, b"%d" % number, ZEROS) for number in range(1000)))
    assert relay.pongs[-1] == b"999"
    assert len(relay.pongs) < 100


@given(st.binary(max_size=40), st.data(), st.sampled_from([1, 2]))
def test_fragments_are_one_message_and_pings_between_them_are_answered(
    text: bytes, data: st.DataObject, opcode: int
) -> None:
    relay = opened_relay()
    parts = data.draw(cut(text))
    for number, part in enumerate(parts):
        assert texts_of(relay) == []
        relay.feed(frame(PING, b"%d" % number, ZEROS))
        assert relay.data_to_send() == frame(PONG, b"%d" % number)
        assert relay.pending == b"".join(parts[:number])
        last = FIN if number == len(parts) - 1 else 0
        relay.feed(frame((0 if number else opcode) | last, part, ZEROS))
    if not parts:
        return
    assert texts_of(relay) == [text]
    assert relay.pending == b""


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (frame(TEXT, b"{}"), ProtocolError),
        (frame(TEXT | 0x40, b"{}", ZEROS), ProtocolError),
        (frame(FIN | 3, b"", ZEROS), ProtocolError),
        (frame(TEXT, b"x" * 151, ZEROS), PayloadTooBig),
        (frame(TEXT & ~FIN, b"x" * 80, ZEROS) + frame(FIN, b"x" * 80, ZEROS), PayloadTooBig),
    ],
)
def test_a_wrong_frame_ends_the_connection_with_a_close_frame(wire: bytes, reason: type[Exception]) -> None:
    relay = opened_relay(max_message=150)
    relay.feed(wire)
    assert isinstance(relay.failure, reason)
    assert relay.ended
    assert relay.data_to_send()[:1] == bytes([CLOSE])
    relay.feed(b"ignored")
    assert texts_of(relay) == []


@pytest.mark.parametrize(
    "opening",
    [
        b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n",
        b'GET {"type":"hello"}\n',
        (OPENING % "").replace("13", "12").encode(),
        (OPENING % "").replace("\r\n", "\n").encode(),
        (OPENING % f"Cookie: {'x' * 9000}\r\n").encode(),
        (OPENING % "X: \x00\r\n").encode(),
    ],
)
def test_an_invalid_opening_handshake_is_refused(opening: bytes) -> None:
    relay = WebSocketFramer.server()
    relay.feed(opening)
    relay.feed(b"and more")
    assert not relay.opened
    assert relay.failure is not None
    assert re.match(rb"HTTP/1\.1 (4..|505) ", answer := relay.data_to_send())
    assert answer.count(b"Content-Length: ") == 1
    assert b"Sec-WebSocket-Version: 12" not in opening or b"Sec-WebSocket-Version: 13\r\n" in answer


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", InvalidStatus),
        (accepting_response(), InvalidHeader),  # the accept value of another key
        (None, NegotiationError),
    ],
)
def test_the_client_rejects_a_wrong_response(response: bytes | None, failure: type[Exception]) -> None:
    client = WebSocketFramer.client("relay")
    client.feed(response or accepting(client.data_to_send(), "Sec-WebSocket-Extensions: permessage-deflate"))
    assert not client.opened
    assert isinstance(client.failure, failure)


def test_the_closing_handshake_is_completed() -> None:
    client, relay = opened_client(), opened_relay()
    client.close()
    client.close()
    relay.feed(client.data_to_send())
    assert client.ended
    assert relay.ended
    assert relay.finished
    assert relay.failure is None
    client.feed(relay.data_to_send())
    assert client.data_to_send() == b""


@given(
    st.lists(st.sampled_from([b"{}", b"{" + b" " * 200 + b"}"]), max_size=6),
    st.sampled_from([frame(CLOSE, b"\x03\xe9", ZEROS), frame(TEXT, b"{}"), frame(FIN | 3, b"", ZEROS)]),
    st.booleans(),
    st.data(),
)
def test_messages_before_the_end_are_answered_before_the_close(
    texts: list[bytes], end: bytes, together: bool, data: st.DataObject
) -> None:
    relay = WebSocketFramer.server()
    opening = (OPENING % "").encode()
    wire = frame(PING, b"p", ZEROS) + b"".join(frame(TEXT, text, ZEROS) for text in texts) + end
    sent = b""
    for piece in [opening + wire] if together else [opening, *data.draw(cut(wire))]:
        relay.feed(piece)
        sent += relay.data_to_send()
        while (message := relay.next_message()) is not None:
            sent += relay.encode(message.text)
        sent += relay.data_to_send()
    head, _, frames = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    expected = frame(PONG, b"p") + b"".join(frame(TEXT, text) for text in texts)
    assert frames.startswith(expected + bytes([CLOSE]))
    assert len(frames) == len(expected) + 2 + frames[len(expected) + 1]
    assert relay.ended
    assert relay.write_closed


def test_a_close_in_the_middle_of_a_message_leaves_it_unfinished() -> None:
    relay = opened_relay()
    relay.feed(frame(TEXT & ~FIN, b"{", ZEROS) + frame(CLOSE, b"", ZEROS))
    assert relay.ended
    assert relay.pending == b"{"
    relay.discard()
    assert relay.pending == b""
    assert relay.next_message() is None


@pytest.mark.parametrize("begun", [b"", frame(TEXT, b"{" * 60_000, ZEROS)[:-1], frame(TEXT & ~FIN, b"{", ZEROS)])
def test_an_ended_connection_is_freed_without_the_garbage_collector(begun: bytes) -> None:
    gc.disable()
    try:
        relay = opened_relay()
        relay.feed(begun)
        library = weakref.ref(relay.protocol)
        relay.end()
        del relay
        assert library() is None
    finally:
        gc.enable()


USUAL = st.builds(frame, st.just(TEXT), st.binary(max_size=140), st.binary(min_size=4, max_size=4))
ANY = st.builds(
    frame,
    st.sampled_from([0x81, 0x01, 0x80, 0x00, 0x82, 0x02, 0x88, 0x89, 0x8A, 0xC1, 0x83, 0x09]),
    st.binary(max_size=140),
    st.binary(min_size=4, max_size=4),
    st.sampled_from([0, 0, 0, 2, 8]),
)


@given(
    frames=st.lists(st.one_of(USUAL, USUAL, ANY, st.binary(max_size=12)), max_size=8),
    answers=st.lists(st.binary(max_size=140), max_size=3),
    limit=st.sampled_from([5, 100, 126, 1 << 20]),
    data=st.data(),
)
def test_short_texts_are_decoded_and_encoded_as_by_the_library(
    frames: list[bytes], answers: list[bytes], limit: int, data: st.DataObject
) -> None:
    quick = WebSocketFramer.server(max_message=limit)
    library = WebSocketFramer(ServerProtocol(max_size=limit))
    opening = (OPENING % "").encode()
    pieces = data.draw(cut(b"".join(frames))) if frames else []
    for piece in [opening, *pieces]:
        seen = []
        for framer in (quick, library):
            framer.feed(piece)
            out = framer.data_to_send()
            if piece is opening:
                out = b""  # the response has a date
            messages = list(iter(framer.next_message, None))
            spelt = [] if framer.ended else [framer.encode(answer) for answer in answers]
            state = (framer.opened, framer.ended, framer.finished, framer.close_code, str(framer.failure))
            seen.append((out, messages, spelt, framer.pending, tuple(framer.pongs), state))
        assert seen[0] == seen[1]
