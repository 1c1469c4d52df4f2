"""WebSocket of a real server that deviates."""

from __future__ import annotations

import asyncio
import json

from cbspec_simulator import Behaviour, Config, Simulator, deviated
from cbspec_simulator.settings.config import Listen, MetricsSettings
from tests.support.client import ACCEPT, HELLO, PATIENCE, AsyncWebSocket, auth, tunnel

CONFIG = Config(listen=Listen(port=0), metrics=MetricsSettings(enabled=True, port=0))


def _deviating(id_: str) -> Simulator:
    return Simulator(CONFIG, behaviour=deviated(Behaviour(), id_))


async def _response(id_: str) -> bytes:
    async with _deviating(id_) as simulator, AsyncWebSocket(simulator.address) as wire:
        return await wire.open(b"Sec-WebSocket-Extensions: permessage-deflate")


async def test_the_opening_handshake() -> None:
    wrong = await _response("websocket-wrong-accept")
    assert b"Sec-WebSocket-Accept: " in wrong
    assert ACCEPT not in wrong
    assert b"Sec-WebSocket-Accept" not in await _response("websocket-no-accept")
    assert b"Sec-WebSocket-Extensions: permessage-deflate" in await _response("websocket-deflate-accepted")


async def _header(id_: str, data: bytes = HELLO) -> bytes:
    """Return the first two bytes of the first frame."""
    async with _deviating(id_) as simulator, AsyncWebSocket(simulator.address) as wire:
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
    async with _deviating(id_) as simulator, AsyncWebSocket(simulator.address) as wire:
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


async def test_more_of_the_frames_headers() -> None:
    assert await _header("websocket-length-padded") == b"\x81\x7f"
    assert (await _header("websocket-unknown-opcode"))[0] == 0x83
    assert (await _header("websocket-stray-continuation"))[0] == 0x80


async def test_lengths_beyond_seven_and_sixteen_bits() -> None:
    named = len(json.dumps({"type": "tunnel_response", "status": "ok", "tunnel_id": ""}, separators=(",", ":")))

    async def start(id_: str, size: int) -> bytes:
        async with _deviating(id_) as simulator, AsyncWebSocket(simulator.address) as wire:
            await wire.open()
            await wire.say(HELLO)
            await wire.say(auth())
            text = tunnel("x" * (size - named)).strip()
            wire.frame(text[:100], fin=False)
            wire.frame(text[100:], 0)
            async with asyncio.timeout(PATIENCE):
                return await wire.reader.readexactly(4)

    assert await start("rate-ignored", 126) == b"\x81\x7e\x00\x7e"
    assert await start("websocket-length-of-126", 126) == b'\x81\x7e{"'
    assert await start("websocket-length-of-126", 128) == b"\x81\x7e\x00\x80"
    assert await start("rate-ignored", 65_540) == b"\x81\x7f\x00\x00"
    assert await start("websocket-length-over-64-kib", 65_540) == b"\x81\x7e\x00\x04"


async def _first(id_: str, data: bytes) -> bytes:
    """Send bytes after auth; return the first frame behind them."""
    async with _deviating(id_) as simulator, AsyncWebSocket(simulator.address) as wire:
        await wire.open()
        await wire.say(HELLO)
        await wire.say(auth())
        wire.write(data)
        return await _next(wire)


async def test_frames_that_a_client_must_not_send() -> None:
    size, mask, failed = bytes([len(_BEAT)]), bytes(4), b"\x88\x03\xea"
    unmasked = b"\x81" + size + _BEAT
    reserved = b"\xa1" + bytes([0x80 | len(_BEAT)]) + mask + _BEAT
    inside = b"\x01\x81" + mask + b"{" + b"\x81" + bytes([0x80 | len(_BEAT)]) + mask + _BEAT
    for id_, data in (
        ("websocket-unmasked-accepted", unmasked),
        ("websocket-reserved-bit-accepted", reserved),
        ("websocket-messages-inside-others", inside),
    ):
        assert (await _first("rate-ignored", data))[:3] == failed
        assert await _first(id_, data) == _ANSWER


async def test_a_key_that_is_answered_as_the_first_was() -> None:
    async with _deviating("websocket-accept-of-the-first") as simulator:
        async with AsyncWebSocket(simulator.address) as wire:
            assert ACCEPT in await wire.open()
        async with AsyncWebSocket(simulator.address) as wire:
            wire.write(_SHAKE_OF_ANOTHER)
            async with asyncio.timeout(PATIENCE):
                assert ACCEPT in await wire.reader.readuntil(b"\r\n\r\n")


_SHAKE_OF_ANOTHER = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_END = b'{"type":"end"}'


async def _next(wire: AsyncWebSocket) -> bytes:
    """Return the next frame's first byte and payload."""
    async with asyncio.timeout(PATIENCE):
        first, size = await wire.reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await wire.reader.readexactly(2), "big")
        return bytes([first]) + await wire.reader.readexactly(size)


async def _said(
    id_: str, *frames: tuple[bytes, int, bool], authenticated: bool = True, end: bytes = _END
) -> list[bytes]:
    """Send frames (payload, opcode, last) after auth, and an end; return the answers before the end's own."""
    found: list[bytes] = []
    async with _deviating(id_) as simulator, AsyncWebSocket(simulator.address) as wire:
        await wire.open()
        await wire.say(HELLO)
        if authenticated:
            await wire.say(auth())
        for data, opcode, last in frames:
            wire.frame(data, opcode, fin=last)
        wire.frame(_END)
        while not found or (b"no known type" not in found[-1] and found[-1][:1] != b"\x88"):
            found.append(await _next(wire))
    return found[:-1] if b"no known type" in found[-1] else found


_BEAT = b'{"type":"heartbeat"}'
_ANSWER = b'\x81{"type":"heartbeat_response"}'


async def test_pings_and_fragments_of_more_kinds() -> None:
    clean = "rate-ignored"
    assert await _said(clean, (b"p" * 100, 9, True)) == [b"\x8a" + b"p" * 100]
    assert await _said("websocket-ping-echoed", (b"p", 9, True)) == [b"\x89p"]
    assert await _said("websocket-pong-cut", (b"p" * 100, 9, True)) == [b"\x8a" + b"p" * 64]
    assert await _said(clean, (b"", 9, True)) == [b"\x8a"]
    assert await _said("websocket-empty-ping-unanswered", (b"", 9, True)) == []
    two = ((b"p", 9, True), (b"q", 9, True))
    assert await _said(clean, *two) == [b"\x8ap", b"\x8aq"]
    assert await _said("websocket-second-ping-unanswered", *two) == [b"\x8ap"]
    three = ((_BEAT[:3], 1, False), (b"", 0, False), (_BEAT[3:], 0, True))
    assert await _said(clean, *three) == [_ANSWER]
    assert (await _said("websocket-empty-fragment-refused", *three))[-1][:1] == b"\x88"
    assert (await _said("websocket-third-fragment-refused", *three))[-1][:1] == b"\x88"


async def test_a_character_in_two_fragments() -> None:
    text = tunnel("\u2603").strip()
    at = text.index(b"\x98")
    parts = ((text[:at], 1, False), (text[at:], 0, True))
    assert "\u2603".encode() in (await _said("rate-ignored", *parts))[0]
    assert "\ufffd".encode() in (await _said("websocket-fragments-decoded-apart", *parts))[0]


async def test_a_message_that_must_end_with_a_line_feed() -> None:
    async with _deviating("websocket-needs-line-feed") as simulator, AsyncWebSocket(simulator.address) as wire:
        await wire.open()
        wire.frame(_END)
        wire.frame(HELLO)
        assert b"hello_response" in (await wire.next())[1]


async def test_what_is_answered_over_websocket() -> None:
    opened, refused = tunnel().strip(), tunnel(port=0).strip()
    clean = "rate-ignored"
    assert len(await _said(clean, (opened, 1, True), (refused, 1, True))) == 2
    assert await _said("websocket-tunnel-unanswered", (opened, 1, True)) == []
    assert await _said("websocket-refusal-unanswered", (refused, 1, True)) == []
    stranger = await _said("websocket-needs-no-auth", (opened, 1, True), authenticated=False)
    assert b"tunnel_response" in stranger[0]
    assert b"invalid_token" in (await _said(clean, (opened, 1, True), authenticated=False))[0]
    bad = auth().strip()[:-6] + b'AAAA"}'
    assert b"invalid_token" in (await _said(clean, (bad, 1, True), authenticated=False))[0]
    assert b"auth_response" in (await _said("websocket-token-unverified", (bad, 1, True), authenticated=False))[0]


PROBED = {
    "websocket-length-of-126",
    "websocket-length-over-64-kib",
    "websocket-unmasked-accepted",
    "websocket-reserved-bit-accepted",
    "websocket-messages-inside-others",
    "websocket-wrong-accept",
    "websocket-no-accept",
    "websocket-masked",
    "websocket-reserved-bit",
    "websocket-fragments-apart",
    "websocket-ping-unanswered",
    "websocket-pong-empty",
    "websocket-ping-between-fragments",
    "websocket-binary",
    "websocket-heartbeat-unanswered",
    "websocket-deflate-accepted",
    "websocket-length-padded",
    "websocket-unknown-opcode",
    "websocket-stray-continuation",
    "websocket-accept-of-the-first",
    "websocket-ping-echoed",
    "websocket-pong-cut",
    "websocket-empty-ping-unanswered",
    "websocket-second-ping-unanswered",
    "websocket-empty-fragment-refused",
    "websocket-third-fragment-refused",
    "websocket-fragments-decoded-apart",
    "websocket-tunnel-unanswered",
    "websocket-refusal-unanswered",
    "websocket-needs-line-feed",
    "websocket-needs-no-auth",
    "websocket-token-unverified",
}
