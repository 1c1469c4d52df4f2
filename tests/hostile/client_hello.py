"""ClientHellos of Python's ssl as bytes, and plain TLS records."""

from __future__ import annotations

import contextlib
import ssl
from typing import Final


def client_hello(maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """Return the record that begins a handshake."""
    context, outgoing = ssl.create_default_context(), ssl.MemoryBIO()
    context.maximum_version = maximum
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


HELLO_RECORD: Final = client_hello()


def record(data: bytes, content: int = 22) -> bytes:
    """Return one plain TLS record."""
    return bytes([content]) + b"\x03\x01" + len(data).to_bytes(2, "big") + data
