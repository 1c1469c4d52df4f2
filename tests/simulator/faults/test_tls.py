"""TLS faults, seen by a client that verifies certificates."""

from __future__ import annotations

import ssl
import time
from typing import Final

import pytest

from tests.simulator.faults.probe import ProbedRelay, Show, prove
from tests.support.client import RawClient
from tests.support.messages import HELLO


def _handshake(relay: ProbedRelay, transport: str) -> str:
    """Return the answer to a hello, or why the handshake failed."""
    with RawClient(relay.address, transport) as wire:
        try:
            wire.handshake().upgraded()
        except ssl.SSLCertVerificationError as error:
            return error.verify_message.partition(",")[0]
        except ssl.SSLError as error:
            return str(error.reason).lower()
        return ", ".join(wire.names(HELLO))


def _version(relay: ProbedRelay, transport: str) -> object:
    with relay.wire(transport) as wire:
        assert wire.names(HELLO) == ["hello_response"]
        return wire.tls_version


def _only_tls_1_3(relay: ProbedRelay, transport: str) -> str:
    with RawClient(relay.address, transport) as wire:
        wire.context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            wire.handshake()
        except ssl.SSLError as error:
            return str(error.reason).lower()
        return "fine"


def _expires_soon(relay: ProbedRelay, transport: str) -> bool:
    """Whether the (valid) certificate expires within a minute."""
    with relay.wire(transport) as wire:
        assert wire.names(HELLO) == ["hello_response"]
        return ssl.cert_time_to_seconds(wire.certificate["notAfter"]) - time.time() < 61


def _first_flight(relay: ProbedRelay, transport: str) -> tuple[int, str]:
    """Return the bytes (500 at most) that answer a ClientHello before another connection is served, and the end."""
    with RawClient(relay.address, transport) as wire:
        wire.send_client_hello()
        with relay.wire(transport) as other:
            assert other.names(HELLO) == ["hello_response"]
        return min(wire.bytes_below_tls(), 500), wire.ended


def _after_handshake(relay: ProbedRelay, transport: str) -> list[str]:
    """Return the answer or error after the client's half of the handshake."""
    with RawClient(relay.address, transport) as wire:
        wire.handshake()
        try:
            return wire.upgraded().names(HELLO)
        except ssl.SSLError as error:
            return [str(error.reason).lower()]


_FIRST: Final = {"when": {"connection": 1}}

SHOWS: Final[dict[str, tuple[Show, ...]]] = {
    "tls-1.2": (
        Show(_version, "TLSv1.3", "TLSv1.2"),
        Show(_only_tls_1_3, "fine", "tlsv1_alert_protocol_version"),
    ),
    "certificate-expired": (Show(_handshake, "hello_response", "certificate has expired"),),
    "certificate-not-yet-valid": (Show(_handshake, "hello_response", "certificate is not yet valid"),),
    "certificate-expiring": (
        Show(_expires_soon, False, True, {"seconds": 60}),
        Show(_handshake, "hello_response", "hello_response", {"seconds": 60}),
    ),
    "certificate-other-name": (Show(_handshake, "hello_response", "Hostname mismatch"),),
    "certificate-unknown-ca": (Show(_handshake, "hello_response", "unable to get local issuer certificate"),),
    "client-certificate": (Show(_after_handshake, ["hello_response"], ["tlsv13_alert_certificate_required"]),),
    "handshake-stall": (
        Show(_first_flight, (500, ""), (0, ""), _FIRST),
        Show(_first_flight, (500, ""), (100, ""), {"bytes": 100, **_FIRST}),
    ),
    "handshake-alert": (
        Show(_handshake, "hello_response", "sslv3_alert_handshake_failure"),
        Show(_handshake, "hello_response", "tlsv1_alert_internal_error", {"alert": "internal_error"}),
    ),
}


@pytest.mark.parametrize("kind", SHOWS)
async def test_kinds_on_the_wire(kind: str) -> None:
    await prove(kind, SHOWS[kind])
