"""A ClientHello as raw bytes, any field of which can be wrong (Source: RFC 8446, 4.1.2 and 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

X25519, P256, GREASE = 0x001D, 0x0017, 0x1A1A
SHARE: Final = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
"""A public X25519 key, of RFC 7748, 6.1."""
GROUPS, SIGNATURES, PSK, VERSIONS, COOKIE, KEY_SHARE = 10, 13, 41, 43, 44, 51


def u16(*numbers: int) -> bytes:
    """Return numbers of two bytes each."""
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def short(data: bytes) -> bytes:
    """Return bytes with a length of one byte."""
    return bytes([len(data)]) + data


def sized(data: bytes) -> bytes:
    """Return bytes with a length of two bytes."""
    return u16(len(data)) + data


def extension(number: int, data: bytes = b"") -> bytes:
    """Return one extension."""
    return u16(number) + sized(data)


def share(group: int, key: bytes = SHARE) -> bytes:
    """Return one entry of the key_share extension."""
    return u16(group) + sized(key)


USUAL: Final[Mapping[int, bytes]] = {
    GROUPS: sized(u16(X25519, P256)),
    SIGNATURES: sized(u16(0x0403, 0x0804)),
    VERSIONS: short(u16(0x0304)),
    KEY_SHARE: sized(share(X25519)),
}
"""The extensions that TLS 1.3 requires."""


def hello(
    changes: Mapping[int, bytes | None] | None = None,
    *,
    version: bytes = b"\x03\x03",
    suites: bytes = u16(0x1301, 0x1302, 0x1303),
    compression: bytes = b"\x00",
    last: bytes = b"",
) -> bytes:
    """Return the handshake message with the usual extensions except `changes` (None: left out), followed by `last`."""
    chosen = {**USUAL, **(changes or {})}
    offered = b"".join(extension(number, data) for number, data in chosen.items() if data is not None) + last
    body = version + b"r" * 32 + short(b"s" * 32) + sized(suites) + short(compression) + sized(offered)
    return b"\x01" + len(body).to_bytes(3, "big") + body


def record(data: bytes, content: int = 22) -> bytes:
    """Return one plain TLS record."""
    return bytes([content]) + b"\x03\x01" + sized(data)
