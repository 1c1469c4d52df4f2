"""The suite as a guest: what it reads of a relay's texts, frames and metrics never fails; two readers agree on it."""

from __future__ import annotations

from typing import Final

from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from cbspec.protocol.framing import Frame
from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec_conformance.oracles import rfc8259
from cbspec_conformance.oracles.exposition import NotAnExposition, samples
from cbspec_conformance.oracles.referee import is_closed, is_no_message
from cbspec_conformance.record.decoding import decode
from cbspec_conformance.record.frames import StrictWebSocket
from tests.fuzz.target import Choices, Target, pieces

_RESPONSE: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
_LARGEST: Final = 300


def _check(data: bytes) -> None:
    choices = Choices(data)
    mode, size = choices.below(4), 1 + choices.below(20)
    if mode == 0:
        _texts(choices.rest)
    elif mode == 1:
        _metrics(choices.rest.decode("utf-8", "replace"), openmetrics=bool(size & 1))
    else:
        stream = (_RESPONSE if mode == 2 else b"") + choices.rest
        whole = _frames(stream, len(stream) or 1)
        assert _frames(stream, size) == whole
        assert _frames(stream, 1) == whole


def _texts(text: bytes) -> None:
    found = decode(text)
    assert bool(found.requirement) is bool(found.fault)
    is_closed(text)
    try:
        if is_no_message(text):
            assert found.fault
    except RecursionError:
        pass
    try:
        value = loads(text)
    except NotStrictJson:
        return
    assert bool(found.fault) is not isinstance(value, dict)
    assert found.fault or found.value == value
    assert rfc8259.is_utf8(text)


def _metrics(text: str, *, openmetrics: bool) -> None:
    try:
        found = samples(text, openmetrics=openmetrics)
    except NotAnExposition as error:
        assert str(error)
    else:
        assert all(isinstance(value, float) for value in found.values())


def _frames(stream: bytes, size: int) -> tuple[list[Frame], bool, str, bool]:
    protocol = ClientProtocol(parse_uri("wss://localhost/"), max_size=_LARGEST)
    protocol.send_request(protocol.connect())
    protocol.key = "dGhlIHNhbXBsZSBub25jZQ=="
    framer = StrictWebSocket(protocol)
    found = []
    for piece in pieces(stream, size):
        framer.feed(piece)
        while (frame := framer.next_frame()) is not None:
            found.append(frame)
    return found, framer.take_fault(), type(framer.failure).__name__, framer.opened


TARGET: Final = Target(
    _check, share=6,
    longest=400,
    words=(
        _RESPONSE, b"# TYPE ", b"# HELP ", b" counter\n", b" gauge\n", b" histogram\n", b"_bucket{le=\"", b"_total",
        b"_count", b"_sum",
        b"# EOF\n", b"NaN", b"+Inf", b'{"type":"heartbeat_response"}', b"\x1f\x8b", b"\x28\xb5\x2f\xfd",
        b"\x81\x05hello", b"\x81\x7e",
    ),
)  # fmt: skip
