"""TLS as anybody meets it: each bad ClientHello draws the alert that RFC 8446 asks for, from raw bytes."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from cbspec_simulator import Config, Listen, Simulator
from cbspec_simulator.settings.config import LimitSettings
from tests.hostile.client_hello import (
    COOKIE,
    GREASE,
    GROUPS,
    KEY_SHARE,
    P256,
    PSK,
    SERVER_NAME,
    SHARE,
    SIGNATURES,
    UNKNOWN_GROUP,
    VERSIONS,
    X25519,
    extension,
    extensions,
    hello,
    record,
    share,
    short,
    sized,
    u16,
)
from tests.support.client import PATIENCE

CONFIG: Final = Config(listen=Listen(port=0), limits=LimitSettings(handshake_timeout=0.5))
RETRY_RANDOM: Final = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")
"""What makes a ServerHello a HelloRetryRequest. Source: RFC 8446, 4.1.3."""

UNEXPECTED_MESSAGE, RECORD_OVERFLOW, HANDSHAKE_FAILURE, ILLEGAL_PARAMETER = 10, 22, 40, 47
DECODE_ERROR, PROTOCOL_VERSION, MISSING_EXTENSION = 50, 70, 109
TICKET: Final = sized(sized(b"identity") + bytes(4)) + sized(short(b"b" * 32))

BAD: Final[dict[str, tuple[bytes, int]]] = {
    # 4.2.1, D.5: versions.
    "TLS 1.2 at most": (record(hello({VERSIONS: None})), PROTOCOL_VERSION),
    "TLS 1.2 by its extension": (record(hello({VERSIONS: short(u16(0x0303))})), PROTOCOL_VERSION),
    "TLS 1.1": (record(hello(version=b"\x03\x02", bare=True)), PROTOCOL_VERSION),
    "TLS 1.0": (record(hello(version=b"\x03\x01", bare=True)), PROTOCOL_VERSION),
    "SSL 3.0": (record(hello(version=b"\x03\x00", bare=True), version=b"\x03\x00"), PROTOCOL_VERSION),
    "SSL 2.0": (bytes.fromhex("801c0100020003000000100100800200800300 80") + b"c" * 13, PROTOCOL_VERSION),
    "a version to come": (record(hello({VERSIONS: short(u16(0x0305))})), PROTOCOL_VERSION),
    # 4.1.1: nothing in common.
    "no common suite": (record(hello(suites=u16(0xC02B, 0xC02F))), HANDSHAKE_FAILURE),
    "a suite of 1.3 that isn't served": (record(hello(suites=u16(0x1305))), HANDSHAKE_FAILURE),
    "no common group": (
        record(hello({GROUPS: sized(u16(UNKNOWN_GROUP)), KEY_SHARE: sized(share(UNKNOWN_GROUP))})),
        HANDSHAKE_FAILURE,
    ),
    "no common signature": (record(hello({SIGNATURES: sized(u16(0x0420))})), HANDSHAKE_FAILURE),
    # 9.2: extensions that must be there.
    "without supported_groups": (record(hello({GROUPS: None})), MISSING_EXTENSION),
    "without key_share": (record(hello({KEY_SHARE: None})), MISSING_EXTENSION),
    "without signature_algorithms": (record(hello({SIGNATURES: None})), MISSING_EXTENSION),
    "a ticket without its modes": (record(hello(behind=extension(PSK, TICKET))), MISSING_EXTENSION),
    # 4.2.8: shares of keys.
    "a share of no common group alone": (record(hello({GROUPS: sized(u16(P256))})), ILLEGAL_PARAMETER),
    "a share that is too short": (record(hello({KEY_SHARE: sized(share(X25519, SHARE[:-1]))})), ILLEGAL_PARAMETER),
    "a share of nothing but zeros": (record(hello({KEY_SHARE: sized(share(X25519, bytes(32)))})), ILLEGAL_PARAMETER),
    "a point that isn't on the curve": (
        record(hello({GROUPS: sized(u16(P256)), KEY_SHARE: sized(share(P256, b"\x04" + b"\x01" * 64))})),
        ILLEGAL_PARAMETER,
    ),
    # 4.1.2, 4.2: other parameters.
    "compression beside none": (record(hello(compression=b"\x01\x00")), ILLEGAL_PARAMETER),
    "compression alone": (record(hello(compression=b"\x01")), ILLEGAL_PARAMETER),
    "no compression method at all": (record(hello(compression=b"")), ILLEGAL_PARAMETER),
    "no suite at all": (record(hello(suites=b"")), ILLEGAL_PARAMETER),
    "the same extension twice": (record(hello(behind=extension(VERSIONS, short(u16(0x0304))))), ILLEGAL_PARAMETER),
    "a ticket that isn't last": (
        record(hello({PSK: TICKET}, behind=extension(COOKIE, sized(b"c")))),
        ILLEGAL_PARAMETER,
    ),
    "a message of 16 MiB": (record(b"\x01\xff\xff\xff" + b"a" * 9000), ILLEGAL_PARAMETER),
    # 6.2: what can't be decoded.
    "half a suite": (record(hello(suites=b"\x13\x01\x13")), DECODE_ERROR),
    "a byte behind the extensions": (record(hello(trailing=b"x")), DECODE_ERROR),
    "an extension longer than all": (record(hello(behind=u16(5, 99) + b"a")), DECODE_ERROR),
    "a session id of 33 bytes": (record(hello(session=b"s" * 33)), DECODE_ERROR),
    "an empty server name": (record(hello({SERVER_NAME: sized(b"")})), DECODE_ERROR),
    "a body of three bytes": (record(b"\x01\x00\x00\x03\x03\x03r"), DECODE_ERROR),
    # 5.1: records.
    "plain HTTP": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", UNEXPECTED_MESSAGE),
    "plain HTTP, posted": (b"POST /api HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", UNEXPECTED_MESSAGE),
    "HTTP to a proxy": (b"CONNECT relay:443 HTTP/1.1\r\n\r\n", UNEXPECTED_MESSAGE),
    "a message without TLS": (b'{"type":"hello","version":"1.0","features":[]}\n', UNEXPECTED_MESSAGE),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", UNEXPECTED_MESSAGE),
    "random bytes": (bytes.fromhex("e1f3a79b0c5d2e8f4a6b1c9d7e0f2a3b4c5d6e7f8091a2b3"), UNEXPECTED_MESSAGE),
    "zeros": (bytes(64), UNEXPECTED_MESSAGE),
    "a record one byte too long": (record(b"\x01" + b"a" * (1 << 14)), RECORD_OVERFLOW),
    "a record of the largest length": (b"\x16\x03\x01\xff\xff", RECORD_OVERFLOW),
    "application data": (record(hello(), content=23), UNEXPECTED_MESSAGE),
    "an alert": (record(b"\x02\x28", content=21), UNEXPECTED_MESSAGE),
    "a change of cipher": (record(b"\x01", content=20), UNEXPECTED_MESSAGE),
    "a change of cipher before the hello": (record(b"\x01", content=20) + record(hello()), UNEXPECTED_MESSAGE),
    "an unknown content type": (record(hello(), content=99), UNEXPECTED_MESSAGE),
    "records between those of one message": (
        record(hello()[:50]) + record(b"\x01", content=20) + record(hello()[50:]),
        UNEXPECTED_MESSAGE,
    ),
    # 4: messages.
    "a ServerHello": (record(b"\x02" + hello()[1:]), UNEXPECTED_MESSAGE),
    "a Finished": (record(b"\x14\x00\x00\x20" + b"f" * 32), UNEXPECTED_MESSAGE),
    "an unknown message": (record(b"\x63\x00\x00\x01a"), UNEXPECTED_MESSAGE),
    "more in the ClientHello's record": (record(hello() + b"\x01\x00"), UNEXPECTED_MESSAGE),
}
"""What is sent, and the number of the fatal alert that it draws."""

GOOD: Final[dict[str, bytes]] = {
    "the usual": record(hello()),
    "a server name": record(hello({SERVER_NAME: sized(b"\0" + sized(b"nobody.example"))})),
    # 4.2, 9.3: what isn't known is ignored.
    "unknown suites, groups, versions, shares, signatures and extensions": record(
        hello(
            {
                GREASE: b"",
                GROUPS: sized(u16(GREASE, X25519)),
                VERSIONS: short(u16(GREASE, 0x0304)),
                SIGNATURES: sized(u16(0x0403, 0xFAFA)),
                KEY_SHARE: sized(share(GREASE, b"\0") + share(X25519)),
            },
            suites=u16(GREASE, 0x1301),
            behind=extension(0xFAFA, b"\0"),
        )
    ),
    # 4.2.1: the extension decides.
    "an older version beside the extension": record(hello(version=b"\x03\x02")),
    "a newer version beside the extension": record(hello(version=b"\x03\x04")),
    # 5.1: a message may come in many records, and the record's version says nothing.
    "a byte a record": b"".join(record(hello()[at : at + 1]) for at in range(len(hello()))),
    "a record of version 3.4": record(hello(), version=b"\x03\x04"),
}
"""What looks odd, and is none the less good."""


async def met(data: bytes, *more: bytes) -> bytes:
    """Send bytes, and more each time that something came back; return all that comes until the relay closes."""
    async with Simulator(CONFIG) as simulator:
        reader, writer = await asyncio.open_connection(*simulator.address)
        try:
            writer.write(data)
            found = b""
            async with asyncio.timeout(PATIENCE):
                for next_ in more:
                    found += await reader.readexactly(5)
                    found += await reader.readexactly(int.from_bytes(found[-2:], "big"))
                    writer.write(next_)
                found += await reader.read()
        finally:
            writer.transport.abort()
        assert not simulator.relay.state.connections
        return found


def alert(number: int) -> bytes:
    """Return the record of a fatal alert but for its version, which says nothing (RFC 8446, 5.1)."""
    return bytes((0, 2, 2, number))


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_client_hello_draws_its_alert_and_nothing_else(name: str) -> None:
    data, number = BAD[name]
    answer = await met(data)
    assert answer[:2] == b"\x15\x03", answer[:50].hex()
    assert answer[3:] == alert(number), answer.hex()


@pytest.mark.parametrize("name", GOOD)
async def test_what_is_unknown_or_odd_is_served(name: str) -> None:
    answer = await met(GOOD[name])
    assert answer[:1] == b"\x16"
    assert answer[5] == 2
    assert answer[11:43] != RETRY_RANDOM
    assert extension(VERSIONS, b"\x03\x04") in answer


RETRIES: Final[dict[str, dict[int, bytes | None]]] = {
    "no share": {KEY_SHARE: sized(b"")},
    "a share of an unknown group": {
        GROUPS: sized(u16(UNKNOWN_GROUP, X25519)),
        KEY_SHARE: sized(share(UNKNOWN_GROUP)),
    },
}


@pytest.mark.parametrize("name", RETRIES)
async def test_where_a_share_is_missing_the_relay_asks_for_it(name: str) -> None:
    # 4.1.4: the group that it asks for is one that was offered; the same hello with its share is then served.
    first = hello(RETRIES[name])
    asked = await met(record(first))
    assert asked[:1] == b"\x16"
    assert asked[11:43] == RETRY_RANDOM
    assert asked[44:76] == b"s" * 32, "the session id goes back as it came"
    assert extension(VERSIONS, b"\x03\x04") in asked
    assert extension(KEY_SHARE, u16(X25519)) in asked
    second = hello({**RETRIES[name], KEY_SHARE: sized(share(X25519))})
    served = await met(record(first), record(second))
    length = 5 + int.from_bytes(served[3:5], "big")
    assert served[length : length + 6] == record(b"\x01", content=20, version=b"\x03\x03")
    assert served[length + 6] == 22
    assert served[length + 6 + 5] == 2
    assert served[length + 6 + 11 : length + 6 + 43] != RETRY_RANDOM


async def test_who_was_asked_for_a_share_and_gives_none_is_refused() -> None:
    # 4.1.4: there is one HelloRetryRequest at most.
    first = record(hello({KEY_SHARE: sized(b"")}))
    answer = await met(first, first)
    assert answer.endswith(alert(ILLEGAL_PARAMETER)), answer.hex()


async def test_empty_records_without_end_are_not_taken_for_ever() -> None:
    assert (await met(record(b"") * 40))[3:] == alert(UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("data", [b"", b"\x16", record(hello())[:-1], record(b""), record(hello())[:4]])
async def test_a_handshake_that_is_begun_and_never_ended_is_closed(data: bytes) -> None:
    async with asyncio.timeout(CONFIG.limits.handshake_timeout + 5):
        assert await met(data) == b""


@pytest.mark.parametrize("content", [20, 21, 22, 23, 99])
async def test_what_follows_a_good_hello_in_plain_text_draws_an_encrypted_alert(content: int) -> None:
    # The client's keys are in force by then: 5, 5.2. Only the one change of cipher is passed over.
    good = record(hello())
    both = good + record(b"\x02" * 40, content=content, version=b"\x03\x03")
    assert await met(both) != b""
    served = await met(good)
    assert len(await met(both)) > len(served)


def test_the_extensions_are_those_of_the_rfc() -> None:
    # 4.2.1, 4.2.8: their bytes as the RFC's structures say, by hand.
    said = extensions({GROUPS: None, SIGNATURES: None})
    assert said == bytes.fromhex("002b 0003 02 0304 0033 0026 0024 001d 0020") + SHARE
