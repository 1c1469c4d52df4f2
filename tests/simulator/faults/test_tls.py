"""Faults of TLS, seen by a client that looks closely."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import replace
from typing import Final

import pytest

from cbspec_simulator import Simulator
from cbspec_simulator.faults import tls
from cbspec_simulator.faults.fault import Fault
from tests.simulator.faults.probe import CONFIG, ProbedRelay, Show, cases, show
from tests.support.client import RawClient
from tests.support.messages import HELLO


def _handshake(relay: ProbedRelay, transport: str) -> str:
    """Say what comes of the handshake of a client that checks everything, or what it holds against the certificate."""
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


def _refuses_older(relay: ProbedRelay, transport: str) -> str:
    """Say what a client meets that speaks TLS 1.3 only."""
    with RawClient(relay.address, transport) as wire:
        wire.context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            wire.handshake()
        except ssl.SSLError as error:
            return str(error.reason).lower()
        return "fine"


def _expires_soon(relay: ProbedRelay, transport: str) -> bool:
    """Say whether the certificate, which is good, ends within a minute."""
    with relay.wire(transport) as wire:
        assert wire.names(HELLO) == ["hello_response"]
        return ssl.cert_time_to_seconds(wire.certificate["notAfter"]) - time.time() < 61


def _first_flight(relay: ProbedRelay, transport: str) -> tuple[int, str]:
    """Return how much comes in answer to a ClientHello until another connection is served, and what ends it."""
    with RawClient(relay.address, transport) as wire:
        wire.send_client_hello()
        with relay.wire(transport) as other:
            assert other.names(HELLO) == ["hello_response"]
        return min(wire.bytes_below_tls(), 500), wire.ended


def _end_of_handshake(relay: ProbedRelay, transport: str) -> list[str]:
    """Say whether the client's half of the handshake is done, and what comes then."""
    with RawClient(relay.address, transport) as wire:
        wire.handshake()
        try:
            return ["done", *wire.upgraded().names(HELLO)]
        except ssl.SSLError as error:
            return ["done", str(error.reason).lower()]


_FIRST: Final = {"when": {"connection": 1}}

SHOWS: Final[dict[str, tuple[Show, ...]]] = {
    "tls-1.2": (
        Show(_version, "TLSv1.3", "TLSv1.2"),
        Show(_refuses_older, "fine", "tlsv1_alert_protocol_version"),
    ),
    "certificate-expired": (Show(_handshake, "hello_response", "certificate has expired"),),
    "certificate-not-yet-valid": (Show(_handshake, "hello_response", "certificate is not yet valid"),),
    "certificate-expiring": (
        Show(_expires_soon, False, True, {"seconds": 60}),
        Show(_handshake, "hello_response", "hello_response", {"seconds": 60}),
    ),
    "certificate-other-name": (Show(_handshake, "hello_response", "Hostname mismatch"),),
    "certificate-unknown-ca": (Show(_handshake, "hello_response", "unable to get local issuer certificate"),),
    "client-certificate": (
        Show(_end_of_handshake, ["done", "hello_response"], ["done", "tlsv13_alert_certificate_required"]),
    ),
    "handshake-stall": (
        Show(_first_flight, (500, ""), (0, ""), _FIRST),
        Show(_first_flight, (500, ""), (100, ""), {"bytes": 100, **_FIRST}),
    ),
    "handshake-alert": (
        Show(_handshake, "hello_response", "sslv3_alert_handshake_failure"),
        Show(_handshake, "hello_response", "tlsv1_alert_internal_error", {"alert": "internal_error"}),
    ),
}


@pytest.mark.parametrize(("kind", "shown", "transport"), cases(SHOWS))
async def test_each_does_what_it_says(kind: str, shown: Show, transport: str) -> None:
    await show(kind, shown, transport)


def test_each_is_shown() -> None:
    assert list(SHOWS) == [kind.name for kind in tls.KINDS]


async def test_old_tls_with_a_bad_certificate() -> None:
    config = replace(CONFIG, faults=tuple(Fault.read({"kind": kind}) for kind in ("tls-1.2", "certificate-expired")))
    async with Simulator(config) as simulator:
        relay = ProbedRelay(simulator)
        assert await asyncio.to_thread(_refuses_older, relay, "tcp") == "tlsv1_alert_protocol_version"
        assert await asyncio.to_thread(_handshake, relay, "tcp") == "certificate has expired"
