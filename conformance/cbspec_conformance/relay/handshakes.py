"""Hand-made TLS handshakes: bytes without TLS, and the answers to them."""

from __future__ import annotations

import contextlib
import time

from cbspec_conformance.probe.tcp import tcp_connect
from cbspec_conformance.record.transcript import End
from cbspec_conformance.target.relay import RelayUnderTest

_ENOUGH = 7  # bytes of a whole alert, or of the beginning of a handshake record
_ALERT, _HANDSHAKE = b"\x15", b"\x16"  # the first byte of a record
_ANSWER = "an answer to bytes without TLS"


def tls_works(relay: RelayUnderTest) -> None:
    """Check that TLS 1.3 works. A control."""
    with relay.control("a TLS 1.3 handshake"):
        relay.connect(transport="tcp").close()


def is_server_hello(received: bytes) -> bool:
    """Whether bytes begin with a handshake record: the relay accepts the ClientHello."""
    return received.startswith(_HANDSHAKE)


def is_tls(received: bytes) -> bool:
    """Whether bytes begin with a handshake record or an alert."""
    return received.startswith((_HANDSHAKE, _ALERT))


def send_plain(relay: RelayUnderTest, data: bytes) -> tuple[bytes, End | None]:
    """Send bytes without TLS; return the answer, and how the relay ended the connection within the time-out.

    The answer stops after the beginning of a TLS record: the rest doesn't matter.
    """
    timeout = relay.tempo.timeout(_ANSWER)
    relay.room.take_connection()
    received = b""
    with contextlib.closing(tcp_connect(relay.endpoint, relay.connector.source, timeout)) as sock:
        deadline = time.monotonic() + timeout
        try:
            sock.sendall(data)
            while len(received) < 4096 and not (is_tls(received) and len(received) >= _ENOUGH):
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
                part = sock.recv(4096)
                if not part:
                    return received, End.EOF
                received += part
        except TimeoutError:
            relay.tempo.waited_for_nothing(_ANSWER)
        except OSError:
            return received, End.RESET
    return received, None
