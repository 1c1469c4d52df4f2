"""The suite: reading a relay's texts, frames and metrics never fails, and two readers agree."""

from __future__ import annotations

import contextlib
from typing import Final

from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from cbspec.protocol.framing import RawMessage
from cbspec.protocol.handshake import accepting_response
from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec_conformance.oracles import rfc8259
from cbspec_conformance.oracles.exposition import NotAnExposition, samples
from cbspec_conformance.oracles.referee import is_closed, is_no_message
from cbspec_conformance.record.decoding import decode
from cbspec_conformance.record.frames import StrictWebSocket
from tests.fuzz.target import Choices, pieces, same_however_split

_RESPONSE: Final = accepting_response()


def check(data: bytes) -> None:
    """Read a text, metrics, or a WebSocket stream with or without a handshake response."""
    choices = Choices(data)
    mode, size = choices.below(4), 1 + choices.below(20)
    if mode == 0:
        _check_text(choices.rest)
    elif mode == 1:
        _check_metrics(choices.rest.decode("utf-8", "replace"), openmetrics=bool(size & 1))
    else:
        same_however_split(_frames, (_RESPONSE if mode == 2 else b"") + choices.rest, size)


def _check_text(text: bytes) -> None:
    found = decode(text)
    assert bool(found.requirement) is bool(found.fault)
    is_closed(text)
    with contextlib.suppress(RecursionError):
        assert found.fault or not is_no_message(text)
    try:
        value = loads(text)
    except NotStrictJson:
        return
    assert bool(found.fault) is not isinstance(value, dict)
    assert found.fault or found.value == value
    assert rfc8259.is_utf8(text)


def _check_metrics(text: str, *, openmetrics: bool) -> None:
    try:
        found = samples(text, openmetrics=openmetrics)
    except NotAnExposition as error:
        assert str(error)
    else:
        assert all(isinstance(value, float) for value in found.values())


def _frames(stream: bytes, size: int) -> tuple[list[RawMessage], bool, str, bool]:
    protocol = ClientProtocol(parse_uri("wss://localhost/"), max_size=300)
    protocol.send_request(protocol.connect())
    protocol.key = "dGhlIHNhbXBsZSBub25jZQ=="
    framer, found = StrictWebSocket(protocol), []
    for piece in pieces(stream, size):
        framer.feed(piece)
        while (frame := framer.next_message()) is not None:
            found.append(frame)
    return found, framer.take_fault(), type(framer.failure).__name__, framer.opened
