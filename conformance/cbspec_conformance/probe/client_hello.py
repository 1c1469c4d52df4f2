"""A ClientHello, byte by byte, for versions that the local TLS library can't send.

Source: RFC 5246, 7.4.1.2 (the same layout holds for 1.0 and 1.1); RFC 8446, 4.1.2.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

_VERSIONS = {"1.0": b"\x03\x01", "1.1": b"\x03\x02", "1.2": b"\x03\x03"}
_SUITES = (
    0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC023, 0xC027, 0xC009, 0xC013, 0xC00A, 0xC014,
    0x009C, 0x009D, 0x003C, 0x003D, 0x002F, 0x0035, 0x000A, 0x00FF,
)  # fmt: skip
_GROUPS = (0x001D, 0x0017, 0x0018, 0x0019)
SUITES = {
    "TLS_AES_128_GCM_SHA256": 0x1301,
    "TLS_AES_256_GCM_SHA384": 0x1302,
    "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
    "TLS_AES_128_CCM_SHA256": 0x1304,
    "TLS_AES_128_CCM_8_SHA256": 0x1305,
}
"""The cipher suites of TLS 1.3. Source: RFC 8446, B.4."""

GROUPS = {
    "x25519": 0x001D,
    "secp256r1": 0x0017,
    "secp384r1": 0x0018,
    "secp521r1": 0x0019,
    "x448": 0x001E,
    "ffdhe2048": 0x0100,
    "X25519MLKEM768": 0x11EC,
}
"""Groups for TLS 1.3's key exchange. Source: IANA's registry of TLS supported groups."""

_SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0807, 0x0203, 0x0201)


def client_hello(version: str, server_name: str) -> bytes:
    """Return a ClientHello record that offers at most `version` ("1.0", "1.1" or "1.2") with common ciphers."""
    extensions = {10: _list16(_GROUPS), 11: b"\x01\x00"}
    if version == "1.2":
        extensions[13] = _list16(_SIGNATURES)
    return _record(_VERSIONS[version], b"", _SUITES, extensions, server_name)


def modern_client_hello(server_name: str, suites: tuple[int, ...], groups: tuple[int, ...]) -> bytes:
    """Return a TLS 1.3 ClientHello record that offers some suites and groups, without a key share.

    A server that accepts one of each answers with a HelloRetryRequest, which is a ServerHello, too.
    """
    extensions = {10: _list16(groups), 13: _list16(_SIGNATURES), 43: b"\x02\x03\x04", 51: _sized(b"")}
    return _record(_VERSIONS["1.2"], os.urandom(32), suites, extensions, server_name)


@dataclass(frozen=True, slots=True)
class Offer:
    """The contents of a ClientHello of TLS 1.3. The defaults are usual.

    Only groups of `shares` get a key share; `odd_shares` come before them. `extensions` are sent first, and replace
    usual ones. `legacy` and `record` are the version fields of the message and of its record.
    """

    suites: tuple[int, ...] = (0x1301, 0x1302, 0x1303, 0x1304)
    groups: tuple[int, ...] = (0x001D, 0x0017, 0x0018, 0x0019)
    shares: tuple[int, ...] = (0x001D, 0x0017)
    odd_shares: tuple[tuple[int, bytes], ...] = ()
    signatures: tuple[int, ...] = _SIGNATURES
    versions: tuple[int, ...] = (0x0304,)
    extensions: Mapping[int, bytes] = field(default_factory=dict)
    modes: bytes = b"\x01"
    legacy: bytes = b"\x03\x03"
    record: bytes = b"\x03\x01"
    session: bytes = b""

    def message(
        self,
        name: str,
        random: bytes,
        shares: Sequence[tuple[int, bytes]],
        last: Mapping[int, bytes] = MappingProxyType({}),
    ) -> bytes:
        """Return the ClientHello, without a record, for a server's name; `last` are extensions at its end."""
        listed = b"".join(number.to_bytes(2, "big") + _sized(data) for number, data in shares)
        extensions = {
            **self.extensions,
            **_server_name(name),
            10: _list16(self.groups),
            13: _list16(self.signatures),
            43: bytes([2 * len(self.versions)]) + _list16(self.versions)[2:],
            45: bytes([len(self.modes)]) + self.modes,
            51: _sized(listed),
            **last,
        }
        return _message(self.legacy + random, self.session, self.suites, extensions)


def _record(
    version: bytes, session: bytes, suites: tuple[int, ...], extensions: dict[int, bytes], server_name: str
) -> bytes:
    message = _message(version + os.urandom(32), session, suites, extensions | _server_name(server_name))
    return b"\x16\x03\x01" + _sized(message)


def _message(start: bytes, session: bytes, suites: tuple[int, ...], extensions: Mapping[int, bytes]) -> bytes:
    listed = b"".join(number.to_bytes(2, "big") + _sized(data) for number, data in extensions.items())
    body = start + bytes([len(session)]) + session + _list16(suites) + b"\x01\x00" + _sized(listed)
    return b"\x01" + len(body).to_bytes(3, "big") + body


def _server_name(name: str) -> dict[int, bytes]:
    """Return the extension for a server's name; an address is never sent."""
    return {} if _is_address(name) else {0: _sized(b"\x00" + _sized(name.encode("idna")))}


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _list16(values: tuple[int, ...]) -> bytes:
    return _sized(b"".join(value.to_bytes(2, "big") for value in values))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
