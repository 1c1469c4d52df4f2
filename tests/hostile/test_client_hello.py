"""Raw ClientHellos: each bad one draws the alert of RFC 8446; unusual valid ones are accepted."""

from __future__ import annotations

import asyncio
from typing import Final

from cbspec_simulator import Config, Listen, Simulator
from cbspec_simulator.settings.config import LimitSettings
from tests.hostile.client_hello import GREASE, GROUPS, PSK, VERSIONS, extension, hello, record, short, sized, u16
from tests.support.client import PATIENCE

CONFIG: Final = Config(listen=Listen(port=0), limits=LimitSettings(handshake_timeout=0.5))
TICKET: Final = sized(sized(b"identity") + bytes(4)) + sized(short(b"b" * 32))

UNEXPECTED_MESSAGE, RECORD_OVERFLOW, HANDSHAKE_FAILURE, ILLEGAL_PARAMETER = 10, 22, 40, 47
DECODE_ERROR, PROTOCOL_VERSION, MISSING_EXTENSION, ACCEPTED = 50, 70, 109, 0
HELLOS: Final[dict[str, tuple[int, bytes]]] = {
    "TLS 1.2": (PROTOCOL_VERSION, record(hello({VERSIONS: None}))),
    "SSL 2.0": (PROTOCOL_VERSION, bytes.fromhex("801c0100020003000000100100800200800300 80") + b"c" * 13),
    "no common suite": (HANDSHAKE_FAILURE, record(hello(suites=u16(0xC02B, 0xC02F)))),
    "no supported_groups": (MISSING_EXTENSION, record(hello({GROUPS: None}))),
    "compression": (ILLEGAL_PARAMETER, record(hello(compression=b"\x01\x00"))),
    "a ticket that isn't last": (ILLEGAL_PARAMETER, record(hello({PSK: TICKET}, last=extension(GREASE)))),
    "a message of 16 MiB": (ILLEGAL_PARAMETER, record(b"\x01\xff\xff\xff" + b"a" * 9000)),
    "half a suite": (DECODE_ERROR, record(hello(suites=b"\x13\x01\x13"))),
    "a record one byte too long": (RECORD_OVERFLOW, record(b"\x01" + b"a" * (1 << 14))),
    "plain HTTP": (UNEXPECTED_MESSAGE, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a message without TLS": (UNEXPECTED_MESSAGE, b'{"type":"hello","version":"1.0","features":[]}\n'),
    "application data": (UNEXPECTED_MESSAGE, record(hello(), content=23)),
    "empty records without end": (UNEXPECTED_MESSAGE, record(b"") * 40),
    "unknown values": (ACCEPTED, record(hello({GREASE: b""}, suites=u16(GREASE, 0x1301)))),  # 9.3
    "an older version next to the extension": (ACCEPTED, record(hello(version=b"\x03\x02"))),  # 4.2.1
    "a byte per record": (ACCEPTED, b"".join(record(hello()[at : at + 1]) for at in range(len(hello())))),  # 5.1
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
                assert extension(VERSIONS, b"\x03\x04") in answer, name
        assert not simulator.relay.state.connections
