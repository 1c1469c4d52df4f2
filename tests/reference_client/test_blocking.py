"""The blocking client against a local relay with faults."""

from __future__ import annotations

import socket
import time

import pytest

from cbspec.protocol.messages import Auth, AuthResponse, Error, Heartbeat, HeartbeatResponse, Hello, HelloResponse
from cbspec.tls_contexts import Trust, client_context
from cbspec_client import (
    AnswerTimeout,
    CertificateNotTrusted,
    ConnectFailed,
    ConnectionLost,
    Passed,
    RelayMisbehaved,
    ServerUnavailable,
    TlsRefused,
    Transport,
)
from cbspec_client.blocking import BlockingClient
from cbspec_client.session import ClientSession
from cbspec_simulator import LocalRelay
from tests.support.client import PATIENCE


def opened(
    relay: LocalRelay, transport: Transport = Transport.TCP, passed: list[Passed] | None = None
) -> BlockingClient:
    exchange = passed.append if passed is not None else None
    session = ClientSession(relay.ssl_context(), relay.host, transport=transport, exchange=exchange)
    return BlockingClient.open(session, *relay.address, limit=PATIENCE, source="127.0.0.9")


@pytest.mark.parametrize("transport", [*Transport])
def test_a_whole_session(relay_module: LocalRelay, transport: Transport) -> None:
    passed: list[Passed] = []
    with opened(relay_module, transport, passed) as client:
        assert isinstance(client.ask(Hello(), PATIENCE), HelloResponse)
        assert [connection.address for connection in relay_module.connections] == ["127.0.0.9"]
        assert isinstance(client.ask(Auth(relay_module.token()), PATIENCE), AuthResponse)
        client.listen(0.01)
        assert client.ask(Heartbeat(), PATIENCE) == HeartbeatResponse()
    assert isinstance(client.failure, ConnectionLost)
    assert [message.sent for message in passed] == [True, False] * 3


def test_failures_to_connect(relay_module: LocalRelay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectFailed, match=rf"^127\.0\.0\.1:{port}: "):
        BlockingClient.open(ClientSession(client_context(Trust.ANY), "x"), "127.0.0.1", port, limit=1)
    context, address = relay_module.ssl_context(), relay_module.address
    with pytest.raises(CertificateNotTrusted):
        BlockingClient.open(ClientSession(context, "another.example"), *address, limit=PATIENCE)
    with relay_module.fault("handshake-stall"), pytest.raises(ConnectFailed, match=r"no connection within 0\.05 s$"):
        BlockingClient.open(ClientSession(context, relay_module.host), *address, limit=0.05, linger=0.05)
    with relay_module.fault("handshake-alert"), pytest.raises(TlsRefused):
        opened(relay_module)


def test_an_interrupt_does_not_wait_for_the_relay(relay_module: LocalRelay) -> None:
    began = time.monotonic()
    with relay_module.fault("half-close"), pytest.raises(KeyboardInterrupt), opened(relay_module):
        raise KeyboardInterrupt
    assert time.monotonic() - began < PATIENCE


def test_refusals_lost_connections_and_missing_answers(relay_module: LocalRelay) -> None:
    with opened(relay_module) as client, relay_module.fault("error", code="rate_limit_exceeded", text="slow"):
        assert client.ask(Hello(), PATIENCE) == Error("rate_limit_exceeded", "slow")
    for kind in ("reset", "close", "close-without-notify"):
        fault = relay_module.fault(kind, when={"message": "hello"})
        with fault, opened(relay_module) as client, pytest.raises(ConnectionLost):
            client.ask(Hello(), PATIENCE)
    with opened(relay_module) as client, relay_module.fault("drop", when={"message": "hello_response"}):
        with pytest.raises(AnswerTimeout, match=r"hello within 0\.05 s"):
            client.ask(Hello(), 0.05)
        with pytest.raises(AnswerTimeout):
            client.ask(Hello(), PATIENCE)


@pytest.mark.parametrize("transport", [*Transport])
def test_unsolicited_answers_are_noticed(relay_module: LocalRelay, transport: Transport) -> None:
    passed: list[Passed] = []
    at = {"message": "hello_response"}
    with relay_module.fault("unsolicited", place="before", when=at), opened(relay_module, transport, passed) as client:
        with pytest.raises(RelayMisbehaved, match="CB-HEL-001"):
            client.ask(Hello(), PATIENCE)
        client.follow(PATIENCE)
    texts = [message.text for message in passed if not message.sent]
    assert [b"heartbeat_response" in text for text in texts] == [True, False]
    body = {"type": "error", "code": "server_unavailable", "message": "going down"}
    with opened(relay_module) as client, relay_module.fault("unsolicited", body=body, when=at):
        client.ask(Hello(), PATIENCE)
        with pytest.raises(ServerUnavailable):
            client.listen(PATIENCE)
