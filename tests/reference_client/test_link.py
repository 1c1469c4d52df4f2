"""Failures to connect, and that no token is sent then."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cbspec.tls_contexts import Trust
from cbspec_client import CertificateNotTrusted, ConnectFailed, Misuse, TlsRefused, Transport, connect
from tests.reference_client.conftest import TIMEOUTS, Connected, authenticate
from tests.support.relay import ScriptedRelay, serving


async def attempt(port: int, host: str = "127.0.0.1", **options: object) -> None:
    """Connect and send the token."""
    async with connect(host, port, **{"timeouts": TIMEOUTS, **options}) as client:  # type: ignore[arg-type]  # options of each test
        await authenticate(client)


@pytest.mark.parametrize("transport", Transport)
async def test_an_untrusted_relay_receives_an_alert_and_no_token(
    context: ssl.SSLContext, certificates: Path, transport: Transport
) -> None:
    elsewhere = {"ca": certificates / "our-ca.pem", "server_name": "elsewhere.example"}
    for options, text, alert in (
        ({"ca": certificates / "their-ca.pem"}, "certificate", "tlsv1 alert unknown ca"),
        ({"ca": Trust.SYSTEM}, "certificate", "tlsv1 alert unknown ca"),
        (elsewhere, r"elsewhere\.example", "bad certificate"),
    ):
        async with ScriptedRelay(context).serving() as server:
            with pytest.raises(CertificateNotTrusted, match=text):
                await attempt(server.port, transport=transport, **options)
            assert await server.ended() == ["TLS failed"]
            assert alert in server.failures[0]
            assert server.messages == []


async def test_a_name_can_be_required_and_verification_be_switched_off(connected: Connected) -> None:
    anyone = {"ca": Trust.ANY, "server_name": "elsewhere.example"}
    for options in ({"server_name": "relay.example"}, anyone, {"timeouts": replace(TIMEOUTS, close=0.0)}):
        async with connected(**options) as (client, _):
            await authenticate(client)


async def test_a_relay_without_tls_1_3_receives_no_token(certificates: Path, ca: Path) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.load_cert_chain(certificates / "our-server.pem")
    for context, text in ((old, r"TLS 1\.3"), (None, "wrong version number")):
        async with ScriptedRelay(context).serving() as server:
            with pytest.raises(TlsRefused, match=text):
                await attempt(server.port, ca=ca)
        assert server.messages == []


async def test_a_closed_port_a_silent_one_and_one_that_hangs_up_fail(ca: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed, match="refused"):
            await attempt(unused.getsockname()[1], ca=ca)
        unused.listen()
        with pytest.raises(ConnectFailed, match=r"within 0\.2 s"):
            await attempt(unused.getsockname()[1], ca=ca, timeouts=replace(TIMEOUTS, connect=0.2, close=0.1))
    with serving(lambda sock: None) as endpoint, pytest.raises(ConnectFailed):
        await attempt(endpoint.port, ca=ca)


async def test_invalid_arguments_raise_exceptions_of_the_family(tmp_path: Path, ca: Path) -> None:
    for host in ("no such host", "a" * 64 + ".invalid", "x\0y"):
        with pytest.raises((ConnectFailed, Misuse)):
            await attempt(1, host, ca=ca, server_name="relay.example")
    with pytest.raises(ConnectFailed):
        await attempt(65536, ca=ca)
    (tmp_path / "empty.pem").write_text("nothing")
    for file, text in (("empty.pem", "no certificate"), ("missing.pem", "No such file"), (".", "directory")):
        with pytest.raises(Misuse, match=text):
            await attempt(1, ca=tmp_path / file)
    with pytest.raises(Misuse, match=r"'udp'.*tcp, websocket"):
        await attempt(1, ca=ca, transport="udp")


async def test_a_cancelled_connect_leaves_nothing_open(ca: Path) -> None:
    gone = threading.Event()

    def silent(sock: socket.socket) -> None:
        while sock.recv(1024):
            pass
        gone.set()

    with serving(silent) as endpoint:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await attempt(endpoint.port, ca=ca)
        assert await asyncio.to_thread(gone.wait, TIMEOUTS.connect)
