"""WebSocket faults, frame by frame."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any, Final

import pytest

from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.faults import websocket
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.kind import Strike
from cbspec_simulator.faults.websocket import framed
from cbspec_simulator.faults.when import MessageDirection, Occasion
from tests.simulator.faults.probe import ProbedRelay, Show, prove
from tests.support.memory import MemoryClient, MemoryRelay
from tests.support.messages import HELLO

_TEXT: Final = (
    b'{"type":"hello_response","version":"1.0","features":["tls","heartbeat","tunnel_info","multi_tenancy","metrics"]}'
)


def _frames(relay: ProbedRelay, transport: str) -> list[tuple[int, bool, bytes]]:
    """Return the frames that answer a hello: first byte, masked, payload."""
    with relay.wire(transport) as wire:
        wire.send(HELLO)
        return wire.frames_up_to(len(_TEXT))


def _first(part: int) -> Callable[[ProbedRelay, str], object]:
    """Return a look at one part of the first frame that answers a hello."""
    return lambda relay, transport: _frames(relay, transport)[0][part]


def _head_and_size(relay: ProbedRelay, transport: str) -> tuple[bytes, int]:
    """Return the first two bytes and the size of the answer to a hello."""
    with relay.wire(transport) as wire:
        wire.send(HELLO)
        return wire.first_bytes(2), len(wire.records[0])


def _closing(relay: ProbedRelay, transport: str) -> tuple[Any, ...]:
    """Return the frame that answers a hello, and the end of the connection after a close frame."""
    with relay.wire(transport) as wire:
        wire.send(HELLO)
        (frame,) = wire.frames_up_to(len(_TEXT))
        return (*frame, wire.end() if frame[0] == 0x88 else "")


_PLAIN: Final = [(0x81, False, _TEXT)]
_LONG_PING: Final = (0x89, False, bytes(126))
_SIZE: Final = len(_TEXT)
_HEAD: Final = (bytes((0x81, _SIZE)), _SIZE + 2)

SHOWS: Final[dict[str, tuple[Show, ...]]] = {
    "websocket-close": (
        Show(_closing, (0x81, False, _TEXT, ""), (0x88, False, struct.pack("!H", 1001), "closed")),
        Show(_first(2), _TEXT, struct.pack("!H", 1005) + "müde".encode(), {"code": 1005, "reason": "müde"}),
    ),
    "websocket-fragments": (
        Show(
            _frames,
            _PLAIN,
            [(0x01, False, _TEXT[:50]), (0x00, False, _TEXT[50:100]), (0x80, False, _TEXT[100:])],
            {"bytes": 50},
        ),
        Show(lambda relay, how: len(_frames(relay, how)), 1, _SIZE // 8),
    ),
    "websocket-pings": (
        Show(
            _frames,
            _PLAIN,
            [(0x89, False, b"hi"), (0x01, False, _TEXT[:56]), (0x89, False, b"hi"), (0x80, False, _TEXT[56:])],
            {"payload": "hi"},
        ),
    ),
    "websocket-broken-frame": (
        Show(_head_and_size, _HEAD, (bytes((0x81, 0x80 | _SIZE)), _SIZE + 6)),
        Show(_first(1), False, True, {"how": "masked"}),
        Show(_first(0), 0x81, 0xC1, {"how": "reserved-bit"}),
        Show(_first(0), 0x81, 0x83, {"how": "unknown-opcode"}),
        Show(_first(0), 0x81, 0x82, {"how": "binary"}),
        Show(_first(2), _TEXT, _TEXT[:-1] + b"\xff}", {"how": "not-utf-8"}),
        Show(_first(0), 0x81, 0x80, {"how": "continuation-first"}),
        Show(_frames, _PLAIN, [_LONG_PING, *_PLAIN], {"how": "long-ping"}),
        Show(_head_and_size, _HEAD, (bytes((0x81, 127)), _SIZE + 10), {"how": "length-not-minimal"}),
        Show(_head_and_size, _HEAD, (bytes((0x81, _SIZE)), _SIZE + 1), {"how": "unfinished"}),
    ),
}


@pytest.mark.parametrize("kind", SHOWS)
async def test_kinds_on_the_wire(kind: str) -> None:
    await prove(kind, SHOWS[kind])


def test_every_broken_frame_is_proven() -> None:
    assert {shown.fault.get("how") for shown in SHOWS["websocket-broken-frame"]} == {None, *websocket.BROKEN}


def _together(*faults: dict[str, Any]) -> list[tuple[int, bytes]]:
    """Return the frames of a short message after several faults: first byte, payload."""
    framer = MemoryClient(MemoryRelay(), "127.0.0.1", websocket=True).session.state.framer
    assert isinstance(framer, WebSocketFramer)
    occasion = Occasion(MessageDirection.ANSWER, 1)
    strikes = [Strike("", KINDS[each["kind"]], each, occasion, random.Random(0)) for each in faults]  # noqa: S311 - unused
    data, frames = framed(framer, b"abcdef", strikes), []
    while data:
        frames.append((data[0], data[2 : 2 + (data[1] & 0x7F)]))
        data = data[2 + (data[1] & 0x7F) :]
    return frames


_CUT: Final = {"kind": "websocket-fragments", "bytes": 4}
_PING: Final = {"kind": "websocket-pings", "payload": "hi"}
_BREAK: Final = {"kind": "websocket-broken-frame", "how": "reserved-bit"}
_UNFINISHED: Final = {"kind": "websocket-broken-frame", "how": "unfinished"}
_CLOSE: Final = {"kind": "websocket-close", "code": 1001, "reason": ""}
_ONE, _TWO, _HI = (0x01, b"abcd"), (0x80, b"ef"), (0x89, b"hi")


def test_several_faults_of_one_message() -> None:
    assert _together(_CUT, _PING) == [_HI, _ONE, _HI, _TWO]
    small = [_HI, (0x01, b"ab"), (0x00, b"c"), _HI, (0x00, b"de"), (0x80, b"f")]
    assert _together(_PING, {**_CUT, "bytes": 2}) == small
    assert _together(_CUT, _BREAK) == [(0x41, b"abcd"), _TWO]
    assert _together(_CUT, _UNFINISHED) == [_ONE, (0x80, b"e")]
    assert _together(_CUT, _CLOSE, _PING) == [(0x88, struct.pack("!H", 1001))]
