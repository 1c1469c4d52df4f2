"""Raw ClientHellos: each bad one draws the alert of RFC 8446; unusual valid ones are accepted."""

from __future__ import annotations

import asyncio
from typing import Final

from cbspec_simulator import Config, Listen, Simulator
from cbspec_simulator.settings.config import LimitSettings
from tests.hostile.client_hello import (
    COOKIE,
    GREASE,
    GROUPS,
    KEY_SHARE,
    P256,
    PSK,
    SHARE,
    SIGNATURES,
    VERSIONS,
    X25519,
    extension,
    hello,
    record,
    share,
    short,
    sized,
    u16,
)  # fmt: skip  # isort: skip
from tests.support.client import PATIENCE

CONFIG: Final = Config(listen=Listen(port=0), limits=LimitSettings(handshake_timeout=0.5))
TICKET: Final = sized(sized(b"identity") + bytes(4)) + sized(short(b"b" * 32))

UNEXPECTED_MESSAGE, RECORD_OVERFLOW, HANDSHAKE_FAILURE, ILLEGAL_PARAMETER = 10, 22, 40, 47
DECODE_ERROR, PROTOCOL_VERSION, MISSING_EXTENSION = 50, 70, 109
BAD: Final[dict[str, tuple[int, bytes]]] = {
    "TLS 1.2": (PROTOCOL_VERSION, record(hello({VERSIONS: None}))),
    "SSL 2.0": (PROTOCOL_VERSION, bytes.fromhex("801c0100020003000000100100800200800300 80") + b"c" * 13),
    "no common suite": (HANDSHAKE_FAILURE, record(hello(suites=u16(0xC02B, 0xC02F)))),
    "no supported_groups": (MISSING_EXTENSION, record(hello({GROUPS: None}))),
    "a ticket without its modes": (MISSING_EXTENSION, record(hello(last=extension(PSK, TICKET)))),
    "a share of no common group": (ILLEGAL_PARAMETER, record(hello({GROUPS: sized(u16(P256))}))),
    "a short share": (ILLEGAL_PARAMETER, record(hello({KEY_SHARE: sized(share(X25519, SHARE[:-1]))}))),
    "compression": (ILLEGAL_PARAMETER, record(hello(compression=b"\x01\x00"))),
    "a ticket that isn't last": (ILLEGAL_PARAMETER, record(hello({PSK: TICKET}, last=extension(COOKIE, sized(b"c"))))),
    "a message of 16 MiB": (ILLEGAL_PARAMETER, record(b"\x01\xff\xff\xff" + b"a" * 9000)),
    "half a suite": (DECODE_ERROR, record(hello(suites=b"\x13\x01\x13"))),
    "a body of three bytes": (DECODE_ERROR, record(b"\x01\x00\x00\x03\x03\x03r")),
    "a record one byte too long": (RECORD_OVERFLOW, record(b"\x01" + b"a" * (1 << 14))),
    "plain HTTP": (UNEXPECTED_MESSAGE, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a message without TLS": (UNEXPECTED_MESSAGE, b'{"type":"hello","version":"1.0","features":[]}\n'),
    "random bytes": (UNEXPECTED_MESSAGE, bytes.fromhex("e1f3a79b0c5d2e8f4a6b1c9d7e0f2a3b4c5d6e7f8091a2b3")),
    "application data": (UNEXPECTED_MESSAGE, record(hello(), content=23)),
    "a ServerHello": (UNEXPECTED_MESSAGE, record(b"\x02" + hello()[1:])),
    "empty records without end": (UNEXPECTED_MESSAGE, record(b"") * 40),
}
"""The fatal alert that each draws, and the bytes."""

UNKNOWN: Final = {
    GREASE: b"",
    GROUPS: sized(u16(GREASE, X25519)),
    VERSIONS: short(u16(GREASE, 0x0304)),
    SIGNATURES: sized(u16(0x0403, 0xFAFA)),
    KEY_SHARE: sized(share(GREASE, b"\0") + share(X25519)),
}
GOOD: Final = {
    "the usual": record(hello()),
    "unknown values": record(hello(UNKNOWN, suites=u16(GREASE, 0x1301), last=extension(0xFAFA, b"\0"))),  # 4.2, 9.3
    "an older version next to the extension": record(hello(version=b"\x03\x02")),  # 4.2.1: the extension decides
    "a byte per record": b"".join(record(hello()[at : at + 1]) for at in range(len(hello()))),  # 5.1
}


async def received(simulator: Simulator, data: bytes) -> bytes:
    """Send bytes; return all that is received until the relay closes."""
    reader, writer = await asyncio.open_connection(*simulator.address)
    try:
        writer.write(data)
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.transport.abort()


async def test_bad_client_hellos_draw_their_alert_and_nothing_else() -> None:
    async with Simulator(CONFIG) as simulator:
        for name, (alert, data) in BAD.items():
            answer = await received(simulator, data)
            assert (answer[:2], answer[3:]) == (b"\x15\x03", bytes((0, 2, 2, alert))), name
        assert not simulator.relay.state.connections


async def test_unknown_and_unusual_values_are_accepted() -> None:
    async with Simulator(CONFIG) as simulator:
        answers = await asyncio.gather(*(received(simulator, data) for data in GOOD.values()))
    for name, answer in zip(GOOD, answers, strict=True):
        assert (answer[:1], answer[5]) == (b"\x16", 2), name
        assert extension(VERSIONS, b"\x03\x04") in answer, name


async def test_an_incomplete_handshake_is_closed() -> None:
    async with Simulator(CONFIG) as simulator, asyncio.timeout(CONFIG.limits.handshake_timeout + 5):
        inputs = (b"", b"\x16", record(hello())[:-1], record(b""), record(hello())[:4])
        assert set(await asyncio.gather(*(received(simulator, data) for data in inputs))) == {b""}
