"""WebSocket, spoken in another way that RFC 6455 allows."""

from __future__ import annotations

import pytest

from cbspec_simulator.variations.variants import websocket
from tests.simulator.variations.variants.probe import serving
from tests.support.client import BEAT, HELLO, AsyncClient, AsyncWebSocket, auth

_ANSWER = b'{"type":"heartbeat_response"}'
_TEXT, _CONT, _PING, _PONG, _FIN = 1, 0, 9, 10, 0x80

FRAMES = {
    "": [(_FIN | _TEXT, _ANSWER)],
    "fragments": [(_TEXT, _ANSWER[:7]), (_CONT, _ANSWER[7:8]), (_FIN | _CONT, _ANSWER[8:])],
    "empty-fragments": [(_TEXT, b""), (_CONT, _ANSWER), (_FIN | _CONT, b"")],
    "pings": [(_FIN | _PING, b"are you there?"), (_FIN | _TEXT, _ANSWER)],
    "pings-between-fragments": [(_TEXT, _ANSWER[:9]), (_FIN | _PING, b""), (_FIN | _CONT, _ANSWER[9:])],
    "pongs": [(_FIN | _PONG, b"nobody asked"), (_FIN | _TEXT, _ANSWER)],
}
CLOSES = {"close-after-error": 1000, "close-1001": 1001, "close-1008": 1008, "close-1011": 1011}
OTHERS = {"tcp-only", "websocket-only", "upgrade-headers"}


async def _message(wire: AsyncWebSocket) -> list[tuple[int, bytes]]:
    """Return the frames up to the end of a message."""
    frames: list[tuple[int, bytes]] = []
    while not frames or not (frames[-1][0] & _FIN and frames[-1][0] & 0x0F in (_TEXT, _CONT)):
        frames.append(await wire.next())
    return frames


@pytest.mark.parametrize("id_", FRAMES)
async def test_frames(id_: str) -> None:
    async with serving(*filter(None, [id_])) as simulator, AsyncWebSocket(simulator.address) as wire:
        await wire.open()
        for request in (HELLO, auth()):
            wire.frame(request.strip())
            await _message(wire)
        wire.frame(BEAT.strip())
        assert await _message(wire) == FRAMES[id_]


@pytest.mark.parametrize("id_", CLOSES)
async def test_the_status_behind_an_error(id_: str) -> None:
    async with serving(id_) as simulator, AsyncWebSocket(simulator.address) as wire:
        await wire.open()
        assert b"unknown_message_type" in await wire.say(b'{"type":"x"}')
        assert await wire.next() == (0x88, CLOSES[id_].to_bytes(2, "big"))


async def test_headers() -> None:
    for ids, there in (((), False), (("upgrade-headers",), True)):
        async with serving(*ids) as simulator, AsyncWebSocket(simulator.address) as wire:
            head = await wire.open()
            assert (b"\r\nsec-websocket-accept: " in head) is there
            assert (b"\r\nserver: relay\r\n" in head) is there


async def test_one_transport_only() -> None:
    async with serving("websocket-only") as simulator, AsyncClient(simulator.address) as wire:
        wire.write(HELLO)
        assert b"hello_response" not in await wire.rest()
    async with serving("tcp-only") as simulator, AsyncClient(simulator.address) as wire:
        wire.write(b"GET / HTTP/1.1\r\n")
        assert b"unknown_message_type" in await wire.line()


def test_each_is_shown() -> None:
    assert {variant.id for variant in websocket.VARIANTS} == {*FRAMES, *CLOSES, *OTHERS} - {"", "close-after-error"}
