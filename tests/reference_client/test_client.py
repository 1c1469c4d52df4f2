"""The asyncio client on a relay with faults: sessions, failures to connect, refusals, lost connections."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cbspec.protocol.messages import Auth, Heartbeat, Hello, HelloResponse, TunnelInfo
from cbspec.protocol.state import State
from cbspec.tls_contexts import Trust, server_context
from cbspec_client import (
    AnswerTimeout,
    AuthenticatedConnection,
    CertificateNotTrusted,
    ConnectFailed,
    ConnectionLost,
    GreetedConnection,
    Heartbeats,
    Misuse,
    NewConnection,
    Passed,
    RelayMisbehaved,
    ServerUnavailable,
    TlsRefused,
    Transport,
    Tunnel,
    connect,
)
from cbspec_client.link import reason
from cbspec_client.stages import ConnectionStage
from cbspec_simulator import LocalRelay
from tests.reference_client.conftest import TIMEOUTS, TOKEN, authenticate, connected, requests
from tests.support.relay import serving
from tests.support.tls import write_certificates


def test_a_failure_on_every_address_is_told_without_python() -> None:
    failed = "[Errno 111] Connect call failed"
    error = OSError(f"Multiple exceptions: {failed} ('192.0.2.1', 80), {failed} ('2001:db8::1', 80, 0, 0)")
    assert reason(error) == "none of its addresses can be reached: 192.0.2.1, 2001:db8::1"


@pytest.mark.parametrize("transport", Transport)
async def test_a_whole_session(relay_module: LocalRelay, transport: Transport) -> None:
    passed: list[Passed] = []
    token = relay_module.token()
    async with connected(relay_module, transport=transport, exchange=passed.append) as fresh:
        states = [fresh.state]
        greeted = await fresh.hello(["tls", "heartbeat"])
        assert isinstance(greeted.greeting, HelloResponse)
        states.append(greeted.state)
        session = await greeted.authenticate(token)
        assert (session.client_id, session.tenant_id) == ("user123", "tenant-001")
        states.append(session.state)
        tunnel = await session.open_tunnel("rdp", 3389, "192.168.1.100", 3390)
        assert tunnel == Tunnel("rdp", "tenant-001", 3389, "192.168.1.100", 3390)
        assert await session.heartbeat() >= 0
    assert [*states, session.state] == list(State)
    assert [each.message for each in passed if each.sent] == [
        Hello(features=("tls", "heartbeat")),
        Auth(token),
        TunnelInfo("rdp", "tenant-001", 3389, "192.168.1.100", 3390),
        Heartbeat(),
    ]
    assert [each.sent for each in passed] == [True, False] * 4
    assert token not in repr(passed)
    assert (await relay_module.transcript.async_wait_for("ended")).type in ("close_notify", "close_frame")
    with pytest.raises(ConnectionLost, match="closed here"):
        await session.heartbeat()


def test_no_stage_offers_a_request_that_is_out_of_order() -> None:
    stages = (ConnectionStage, NewConnection, GreetedConnection, AuthenticatedConnection)
    assert [{name for name in vars(stage) if not name.startswith("_")} for stage in stages] == [
        {"state", "address", "failure", "until_disturbed"},
        {"hello"},
        {"authenticate"},
        {"open_tunnel", "heartbeat", "heartbeats"},
    ]


async def test_a_refusal_leaves_the_connection_usable(relay_module: LocalRelay) -> None:
    async with connected(relay_module) as fresh:
        greeted = await fresh.hello()
        with relay_module.fault("unavailable"), pytest.raises(ServerUnavailable):
            await greeted.authenticate(relay_module.token())
        session = await greeted.authenticate(relay_module.token())
        with pytest.raises(Misuse, match="already authenticated"):
            await greeted.authenticate(relay_module.token())
        await session.open_tunnel("t", 1, "127.0.0.1", 2, tenant_id="tenant-001")
    assert requests(relay_module) == ["hello", "auth", "auth", "tunnel_info"]


async def test_an_unsolicited_error_is_raised_by_the_next_call(relay_module: LocalRelay) -> None:
    body = {"type": "error", "code": "server_unavailable", "message": "draining"}
    with relay_module.fault("unsolicited", body=body, when={"message": "heartbeat_response"}):
        async with connected(relay_module) as fresh:
            session = await authenticate(fresh, relay_module)
            await session.heartbeat()
            with pytest.raises(ServerUnavailable):
                await session.until_disturbed()
            relay_module.drop(how="close")
            with pytest.raises(ConnectionLost, match="closed"):
                await session.until_disturbed()
            with pytest.raises(ConnectionLost, match="ended already"):
                await session.heartbeat()
    assert requests(relay_module).count("heartbeat") == 1


@pytest.mark.parametrize(
    ("kind", "params", "error"),
    [
        ("wrong-type", {}, RelayMisbehaved),
        ("drop", {}, AnswerTimeout),
        ("close", {"bytes": 20}, ConnectionLost),
        ("close-without-notify", {"bytes": 20}, ConnectionLost),
        ("reset", {"bytes": 20}, ConnectionLost),
    ],
)
async def test_a_failure_ends_the_connection(
    relay_module: LocalRelay, kind: str, params: dict[str, Any], error: type[Exception]
) -> None:
    timeouts = replace(TIMEOUTS, answer=0.2) if kind == "drop" else TIMEOUTS
    with relay_module.fault(kind, when={"message": "hello_response"}, **params):
        async with connected(relay_module, timeouts=timeouts) as client:
            with pytest.raises(error) as caught:
                await client.hello()
            with pytest.raises(ConnectionLost, match=f"ended already: {re.escape(str(caught.value))}"):
                await client.hello()
            assert client.state is State.CLOSED
    assert requests(relay_module) == ["hello"]


async def test_the_answer_to_a_cancelled_request_is_awaited_and_discarded(relay_module: LocalRelay) -> None:
    async with connected(relay_module) as client:
        session = await authenticate(client, relay_module)
        with relay_module.fault("hold", name="held", when={"message": "heartbeat", "times": 1}) as held:
            request = asyncio.create_task(session.heartbeat())
            waiting = asyncio.create_task(session.open_tunnel("t", 1, "127.0.0.1", 2))
            await relay_module.transcript.async_wait_for("fault", "held")
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert requests(relay_module) == ["hello", "auth", "heartbeat"]
            waiting = asyncio.create_task(session.open_tunnel("u", 1, "127.0.0.1", 2))
            held.release()
            assert (await waiting).tunnel_id == "u"
    assert requests(relay_module) == ["hello", "auth", "heartbeat", "tunnel_info"]


async def test_a_cancelled_request_that_is_never_answered_ends_the_connection(relay_module: LocalRelay) -> None:
    with relay_module.fault("drop", when={"message": "heartbeat"}):
        async with connected(relay_module) as client:
            session = await authenticate(client, relay_module)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await session.heartbeat(limit=0.05)
            with pytest.raises(AnswerTimeout, match="no answer to the heartbeat"):
                await session.open_tunnel("t", 1, "127.0.0.1", 2)
            assert session.state is State.CLOSED
    assert requests(relay_module) == ["hello", "auth", "heartbeat"]


async def test_a_call_cancelled_while_it_waits_for_its_turn_has_no_effect(relay_module: LocalRelay) -> None:
    async with connected(relay_module) as client:
        session = await authenticate(client, relay_module)
        first = asyncio.create_task(session.heartbeat())
        second, third = (asyncio.create_task(session.open_tunnel(name, 1, "127.0.0.1", 2)) for name in "tu")
        await asyncio.sleep(0)
        second.cancel()
        await first
        with pytest.raises(asyncio.CancelledError):
            await second
        assert (await third).tunnel_id == "u"
    assert [entry.message["tunnel_id"] for entry in relay_module.transcript.requests("tunnel_info")] == ["u"]


# ---------------------------------------------------------------- failures to connect


async def attempt(port: int, host: str = "127.0.0.1", **options: Any) -> None:  # noqa: ANN401 - those of `connect`
    """Connect and send a token."""
    async with connect(host, port, **{"timeouts": TIMEOUTS, **options}) as client:
        await (await client.hello()).authenticate(TOKEN)


async def test_an_untrusted_relay_receives_no_token(relay_module: LocalRelay) -> None:
    impatient = replace(TIMEOUTS, connect=0.2, close=0.1)
    attempts: list[tuple[dict[str, Any], str, type[Exception], str]] = [
        ({"ca": Trust.SYSTEM}, "spelling", CertificateNotTrusted, "certificate"),
        ({"server_name": "elsewhere.example"}, "spelling", CertificateNotTrusted, r"elsewhere\.example"),
        ({"transport": "websocket"}, "certificate-unknown-ca", CertificateNotTrusted, "certificate"),
        ({}, "tls-1.2", TlsRefused, r"TLS 1\.3"),
        ({"timeouts": impatient}, "handshake-stall", ConnectFailed, r"within 0\.2 s"),
    ]
    for options, fault, kind, text in attempts:
        with relay_module.fault(fault), pytest.raises(kind, match=text):
            await attempt(relay_module.port, **{"ca": relay_module.ca_file, **options})
    assert requests(relay_module) == []


async def test_an_untrusted_relay_receives_an_alert(relay_module: LocalRelay, tmp_path: Path) -> None:
    context = server_context(write_certificates(tmp_path, "their") / "their-server.pem")

    def handshake(sock: socket.socket) -> None:
        context.wrap_socket(sock, server_side=True)

    refused, untrusted = pytest.raises(ssl.SSLError, match="UNKNOWN_CA"), pytest.raises(CertificateNotTrusted)
    with refused, serving(handshake) as endpoint, untrusted:
        await attempt(endpoint.port, ca=relay_module.ca_file)


async def test_a_name_can_be_required_and_verification_be_switched_off(relay_module: LocalRelay) -> None:
    anyone = {"ca": Trust.ANY, "server_name": "elsewhere.example"}
    for options in ({"server_name": "localhost"}, anyone, {"timeouts": replace(TIMEOUTS, close=0.0)}):
        async with connected(relay_module, **options) as client:
            await client.hello()


async def test_a_server_that_hangs_up_is_an_error(relay_module: LocalRelay) -> None:
    with serving(lambda sock: None) as endpoint, pytest.raises(ConnectFailed):
        await attempt(endpoint.port, ca=relay_module.ca_file)


async def test_invalid_arguments_raise_exceptions_of_the_family(relay_module: LocalRelay, tmp_path: Path) -> None:
    ca = relay_module.ca_file
    for host in ("no such host", "a" * 64 + ".invalid", "x\0y"):
        with pytest.raises((ConnectFailed, Misuse)):
            await attempt(1, host, ca=ca, server_name="relay.example")
    with pytest.raises(ConnectFailed):
        await attempt(65536, ca=ca)
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(Misuse, match="no certificate"):
        await attempt(1, ca=tmp_path / "empty.pem")
    with pytest.raises(Misuse, match=r"'udp'.*tcp, websocket"):
        await attempt(1, ca=ca, transport="udp")


async def test_a_cancelled_connect_leaves_nothing_open(relay_module: LocalRelay) -> None:
    gone = threading.Event()

    def silent(sock: socket.socket) -> None:
        while sock.recv(1024):
            pass
        gone.set()

    with serving(silent) as endpoint:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await attempt(endpoint.port, ca=relay_module.ca_file)
        assert await asyncio.to_thread(gone.wait, TIMEOUTS.connect)


def test_a_slow_name_server_delays_no_end(relay_module: LocalRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr("cbspec_client.reach.resolve", lambda host, port: [answer.wait()])
    impatient = replace(TIMEOUTS, connect=0.01)
    try:
        with pytest.raises(ConnectFailed, match="within"):  # the program's end waits for no look-up
            asyncio.run(attempt(1, "relay.example", ca=relay_module.ca_file, timeouts=impatient))
    finally:
        answer.set()


# ---------------------------------------------------------------- heartbeats in the background


def heartbeats(relay: LocalRelay) -> int:
    return requests(relay).count("heartbeat")


async def test_heartbeats_are_sent_between_other_requests(relay_module: LocalRelay) -> None:
    async with connected(relay_module) as client:
        session = await authenticate(client, relay_module)
        async with session.heartbeats(Heartbeats(0.01)):
            for number in range(3):
                await relay_module.transcript.async_wait_for("request", "heartbeat", count=number + 1)
                await session.open_tunnel(f"t{number}", 1, "127.0.0.1", 2)
        sent = heartbeats(relay_module)
        async with session.heartbeats(Heartbeats(3600)):  # leaving it waits for no interval
            pass
        await session.heartbeat()
        assert heartbeats(relay_module) == sent + 1


@pytest.mark.parametrize("kind", ["drop", "close", "close-without-notify", "reset"])
async def test_a_relay_that_is_gone_ends_the_body(relay_module: LocalRelay, kind: str) -> None:
    lost, beat = kind != "drop", 0.05 if kind == "drop" else 20.0
    with relay_module.fault(kind, when={"message": "heartbeat"}):
        async with connected(relay_module) as client:
            session = await authenticate(client, relay_module)
            with pytest.raises(ConnectionLost if lost else AnswerTimeout, match="connection" if lost else r"0\.1 s"):
                async with session.heartbeats(Heartbeats(0.01, timeout=beat, misses=1)):
                    await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert heartbeats(relay_module) == 1


async def test_a_refused_heartbeat_ends_the_body(relay_module: LocalRelay) -> None:
    sequence = [{"kind": "pass"}, {"kind": "error", "code": "server_unavailable"}]
    with relay_module.fault(sequence=sequence, when={"message": "heartbeat"}):
        async with connected(relay_module) as client:
            session = await authenticate(client, relay_module)
            with pytest.raises(ServerUnavailable):
                async with session.heartbeats(Heartbeats(0.01)):
                    await asyncio.Event().wait()
    assert heartbeats(relay_module) == 2


async def test_a_cancellation_of_the_body_is_passed_on(relay_module: LocalRelay) -> None:
    async with connected(relay_module) as client:
        session = await authenticate(client, relay_module)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), session.heartbeats(Heartbeats(0.01)):
                await asyncio.Event().wait()
        await session.heartbeat()
