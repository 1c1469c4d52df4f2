"""What a client's first bytes say about its TLS, even if the handshake fails. Source: RFC 8446, 4.1.2 and 5.1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

_HANDSHAKE: Final = 22
_RECORDS: Final = range(20, 25)
_SERVER_NAME, _ALPN, _VERSIONS = 0, 16, 43
_NAMES: Final = {0x0300: "SSLv3", 0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}


class ClientHelloFacts(NamedTuple):
    """The server's name, the application protocols and the versions of TLS that a client offers.

    A client that lists no versions offers all up to the one that is given.
    """

    server_name: str = ""
    protocols: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


def is_tls(data: bytes) -> bool:
    """Return whether bytes can begin a TLS record, or the ClientHello of SSL 2.0."""
    return not data or data[0] in _RECORDS or (data[0] & 0x80 != 0 and data[2:3] in (b"", b"\x01"))


def read_client_hello(data: bytes) -> ClientHelloFacts:
    """Return the facts in a client's first bytes; what is missing or broken stays empty."""
    message = b"".join(_handshake(data))
    if message[:1] != b"\x01":
        return ClientHelloFacts()
    version = int.from_bytes(message[4:6], "big")
    at = 38  # after type, length, version and random
    at += 1 + _number(message, at, 1)  # session id
    at += 2 + _number(message, at, 2)  # cipher suites
    at += 1 + _number(message, at, 1)  # compression methods
    extensions = dict(_extensions(message[at + 2 :]))
    versions = tuple(_versions(extensions.get(_VERSIONS, b"")))
    return ClientHelloFacts(
        _server_name(extensions.get(_SERVER_NAME, b"")),
        tuple(_protocols(extensions.get(_ALPN, b""))),
        versions or tuple(filter(None, [_NAMES.get(version)])),
    )


def _handshake(data: bytes) -> Iterator[bytes]:
    """Yield the contents of the handshake records at the beginning."""
    while data[:1] == bytes([_HANDSHAKE]):
        end = 5 + _number(data, 3, 2)
        yield data[5:end]
        data = data[end:]


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        end = 4 + _number(data, 2, 2)
        yield _number(data, 0, 2), data[4:end]
        data = data[end:]


def _server_name(data: bytes) -> str:
    named = len(data) > 5 and data[2] == 0  # a list, whose first element is a host name
    return data[5 : 5 + _number(data, 3, 2)].decode("ascii", "backslashreplace") if named else ""


def _protocols(data: bytes) -> Iterator[str]:
    data = data[2:]
    while data:
        yield data[1 : 1 + data[0]].decode("ascii", "backslashreplace")
        data = data[1 + data[0] :]


def _versions(data: bytes) -> Iterator[str]:
    """Yield the names of known versions: others are drafts, or test the peer's tolerance (RFC 8701)."""
    for at in range(1, len(data) - 1, 2):
        if (name := _NAMES.get(_number(data, at, 2))) is not None:
            yield name


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")
