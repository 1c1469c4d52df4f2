"""TLS: whatever comes, the layer fails in one way, says so by an alert, and does the same however the bytes are cut."""

from __future__ import annotations

import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

import trustme

from cbspec.protocol.tls import TlsFailed, TlsLayer, Trust, client_context, server_context
from tests.fuzz.target import Choices, Target, pieces
from tests.hostile.client_hello import COOKIE, GREASE, GROUPS, KEY_SHARE, PSK, VERSIONS, extension, hello, record, u16

_HELLO: Final = hello()
_ALERT, _DATA = 21, 23


@cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    with tempfile.TemporaryDirectory() as folder:
        chain = Path(folder, "chain.pem")
        issued.private_key_and_cert_chain_pem.write_to_path(chain)
        return server_context(chain), client_context(Trust.NOBODY_CHECKS)


def _records(data: bytes) -> list[tuple[int, bytes]]:
    """Take bytes that the layer sent apart into records; they must be whole ones."""
    found = []
    while data:
        size = int.from_bytes(data[3:5], "big")
        assert len(data) >= 5 + size
        found.append((data[0], data[5 : 5 + size]))
        data = data[5 + size :]
    return found


def _met(stream: bytes, size: int, *, shaken: bool) -> tuple[bytes, bool, str, list[int], bytes]:
    """Return what comes of a stream: plain text, whether there is a session, why it failed, and what goes out."""
    server, client = _contexts()
    relay = TlsLayer(server, server_side=True)
    if shaken:
        other = TlsLayer(client, server_side=False, server_name="localhost")
        for _ in range(2):
            relay.receive_data(other.data_to_send())
            other.receive_data(relay.data_to_send())
        assert relay.established
        stream = _sealed(other, stream)
    plain, failure = b"", ""
    for piece in pieces(stream, size):
        try:
            plain += relay.receive_data(piece)
        except TlsFailed as error:
            failure = error.reason
            break
    sent = _records(relay.data_to_send())
    if failure:
        assert sent, failure
        kind, alert = sent[-1]
        assert kind == (_ALERT if alert[:1] == b"\x02" and len(alert) == 2 else _DATA), failure
        again = ""
        try:
            relay.receive_data(b"more")
        except TlsFailed as error:
            again = error.reason
        assert again == failure
    alerts = b"".join(body for kind, body in sent if kind == _ALERT)
    return plain, relay.established, failure, [kind for kind, _ in sent], alerts


def _sealed(client: TlsLayer, stream: bytes) -> bytes:
    """Have a client encrypt some bytes, and damage what goes out where the others say."""
    choices = Choices(stream)
    client.send(choices.bytes(choices.below(40)))
    sealed = bytearray(client.data_to_send())
    while choices and sealed:
        at, mask = choices.byte() % len(sealed), choices.byte()
        if mask == 0:
            sealed += choices.bytes(8)
        sealed[at] ^= mask
    return bytes(sealed)


def _hello(choices: Choices) -> bytes:
    """Return a ClientHello with some extensions changed and some bytes damaged."""
    numbers = (GROUPS, KEY_SHARE, VERSIONS, COOKIE, PSK, GREASE, 0, 13, 16, 42, 45, 0x2B, 1, 5, 27, 28, 49, 50)
    changes: dict[int, bytes | None] = {}
    for _ in range(choices.below(3)):
        number, kind = numbers[choices.below(len(numbers))], choices.byte()
        changes[number] = None if kind < 32 else choices.bytes(kind % 40)
    behind = extension(choices.byte(), choices.bytes(choices.below(20))) if choices.below(3) == 1 else b""
    suites = u16(0x1301, 0x1303) if choices.below(4) else choices.bytes(choices.below(9))
    message = bytearray(hello(changes, behind=behind, suites=suites))
    for _ in range(choices.below(4)):
        message[choices.byte() % len(message)] ^= choices.byte()
    size = 1 + choices.byte()
    return b"".join(record(piece) for piece in pieces(bytes(message), size)) + choices.rest


def _check(data: bytes) -> None:
    choices = Choices(data)
    mode, size = choices.below(4), 1 + choices.below(60)
    if mode == 3:
        # What is sealed differs each time, so only one way of cutting it is tried.
        _met(choices.rest, size, shaken=True)
        return
    stream = choices.rest
    if mode == 1:
        stream = record(_HELLO) + stream
    elif mode == 2:
        stream = _hello(choices)
    whole = _met(stream, len(stream) or 1, shaken=False)
    assert _met(stream, size, shaken=False) == whole


TARGET: Final = Target(
    _check, share=2,
    longest=500,
    words=(
        record(_HELLO), b"\x16\x03\x01\x00", b"\x14\x03\x03\x00\x01\x01", b"\x15\x03\x03\x00\x02\x02\x28", b"GET / ",
        b"\x17\x03\x03\x00", b"\x00\x2b\x00\x03\x02\x03\x04", b"\x13\x01",
    ),
)  # fmt: skip
