"""TLS, WebSocket and metrics of a real server that deviates."""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.error
import urllib.request

import pytest

from cbspec.tls import legacy_client_context
from simulator import DEVIATIONS, Behaviour, Config, Simulator, deviated
from simulator.config import Listen, MetricsRules
from tests.simulator.client import BEAT, HELLO, PATIENCE, WebSocket, Wire, accept_value, auth

CONFIG = Config(listen=Listen(port=0), metrics=MetricsRules(enabled=True, port=0))
PROBED = [id_ for id_ in DEVIATIONS if id_.startswith(("tls-", "plain-", "websocket-", "metrics-"))]


def _deviating(id_: str) -> Simulator:
    return Simulator(CONFIG, behaviour=deviated(Behaviour(), id_))


async def _old(simulator: Simulator, version: ssl.TLSVersion) -> bool:
    """Say whether a handshake of an old version works."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(*simulator.address, ssl=legacy_client_context(version))
    except (OSError, EOFError):
        return False
    writer.transport.abort()
    return True


OLD = {
    "tls-1.2-accepted": ssl.TLSVersion.TLSv1_2,
    "tls-1.1-accepted": ssl.TLSVersion.TLSv1_1,
    "tls-1.0-accepted": ssl.TLSVersion.TLSv1,
}


@pytest.mark.parametrize("id_", OLD)
async def test_one_old_version_is_spoken_and_no_other(id_: str) -> None:
    async with _deviating(id_) as simulator:
        spoken = {version: await _old(simulator, version) for version in OLD.values()}
        # Whoever offers at most TLS 1.1 offers TLS 1.0 as well.
        expected = {OLD[id_], ssl.TLSVersion.TLSv1_1} if id_ == "tls-1.0-accepted" else {OLD[id_]}
        assert {version for version, works in spoken.items() if works} == expected
        async with Wire(simulator.address) as wire:
            await wire.greet()


@pytest.mark.parametrize("id_", ["tls-1.3-refused", "tls-client-certificate-demanded"])
async def test_the_new_version_does_not_work(id_: str) -> None:
    async with _deviating(id_) as simulator:
        with pytest.raises((OSError, EOFError, AssertionError, ValueError)):  # noqa: PT012 - where it fails differs
            async with Wire(simulator.address) as wire:
                assert wire.writer.get_extra_info("ssl_object").version() == "TLSv1.3"
                await wire.ask(HELLO)


@pytest.mark.parametrize(("id_", "alert"), [("", True), ("tls-no-alert", False)])
async def test_an_alert_that_is_not_sent(id_: str, alert: bool) -> None:
    async with _deviating(id_) if id_ else Simulator(CONFIG) as simulator:
        reader, writer = await asyncio.open_connection(*simulator.address)
        writer.write(b"\x16\x03\x01\x00\x05hello")
        async with asyncio.timeout(PATIENCE):
            assert bool(await reader.read()) is alert
        writer.transport.abort()


async def test_plain_text_is_served() -> None:
    async with _deviating("plain-text-served") as simulator:
        reader, writer = await asyncio.open_connection(*simulator.address)
        writer.write(HELLO + auth() + BEAT)
        async with asyncio.timeout(PATIENCE):
            found = [json.loads(await reader.readline())["type"] for _ in range(3)]
        writer.transport.abort()
        assert found == ["hello_response", "auth_response", "heartbeat_response"]
        async with Wire(simulator.address) as wire:
            await wire.greet()


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


def _get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:  # noqa: S310 - http, and our own
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


async def _metrics(id_: str) -> tuple[int, bytes, bytes]:
    """Return the metrics' status, and the metrics before and after a connection."""
    async with _deviating(id_) as simulator:
        assert simulator.metrics_url
        status, before = await asyncio.to_thread(_get, simulator.metrics_url)
        async with Wire(simulator.address) as wire:
            await wire.greet()
            _, after = await asyncio.to_thread(_get, simulator.metrics_url)
    return status, before, after


async def test_the_metrics() -> None:
    clean = await _metrics("rate-ignored")
    assert clean[0] == 200
    assert clean[1] != clean[2]
    assert (await _metrics("metrics-not-found"))[0] == 404
    assert b"<html>" in (await _metrics("metrics-html"))[1]
    assert b"\ncloudbridge_state fine\n" in (await _metrics("metrics-value-not-a-number"))[1]
    frozen = await _metrics("metrics-frozen")
    assert frozen[1] == frozen[2]


async def test_a_fall_takes_the_others_along(caplog: pytest.LogCaptureFixture) -> None:
    async with _deviating("deep-nesting-closes-all") as simulator:
        async with Wire(simulator.address) as one, Wire(simulator.address) as other:
            await one.greet()
            await other.greet()
            one.write(b'{"x":' * 100 + b"1" + b"}" * 100 + b"\n")
            with pytest.raises((ConnectionResetError, EOFError)):  # noqa: PT012 - by either
                if await other.rest() == b"":
                    raise EOFError
        async with Wire(simulator.address) as wire:
            await wire.greet()
    assert len(caplog.records) == 1
