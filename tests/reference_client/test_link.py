"""How connections fail to come about, and that no token leaves then."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from cbspec.protocol.messages import Hello
from cbspec.protocol.tls import Trust
from cbspec_client import (
    CertificateNotTrusted,
    Client,
    ConnectFailed,
    ConnectionLost,
    Misuse,
    TlsRefused,
    Transport,
    connect,
)
from tests.reference_client.conftest import TIMEOUTS, Connect, MakeRelay
from tests.reference_client.test_client import TOKEN, opened
from tests.support.relay import Ending, ScriptedRelay, except_for


async def use(client: Client) -> None:
    await client.hello()
    await client.authenticate(TOKEN)


async def attempt(port: int, **options: object) -> None:
    """Do what a user does: connect and show the token."""
    async with connect("127.0.0.1", port, **{"timeouts": TIMEOUTS, **options}) as client:  # type: ignore[arg-type]  # options of each test
        await use(client)


@pytest.mark.parametrize("websocket", [False, True])
async def test_with_an_unknown_ca_no_byte_of_a_token_leaves(
    relay: MakeRelay, certificates: Path, websocket: bool
) -> None:
    async with relay() as server:
        with pytest.raises(CertificateNotTrusted, match="certificate"):
            await attempt(server.port, ca=certificates / "their-ca.pem", transport="websocket" if websocket else "tcp")
        await server.ended()
        assert server.messages == []
        # The relay is told why: an alert, not a bare end.
        assert server.failures == ["tlsv1 alert unknown ca"]


async def test_the_systems_cas_vouch_for_no_test_relay(relay: MakeRelay) -> None:
    async with relay() as server:
        with pytest.raises(CertificateNotTrusted):
            await attempt(server.port)
        assert server.messages == []


async def test_with_another_name_no_byte_of_a_token_leaves(relay: MakeRelay, ca: Path) -> None:
    async with relay() as server:
        with pytest.raises(CertificateNotTrusted, match=r"elsewhere\.example"):
            await attempt(server.port, ca=ca, server_name="elsewhere.example")
        await server.ended()
        assert server.messages == []
        assert server.failures == ["sslv3 alert bad certificate"]


async def test_a_name_of_its_own_may_be_asked_for(relay: MakeRelay, ca: Path) -> None:
    async with relay() as server:
        await attempt(server.port, ca=ca, server_name="relay.example")


async def test_who_checks_nothing_is_served_by_anybody(relay: MakeRelay) -> None:
    async with relay() as server:
        await attempt(server.port, ca=Trust.NOBODY_CHECKS, server_name="elsewhere.example")


async def test_a_relay_that_offers_only_tls_1_2_gets_no_token(certificates: Path, ca: Path) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.load_cert_chain(certificates / "our-server.pem")
    async with ScriptedRelay(old, except_for({})).serving() as server:
        with pytest.raises(TlsRefused, match=r"TLS 1\.3"):
            await attempt(server.port, ca=ca)
        await server.ended()
        assert server.messages == []


async def test_a_port_that_speaks_no_tls_is_told_apart(ca: Path) -> None:
    async with ScriptedRelay(None, except_for({})).serving() as server:
        with pytest.raises(TlsRefused, match="wrong version number"):
            await attempt(server.port, ca=ca)


async def test_a_port_where_nobody_listens_is_refused(ca: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed, match="refused"):
            await attempt(unused.getsockname()[1], ca=ca)


async def test_a_port_that_says_nothing_is_given_up_in_time(ca: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ConnectFailed, match=r"within 0\.2 s"):
            await attempt(silent.getsockname()[1], ca=ca, timeouts=replace(TIMEOUTS, connect=0.2))


async def test_a_port_that_hangs_up_at_once_is_no_relay(ca: Path) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.transport.abort(), "127.0.0.1", 0)
    async with server:
        with pytest.raises(ConnectFailed):
            await attempt(server.sockets[0].getsockname()[1], ca=ca)


@pytest.mark.parametrize("host", ["no such host", "a" * 64 + ".invalid", "x\0y"])
async def test_a_host_that_cannot_be_is_an_error_of_the_family(ca: Path, host: str) -> None:
    with pytest.raises((ConnectFailed, Misuse)):
        async with connect(host, 1, ca=ca, server_name="relay.example", timeouts=TIMEOUTS):
            raise AssertionError


async def test_a_port_that_cannot_be_is_an_error_of_the_family(ca: Path) -> None:
    with pytest.raises(ConnectFailed):
        await attempt(65536, ca=ca)


async def test_files_and_names_that_cannot_be_are_said_so(tmp_path: Path, ca: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for file, text in (("empty.pem", "no certificate"), ("missing.pem", "No such file"), (".", "directory")):
        with pytest.raises(Misuse, match=text):
            await attempt(1, ca=tmp_path / file)
    with pytest.raises(Misuse, match="no transport 'udp'; there are: tcp, websocket"):
        await attempt(1, ca=ca, transport="udp")


async def test_both_addresses_of_this_machine_work(context: ssl.SSLContext, ca: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    for transport in Transport:
        relay = ScriptedRelay(context, except_for({}))
        async with (
            relay.serving("::1") as server,
            connect("::1", server.port, ca=ca, transport=transport, timeouts=TIMEOUTS) as client,
        ):
            await use(client)


async def test_a_relay_that_never_closes_holds_nobody_up(relay: MakeRelay, connecting: Connect) -> None:
    never = asyncio.Event()

    async def stubborn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.transport.abort()

    server = await asyncio.start_server(stubborn, "127.0.0.1", 0)
    async with server:
        with pytest.raises(ConnectFailed):
            async with connecting(
                server.sockets[0].getsockname()[1], timeouts=replace(TIMEOUTS, connect=0.1, close=0.1)
            ):
                raise AssertionError
        never.set()
    async with relay() as scripted, connecting(scripted.port, timeouts=replace(TIMEOUTS, close=0.0)) as client:
        await opened(client)


async def test_a_cancelled_connect_leaves_nothing_open(ca: Path) -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        while await reader.read(1024):
            pass
        gone.set()
        writer.transport.abort()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        task = asyncio.create_task(attempt(server.sockets[0].getsockname()[1], ca=ca))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone.wait()


@pytest.mark.parametrize("end", Ending)
async def test_a_relay_that_ends_at_once_is_noticed_at_hello(
    relay: MakeRelay, connecting: Connect, end: Ending
) -> None:
    async with relay(except_for({Hello: [end]})) as server, connecting(server.port) as client:
        with pytest.raises(ConnectionLost):
            await client.hello()
