"""TLS of a real server that deviates."""

from __future__ import annotations

import asyncio
import json
import ssl

import pytest

from cbspec.protocol.tls import legacy_client_context
from cbspec_simulator import Behaviour, Config, Simulator, deviated
from cbspec_simulator.settings.config import Listen, MetricsSettings
from tests.support.client import BEAT, HELLO, PATIENCE, AsyncClient, auth

CONFIG = Config(listen=Listen(port=0), metrics=MetricsSettings(enabled=True, port=0))


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
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()


async def test_the_new_version_does_not_work() -> None:
    async with _deviating("tls-1.3-refused") as simulator:
        with pytest.raises((OSError, EOFError, AssertionError, ValueError)):  # noqa: PT012 - where it fails differs
            async with AsyncClient(simulator.address) as wire:
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
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()


async def _in_plain_text(id_: str, data: bytes) -> bytes:
    """Return the first bytes that come back to bytes sent without TLS."""
    async with _deviating(id_) as simulator:
        reader, writer = await asyncio.open_connection(*simulator.address)
        writer.write(data)
        async with asyncio.timeout(PATIENCE):
            found = await reader.read(12)
        writer.transport.abort()
        return found


_SHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_one_transport_is_served_in_plain_text() -> None:
    assert await _in_plain_text("plain-websocket-served", _SHAKE) == b"HTTP/1.1 101"
    assert await _in_plain_text("plain-object-served", HELLO) == b'{"type":"hel'
    for id_, data in (("plain-websocket-served", HELLO), ("plain-object-served", _SHAKE)):
        assert (await _in_plain_text(id_, data))[:1] not in (b"H", b"{")


@pytest.mark.parametrize(("data", "answer"), [(_SHAKE, b"HTTP/1.1 101"), (HELLO, b"")])
async def test_the_old_version_for_websocket_only(data: bytes, answer: bytes) -> None:
    async with _deviating("tls-1.2-for-websocket") as simulator:
        old = legacy_client_context(ssl.TLSVersion.TLSv1_2)
        reader, writer = await asyncio.open_connection(*simulator.address, ssl=old)
        writer.write(data)
        async with asyncio.timeout(PATIENCE):
            assert await reader.read(12) == answer
        writer.transport.abort()
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()


PROBED = {
    *OLD,
    "tls-1.2-for-websocket",
    "tls-1.3-refused",
    "tls-no-alert",
    "plain-text-served",
    "plain-websocket-served",
    "plain-object-served",
}
