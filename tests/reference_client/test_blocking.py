"""The blocking client against a local relay with faults."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

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


@pytest.fixture(scope="module")
def relay() -> Iterator[LocalRelay]:
    with LocalRelay() as relay:
        yield relay


def opened(
    relay: LocalRelay,
    transport: Transport = Transport.TCP,
    passed: list[Passed] | None = None,
    source: str | None = None,
) -> BlockingClient:
    exchange = passed.append if passed is not None else None
    session = ClientSession(relay.ssl_context(), relay.host, transport=transport, exchange=exchange)
    return BlockingClient.open(session, *relay.address, limit=PATIENCE, source=source)


@pytest.mark.parametrize("transport", [*Transport])
def test_a_whole_session(relay: LocalRelay, transport: Transport) -> None:
    passed: list[Passed] = []
    with opened(relay, transport, passed, source="127.0.0.9") as client:
        assert isinstance(client.ask(Hello(), PATIENCE), HelloResponse)
        assert "127.0.0.9" in [connection.address for connection in relay.connections]
        assert isinstance(client.ask(Auth(relay.token()), PATIENCE), AuthResponse)
        client.listen(0.01)
        assert client.ask(Heartbeat(), PATIENCE) == HeartbeatResponse()
    assert isinstance(client.failure, ConnectionLost)
    assert [message.sent for message in passed] == [True, False] * 3


def test_failures_to_connect(relay: LocalRelay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectFailed, match=rf"^127\.0\.0\.1:{port}: "):
        BlockingClient.open(ClientSession(client_context(Trust.ANY), "x"), "127.0.0.1", port, limit=1)
    with pytest.raises(CertificateNotTrusted):
        BlockingClient.open(ClientSession(relay.ssl_context(), "another.example"), *relay.address, limit=PATIENCE)
    session = ClientSession(relay.ssl_context(), relay.host)
    with relay.fault("handshake-stall"), pytest.raises(ConnectFailed, match=r"no connection within 0\.05 s$"):
        BlockingClient.open(session, *relay.address, limit=0.05, linger=0.05)
    with relay.fault("handshake-alert"), pytest.raises(TlsRefused):
        opened(relay)


def test_an_interrupt_does_not_wait_for_the_relay(relay: LocalRelay) -> None:
    began = time.monotonic()
    with relay.fault("half-close"), pytest.raises(KeyboardInterrupt), opened(relay):
        raise KeyboardInterrupt
    assert time.monotonic() - began < PATIENCE


def test_refusals_lost_connections_and_missing_answers(relay: LocalRelay) -> None:
    with opened(relay) as client, relay.fault("error", code="rate_limit_exceeded", when={"nth": 1}):
        answer = client.ask(Hello(), PATIENCE)
        assert isinstance(answer, Error)
        assert answer.code == "rate_limit_exceeded"
    for kind in ("reset", "close", "close-without-notify"):
        with opened(relay) as client, relay.fault(kind, when={"message": "hello"}), pytest.raises(ConnectionLost):
            client.ask(Hello(), PATIENCE)
    with opened(relay) as client, relay.fault("drop", when={"message": "hello_response"}):
        with pytest.raises(AnswerTimeout, match=r"hello within 0\.05 s"):
            client.ask(Hello(), 0.05)
        with pytest.raises(AnswerTimeout):
            client.ask(Hello(), PATIENCE)


@pytest.mark.parametrize("transport", [*Transport])
def test_unsolicited_answers_are_noticed(relay: LocalRelay, transport: Transport) -> None:
    passed: list[Passed] = []
    fault = relay.fault("unsolicited", place="before", when={"message": "hello_response"})
    with fault, opened(relay, transport, passed) as client:
        with pytest.raises(RelayMisbehaved, match="CB-HEL-001"):
            client.ask(Hello(), PATIENCE)
        client.follow(PATIENCE)
    texts = [message.text for message in passed if not message.sent]
    assert [b"heartbeat_response" in text for text in texts] == [True, False]
    body = {"type": "error", "code": "server_unavailable", "message": "going down"}
    with opened(relay) as client, relay.fault("unsolicited", body=body, when={"message": "hello_response"}):
        client.ask(Hello(), PATIENCE)
        with pytest.raises(ServerUnavailable):
            client.listen(PATIENCE)
        client.abort(reset=transport is Transport.TCP)
