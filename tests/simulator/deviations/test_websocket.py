"""WebSocket of a real server that deviates."""

from __future__ import annotations

import asyncio

from simulator import Behaviour, Config, Simulator, deviated
from simulator.config import Listen, MetricsRules
from tests.simulator.client import HELLO, PATIENCE, WebSocket, accept_value, auth

CONFIG = Config(listen=Listen(port=0), metrics=MetricsRules(enabled=True, port=0))


def _deviating(id_: str) -> Simulator:
    return Simulator(CONFIG, behaviour=deviated(Behaviour(), id_))


async def _response(id_: str) -> bytes:
    async with _deviating(id_) as simulator, WebSocket(simulator.address) as wire:
        return await wire.open(b"Sec-WebSocket-Extensions: permessage-deflate")


async def test_the_opening_handshake() -> None:
    wrong = await _response("websocket-wrong-accept")
    assert b"Sec-WebSocket-Accept: " in wrong
    assert accept_value() not in wrong
    assert b"Sec-WebSocket-Accept" not in await _response("websocket-no-accept")
    assert b"Sec-WebSocket-Extensions: permessage-deflate" in await _response("websocket-deflate-accepted")


async def _header(id_: str, data: bytes = HELLO) -> bytes:
    """Return the first two bytes of the first frame."""
    async with _deviating(id_) as simulator, WebSocket(simulator.address) as wire:
        await wire.open()
        wire.frame(data.strip())
        async with asyncio.timeout(PATIENCE):
            return await wire.reader.readexactly(2)


async def test_the_frames_header() -> None:
    assert (await _header("websocket-masked"))[1] & 0x80
    assert (await _header("websocket-reserved-bit"))[0] == 0xA1
    assert (await _header("websocket-binary"))[0] == 0x82


async def _frames(id_: str) -> list[bytes]:
    """Send a ping, a heartbeat in two fragments with a ping between them, and an end; return the answers."""
    found: list[bytes] = []
    async with _deviating(id_) as simulator, WebSocket(simulator.address) as wire:
        await wire.open()
        await wire.say(HELLO)
        await wire.say(auth())
        wire.frame(b"one", 9)
        wire.frame(b'{"type":', fin=False)
        wire.frame(b"two", 9)
        wire.frame(b'"heartbeat"}', 0)
        wire.frame(b'{"type":"end"}')
        while not found or (b"no known type" not in found[-1] and found[-1][:1] != b"\x88"):
            first, payload = await wire.next()
            found.append(bytes([first]) + payload)
    return found


async def test_fragments_and_pings() -> None:
    pongs, beat = [b"\x8aone", b"\x8atwo"], b'\x81{"type":"heartbeat_response"}'
    assert (await _frames("rate-ignored"))[:-1] == [*pongs, beat]
    assert (await _frames("websocket-ping-unanswered"))[:-1] == [beat]
    assert (await _frames("websocket-pong-empty"))[:-1] == [b"\x8a", b"\x8a", beat]
    assert (await _frames("websocket-ping-between-fragments"))[0] == pongs[0]
    assert (await _frames("websocket-ping-between-fragments"))[-1][:1] == b"\x88"
    assert (await _frames("websocket-heartbeat-unanswered"))[:-1] == pongs
    apart = await _frames("websocket-fragments-apart")
    assert beat not in apart
    assert sum(b"error" in one for one in apart) == 3
