"""What surrounds the messages, seen on the wire."""

from __future__ import annotations

import asyncio
import ssl
from urllib.request import Request, urlopen

import pytest

from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec_simulator import Simulator
from cbspec_simulator.variations.open_points import edges
from tests.simulator.variations.open_points.probe import serving
from tests.support.client import HELLO, PATIENCE, AsyncClient, AsyncWebSocket, auth, context


async def _handshake(simulator: Simulator, made: ssl.SSLContext, name: str = "localhost") -> TlsLayer | None:
    """Shake hands and have hello answered; None where the relay refused."""
    reader, writer = await asyncio.open_connection(*simulator.address)
    layer = TlsLayer(made, server_side=False, server_name=name)
    layer.send(HELLO)
    plain = b""
    try:
        async with asyncio.timeout(PATIENCE):
            while not plain:
                writer.write(layer.data_to_send())
                data = await reader.read(65536)
                plain = layer.receive_data(data)
                if not data:
                    return None
    except TlsFailed:
        return None
    finally:
        writer.close()
    return layer


def _unchecked() -> ssl.SSLContext:
    made = context()
    made.check_hostname = False
    return made


async def _served_as(simulator: Simulator) -> object:
    names = ("localhost", "127.0.0.1", "other.invalid")
    return [await _handshake(simulator, _unchecked(), name) is not None for name in names]


async def _curve(simulator: Simulator) -> object:
    made = context()
    made.set_ecdh_curve("secp384r1")
    return await _handshake(simulator, made) is not None


async def _ticket(simulator: Simulator) -> object:
    layer = await _handshake(simulator, context())
    return layer is not None and layer.has_ticket


async def _subprotocol(simulator: Simulator) -> object:
    async with AsyncWebSocket(simulator.address) as wire:
        return b"\r\nSec-WebSocket-Protocol: odd\r\n" in await wire.open(b"Sec-WebSocket-Protocol: odd, even")


async def _request(simulator: Simulator, *lines: bytes) -> bytes:
    async with AsyncClient(simulator.address) as wire:
        wire.write(b"\r\n".join(lines) + b"\r\n\r\n")
        return (await wire.line())[9:12]


async def _path(simulator: Simulator) -> object:
    shake = (
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
    )
    return [await _request(simulator, b"GET %b HTTP/1.1" % path, *shake) for path in (b"/", b"/other")]


async def _plain(simulator: Simulator) -> object:
    return await _request(simulator, b"GET / HTTP/1.1", b"Host: localhost")


async def _text(simulator: Simulator) -> object:
    async with AsyncWebSocket(simulator.address) as wire:
        await wire.open()
        wire.frame(b'{"type":"hello","x":"\xff"}')
        first, payload = await wire.next()
        return (first, payload[:2] if first == 0x88 else b"")


async def _metrics(simulator: Simulator) -> object:
    wanted = Request(str(simulator.metrics_url), headers={"Accept": "application/openmetrics-text"})  # noqa: S310 - ours

    def kind() -> str:
        with urlopen(wanted, timeout=PATIENCE) as response:  # noqa: S310 - ours
            return str(response.headers["Content-Type"]).partition(";")[0]

    return await asyncio.to_thread(kind)


async def _answered(simulator: Simulator, data: bytes) -> bool:
    async with AsyncClient(simulator.address) as wire:
        for request in (HELLO, auth()):
            await wire.ask(request)
        wire.write(data)
        return b"heartbeat_response" in await wire.line()


async def _size(simulator: Simulator) -> object:
    return await _answered(simulator, b'{"type":"heartbeat"' + b" " * (2 * 1024 * 1024) + b"}\n")


async def _depth(simulator: Simulator) -> object:
    return await _answered(simulator, b'{"type":"heartbeat","x":' + b"[" * 200 + b"]" * 200 + b"}\n")


SHOWN = {
    "unknown-server-name-refused": (_served_as, [True, True, True], [True, True, False]),
    "one-curve": (_curve, True, False),
    "no-session-tickets": (_ticket, True, False),
    "subprotocol-chosen": (_subprotocol, False, True),
    "one-path": (_path, [b"101", b"101"], [b"101", b"404"]),
    "plain-request-answered-204": (_plain, b"426", b"204"),
    "websocket-text-checked": (_text, (0x81, b""), (0x88, b"\x03\xef")),
    "metrics-in-plain-text": (_metrics, "application/openmetrics-text", "text/plain"),
    "large-messages": (_size, False, True),
    "deep-messages": (_depth, False, True),
}


@pytest.mark.parametrize("id_", SHOWN)
async def test_it_shows(id_: str) -> None:
    look, clean, different = SHOWN[id_]
    async with serving() as simulator:
        assert await look(simulator) == clean
    async with serving(id_) as simulator:
        assert await look(simulator) == different


def test_each_is_shown() -> None:
    assert {point.id for point in edges.OPEN_POINTS} == set(SHOWN)
