"""TLS: for any bytes the layer fails in one way and sends an alert, however the bytes are split."""

from __future__ import annotations

import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

import trustme

from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.tls_contexts import server_context
from tests.fuzz.target import Choices, pieces, same_however_split
from tests.hostile.client_hello import COOKIE, GREASE, GROUPS, KEY_SHARE, PSK, VERSIONS, extension, hello, record, u16

_ALERT, _DATA = 21, 23
_EXTENSIONS: Final = (GROUPS, KEY_SHARE, VERSIONS, COOKIE, PSK, GREASE, 0, 13, 16, 42, 45, 1, 5, 27, 28, 49, 50)


def tls(data: bytes) -> None:
    """Receive any bytes, bytes after a ClientHello, or a changed ClientHello."""
    choices = Choices(data)
    mode, size = choices.below(3), 1 + choices.below(60)
    stream = choices.rest if mode == 0 else record(hello()) + choices.rest if mode == 1 else _changed_hello(choices)
    same_however_split(_read, stream, size)


@cache
def _context() -> ssl.SSLContext:
    issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    with tempfile.TemporaryDirectory() as folder:
        chain = Path(folder, "chain.pem")
        issued.private_key_and_cert_chain_pem.write_to_path(chain)
        return server_context(chain)


def _read(stream: bytes, size: int) -> tuple[bytes, bool, str, list[int], bytes]:
    """Return plain text, whether there is a session, the failure, the types of the records sent, and the alerts."""
    relay, plain, failure = TlsLayer(_context(), server_side=True), b"", ""
    for piece in pieces(stream, size):
        try:
            plain += relay.receive_data(piece)
        except TlsFailed as error:
            failure = error.reason
            break
    sent, records = relay.data_to_send(), list[tuple[int, bytes]]()
    while sent:
        end = 5 + int.from_bytes(sent[3:5], "big")
        assert len(sent) >= end, "an incomplete record"
        records.append((sent[0], sent[5:end]))
        sent = sent[end:]
    if failure:
        kind, alert = records[-1]
        assert kind == (_ALERT if alert[:1] == b"\x02" and len(alert) == 2 else _DATA), failure
        try:
            relay.receive_data(b"more")
        except TlsFailed as error:
            assert error.reason == failure
        else:
            raise AssertionError("the failure is forgotten")
    alerts = b"".join(body for kind, body in records if kind == _ALERT)
    return plain, relay.established, failure, [kind for kind, _ in records], alerts


def _changed_hello(choices: Choices) -> bytes:
    """Return a ClientHello with some extensions and bytes changed."""
    changes: dict[int, bytes | None] = {}
    for _ in range(choices.below(3)):
        number, kind = _EXTENSIONS[choices.below(len(_EXTENSIONS))], choices.byte()
        changes[number] = None if kind < 32 else choices.bytes(kind % 40)
    last = extension(choices.byte(), choices.bytes(choices.below(20))) if choices.below(3) == 1 else b""
    suites = u16(0x1301, 0x1303) if choices.below(4) else choices.bytes(choices.below(9))
    message = bytearray(hello(changes, last=last, suites=suites))
    for _ in range(choices.below(4)):
        message[choices.byte() % len(message)] ^= choices.byte()
    return b"".join(record(piece) for piece in pieces(bytes(message), 1 + choices.byte())) + choices.rest
