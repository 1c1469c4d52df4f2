"""Faults of WebSocket, seen frame by frame."""

from __future__ import annotations

import random
import struct
from typing import Any, Final

import pytest

from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.faults import websocket
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.kind import Strike
from cbspec_simulator.faults.websocket import framed
from cbspec_simulator.faults.when import MessageDirection, Occasion
from tests.simulator.faults.probe import ProbedRelay, Show, cases, show
from tests.support.memory import MemoryClient, MemoryRelay
from tests.support.messages import HELLO

_OCCASION: Final = Occasion(MessageDirection.ANSWER, 1)

_TEXT: Final = (
    b'{"type":"hello_response","version":"1.0","features":["tls","heartbeat","tunnel_info","multi_tenancy","metrics"]}'
)
_HEAD: Final = bytes((0x81, len(_TEXT)))
_MASKED: Final = bytes((0x81, 0x80 | len(_TEXT)))


def _frames(relay: ProbedRelay, transport: str) -> list[tuple[int, bool, bytes]]:
    """Return the frames of a hello's answer: first byte, whether it is masked, payload."""
    with relay.wire(transport) as wire:
        wire.send(HELLO)
        return wire.frames_up_to(len(_TEXT))


def _head(relay: ProbedRelay, transport: str) -> bytes:
    """Return the first two bytes of a hello's answer."""
    with relay.wire(transport) as wire:
        wire.send(HELLO)
        return wire.first_bytes(2)


def _closing(relay: ProbedRelay, transport: str) -> tuple[Any, ...]:
    """Return what comes in answer to a hello, and whether the relay ends the connection."""
    with relay.wire(transport) as wire:
        wire.send(HELLO)
        (frame,) = wire.frames_up_to(len(_TEXT))
        return (*frame, wire.end() if frame[0] == 0x88 else "")


def _payload(relay: ProbedRelay, transport: str) -> bytes:
    return _frames(relay, transport)[0][2]


def _size(relay: ProbedRelay, transport: str) -> int:
    """Return how many bytes a hello's answer has."""
    with relay.wire(transport) as wire:
        wire.send(HELLO)
        wire.first_bytes(2)
        return len(wire.records[0])


_PLAIN: Final = [(0x81, False, _TEXT)]
_LONG_PING: Final = (0x89, False, bytes(126))

SHOWS: Final[dict[str, tuple[Show, ...]]] = {
    "websocket-close": (
        Show(_closing, (0x81, False, _TEXT, ""), (0x88, False, struct.pack("!H", 1001), "closed")),
        Show(
            _closing,
            (0x81, False, _TEXT, ""),
            (0x88, False, struct.pack("!H", 1005) + "müde".encode(), "closed"),
            {"code": 1005, "reason": "müde"},
        ),
    ),
    "websocket-fragments": (
        Show(
            _frames,
            _PLAIN,
            [(0x01, False, _TEXT[:50]), (0x00, False, _TEXT[50:100]), (0x80, False, _TEXT[100:])],
            {"bytes": 50},
        ),
        Show(lambda relay, how: len(_frames(relay, how)), 1, len(_TEXT) // 8),
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
        Show(_head, _HEAD, _MASKED),
        Show(lambda relay, how: _frames(relay, how)[0][1], False, True, {"how": "masked"}),
        Show(lambda relay, how: _frames(relay, how)[0][0], 0x81, 0xC1, {"how": "reserved-bit"}),
        Show(lambda relay, how: _frames(relay, how)[0][0], 0x81, 0x83, {"how": "unknown-opcode"}),
        Show(lambda relay, how: _frames(relay, how)[0][0], 0x81, 0x82, {"how": "binary"}),
        Show(_payload, _TEXT, _TEXT[:-1] + b"\xff}", {"how": "not-utf-8"}),
        Show(lambda relay, how: _frames(relay, how)[0][0], 0x81, 0x80, {"how": "continuation-first"}),
        Show(_frames, _PLAIN, [_LONG_PING, *_PLAIN], {"how": "long-ping"}),
        Show(_head, _HEAD, bytes((0x81, 127)), {"how": "length-not-minimal"}),
        Show(_size, len(_TEXT) + 2, len(_TEXT) + 1, {"how": "unfinished"}),
    ),
}


@pytest.mark.parametrize(("kind", "shown", "transport"), cases(SHOWS))
async def test_each_does_what_it_says(kind: str, shown: Show, transport: str) -> None:
    await show(kind, shown, transport)


def test_each_is_shown() -> None:
    assert list(SHOWS) == [kind.name for kind in websocket.KINDS]
    ways = {shown.fault.get("how", "masked") for shown in SHOWS["websocket-broken-frame"]}
    assert ways == set(websocket.BROKEN)


def _together(*faults: dict[str, Any]) -> list[tuple[int, bytes]]:
    """Return the frames of a short message that several faults strike: first byte, payload."""
    client = MemoryClient(MemoryRelay(), "127.0.0.1", websocket=True)
    session = client.session
    assert isinstance(session.state.framer, WebSocketFramer)
    strikes = [Strike("", KINDS[each["kind"]], {**each}, _OCCASION, random.Random(0)) for each in faults]  # noqa: S311 - unused
    data, frames = framed(session.state.framer, b"abcdef", strikes), []
    while data:
        frames.append((data[0], data[2 : 2 + (data[1] & 0x7F)]))
        data = data[2 + (data[1] & 0x7F) :]
    return frames


_CUT: Final = {"kind": "websocket-fragments", "bytes": 4}
_PING: Final = {"kind": "websocket-pings", "payload": "hi"}
_BREAK: Final = {"kind": "websocket-broken-frame", "how": "reserved-bit"}
_UNFINISHED: Final = {"kind": "websocket-broken-frame", "how": "unfinished"}
_GOODBYE: Final = {"kind": "websocket-close", "code": 1001, "reason": ""}
_BYE: Final = (0x88, struct.pack("!H", 1001))
_ONE, _TWO, _HI = (0x01, b"abcd"), (0x80, b"ef"), (0x89, b"hi")


@pytest.mark.parametrize(
    ("faults", "frames"),
    [
        ((_CUT, _PING), [_HI, _ONE, _HI, _TWO]),
        ((_PING, _CUT), [_HI, (0x01, b"abc"), _HI, (0x80, b"def")]),
        ((_PING, {**_CUT, "bytes": 2}), [_HI, (0x01, b"ab"), (0x00, b"c"), _HI, (0x00, b"de"), (0x80, b"f")]),
        ((_CUT, _BREAK), [(0x41, b"abcd"), _TWO]),
        ((_CUT, _UNFINISHED), [_ONE, (0x80, b"e")]),
        ((_BREAK, _CUT), [(0xC1, b"abcdef")]),
        ((_BREAK, _UNFINISHED), [(0xC1, b"abcdef")]),
        ((_CUT, _GOODBYE, _PING), [_BYE]),
    ],
)
def test_they_go_together(faults: tuple[dict[str, Any], ...], frames: list[tuple[int, bytes]]) -> None:
    assert _together(*faults) == frames
