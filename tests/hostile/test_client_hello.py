"""Raw bytes instead of a ClientHello: each draws the alert of RFC 8446; unusual valid records are accepted."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from cbspec_simulator import Config, Listen, Simulator
from cbspec_simulator.settings.config import LimitSettings
from tests.hostile.client_hello import HELLO_RECORD, client_hello, record
from tests.support.client import PATIENCE

CONFIG: Final = Config(listen=Listen(port=0), limits=LimitSettings(handshake_timeout=0.5))
HELLO: Final = HELLO_RECORD[5:]
NULL_METHOD: Final = 71 + int.from_bytes(HELLO[71:73], "big") + 3  # after versions, random, session and suites

UNEXPECTED_MESSAGE, RECORD_OVERFLOW, ILLEGAL_PARAMETER, PROTOCOL_VERSION, ACCEPTED = 10, 22, 47, 70, 0
HELLOS: Final[dict[str, tuple[int, bytes]]] = {
    "TLS 1.2": (PROTOCOL_VERSION, client_hello(ssl.TLSVersion.TLSv1_2)),
    "SSL 2.0": (PROTOCOL_VERSION, bytes.fromhex("801c0100020003000000100100800200800300 80") + b"c" * 13),
    "compression": (ILLEGAL_PARAMETER, record(HELLO[:NULL_METHOD] + b"\x01" + HELLO[NULL_METHOD + 1 :])),
    "a message of 16 MiB": (ILLEGAL_PARAMETER, record(b"\x01\xff\xff\xff" + b"a" * 9000)),
    "a record one byte too long": (RECORD_OVERFLOW, record(b"\x01" + b"a" * (1 << 14))),
    "plain HTTP": (UNEXPECTED_MESSAGE, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a message without TLS": (UNEXPECTED_MESSAGE, b'{"type":"hello","version":"1.0","features":[]}\n'),
    "empty records without end": (UNEXPECTED_MESSAGE, record(b"") * 40),
    "a byte per record": (ACCEPTED, b"".join(record(HELLO[at : at + 1]) for at in range(len(HELLO)))),  # 5.1
}
"""The fatal alert that each draws, and the bytes."""


async def received(simulator: Simulator, data: bytes) -> bytes:
    """Send bytes; return all that is received until the relay closes."""
    reader, writer = await asyncio.open_connection(*simulator.address)
    try:
        writer.write(data)
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.transport.abort()


async def test_a_client_hello_is_accepted_or_draws_its_alert_and_nothing_else() -> None:
    async with Simulator(CONFIG) as simulator:
        for name, (alert, data) in HELLOS.items():
            answer = await received(simulator, data)
            if alert:
                assert (answer[:2], answer[3:]) == (b"\x15\x03", bytes((0, 2, 2, alert))), name
            else:
                assert (answer[:1], answer[5]) == (b"\x16", 2), name
        assert not simulator.relay.state.connections
