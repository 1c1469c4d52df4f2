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
    UNKNOWN_GROUP,
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
RETRY_RANDOM: Final = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")
"""The random value of a HelloRetryRequest (Source: RFC 8446, 4.1.3)."""

UNEXPECTED_MESSAGE, RECORD_OVERFLOW, HANDSHAKE_FAILURE, ILLEGAL_PARAMETER = 10, 22, 40, 47
DECODE_ERROR, PROTOCOL_VERSION, MISSING_EXTENSION = 50, 70, 109
TICKET: Final = sized(sized(b"identity") + bytes(4)) + sized(short(b"b" * 32))
NO_SHARE: Final = record(hello({KEY_SHARE: sized(b"")}))

BAD: Final[dict[int, dict[str, bytes]]] = {
    PROTOCOL_VERSION: {  # 4.2.1, D.5
        "TLS 1.2 at most": record(hello({VERSIONS: None})),
        "SSL 3.0": record(hello(version=b"\x03\x00", bare=True), version=b"\x03\x00"),
        "SSL 2.0": bytes.fromhex("801c0100020003000000100100800200800300 80") + b"c" * 13,
    },
    HANDSHAKE_FAILURE: {  # 4.1.1: nothing in common
        "no common suite": record(hello(suites=u16(0xC02B, 0xC02F))),
        "a TLS 1.3 suite that isn't supported": record(hello(suites=u16(0x1305))),
    },
    MISSING_EXTENSION: {  # 9.2
        "no supported_groups": record(hello({GROUPS: None})),
        "a ticket without its modes": record(hello(last=extension(PSK, TICKET))),
    },
    ILLEGAL_PARAMETER: {  # 4.1.2, 4.2, 4.2.8
        "a share of no common group": record(hello({GROUPS: sized(u16(P256))})),
        "a short share": record(hello({KEY_SHARE: sized(share(X25519, SHARE[:-1]))})),
        "compression and none": record(hello(compression=b"\x01\x00")),
        "a duplicate extension": record(hello(last=extension(VERSIONS, short(u16(0x0304))))),
        "a ticket that isn't last": record(hello({PSK: TICKET}, last=extension(COOKIE, sized(b"c")))),
        "a message of 16 MiB": record(b"\x01\xff\xff\xff" + b"a" * 9000),
    },
    DECODE_ERROR: {  # 6.2
        "half a suite": record(hello(suites=b"\x13\x01\x13")),
        "an extension longer than all": record(hello(last=u16(5, 99) + b"a")),
        "a body of three bytes": record(b"\x01\x00\x00\x03\x03\x03r"),
    },
    RECORD_OVERFLOW: {  # 5.1
        "a record one byte too long": record(b"\x01" + b"a" * (1 << 14)),
    },
    UNEXPECTED_MESSAGE: {  # 4, 5
        "plain HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a message without TLS": b'{"type":"hello","version":"1.0","features":[]}\n',
        "random bytes": bytes.fromhex("e1f3a79b0c5d2e8f4a6b1c9d7e0f2a3b4c5d6e7f8091a2b3"),
        "application data": record(hello(), content=23),
        "a change of cipher before the hello": record(b"\x01", content=20) + record(hello()),
        "records between those of one message":
            record(hello()[:50]) + record(b"\x01", content=20) + record(hello()[50:]),
        "a ServerHello": record(b"\x02" + hello()[1:]),
        "more in the ClientHello's record": record(hello() + b"\x01\x00"),
        "empty records without end": record(b"") * 40,
    },
}  # fmt: skip
"""Bytes by the fatal alert that they draw."""

UNKNOWN: Final = {
    GREASE: b"",
    GROUPS: sized(u16(GREASE, X25519)),
    VERSIONS: short(u16(GREASE, 0x0304)),
    SIGNATURES: sized(u16(0x0403, 0xFAFA)),
    KEY_SHARE: sized(share(GREASE, b"\0") + share(X25519)),
}
GOOD: Final[dict[str, bytes]] = {
    "the usual": record(hello()),
    "unknown values": record(hello(UNKNOWN, suites=u16(GREASE, 0x1301), last=extension(0xFAFA, b"\0"))),  # 4.2, 9.3
    "an older version next to the extension": record(hello(version=b"\x03\x02")),  # 4.2.1: the extension decides
    "a byte per record": b"".join(record(hello()[at : at + 1]) for at in range(len(hello()))),  # 5.1
}


async def received(simulator: Simulator, data: bytes, *more: bytes) -> bytes:
    """Send bytes, and the next ones after each record received; return all that is received until the relay closes."""
    reader, writer = await asyncio.open_connection(*simulator.address)
    try:
        writer.write(data)
        found = b""
        async with asyncio.timeout(PATIENCE):
            for next_ in more:
                found += await reader.readexactly(5)
                found += await reader.readexactly(int.from_bytes(found[-2:], "big"))
                writer.write(next_)
            return found + await reader.read()
    finally:
        writer.transport.abort()


def alert(number: int) -> bytes:
    """Return the record of a fatal alert without its type and version (RFC 8446, 5.1)."""
    return bytes((0, 2, 2, number))


async def test_bad_client_hellos_draw_their_alert_and_nothing_else() -> None:
    async with Simulator(CONFIG) as simulator:
        for number, inputs in BAD.items():
            for name, data in inputs.items():
                answer = await received(simulator, data)
                assert (answer[:2], answer[3:]) == (b"\x15\x03", alert(number)), name
        assert not simulator.relay.state.connections


async def test_unknown_and_unusual_values_are_accepted() -> None:
    async with Simulator(CONFIG) as simulator:
        answers = await asyncio.gather(*(received(simulator, data) for data in GOOD.values()))
    for name, answer in zip(GOOD, answers, strict=True):
        assert (answer[:1], answer[5]) == (b"\x16", 2), name
        assert answer[11:43] != RETRY_RANDOM, name
        assert extension(VERSIONS, b"\x03\x04") in answer, name


async def test_a_missing_share_is_requested_once() -> None:
    # 4.1.4: the relay requests an offered group; the same hello with its share is then accepted.
    unknown = {GROUPS: sized(u16(UNKNOWN_GROUP, X25519)), KEY_SHARE: sized(share(UNKNOWN_GROUP))}
    async with Simulator(CONFIG) as simulator:
        for changes in ({KEY_SHARE: sized(b"")}, unknown):
            first = record(hello(changes))
            request = await received(simulator, first)
            assert request[:1] == b"\x16"
            assert request[11:43] == RETRY_RANDOM
            assert request[44:76] == b"s" * 32
            assert extension(VERSIONS, b"\x03\x04") in request
            assert extension(KEY_SHARE, u16(X25519)) in request
            answer = await received(simulator, first, record(hello({**changes, KEY_SHARE: sized(share(X25519))})))
            end = 5 + int.from_bytes(answer[3:5], "big")
            assert answer[end : end + 6] == record(b"\x01", content=20, version=b"\x03\x03")
            assert (answer[end + 6], answer[end + 11]) == (22, 2)
            assert answer[end + 17 : end + 49] != RETRY_RANDOM
        assert (await received(simulator, NO_SHARE, NO_SHARE)).endswith(alert(ILLEGAL_PARAMETER))


async def test_an_incomplete_handshake_is_closed() -> None:
    async with Simulator(CONFIG) as simulator, asyncio.timeout(CONFIG.limits.handshake_timeout + 5):
        inputs = (b"", b"\x16", record(hello())[:-1], record(b""), record(hello())[:4])
        assert set(await asyncio.gather(*(received(simulator, data) for data in inputs))) == {b""}
