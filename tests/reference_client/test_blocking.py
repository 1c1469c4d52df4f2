"""The blocking client against a relay over real sockets, and against one that does what a fault says."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from cbspec.protocol.messages import Auth, AuthResponse, Error, Heartbeat, HeartbeatResponse, Hello, HelloResponse
from cbspec.protocol.tls import Trust, client_context
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

PATIENCE = 20.0


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
    with opened(relay, transport, passed) as client:
        assert isinstance(client.ask(Hello(), PATIENCE), HelloResponse)
        assert isinstance(client.ask(Auth(relay.token()), PATIENCE), AuthResponse)
        client.listen(0.01)
        assert client.ask(Heartbeat(), PATIENCE) == HeartbeatResponse()
    assert isinstance(client.failure, ConnectionLost)
    assert [message.sent for message in passed] == [True, False] * 3


def test_it_comes_from_the_address_that_is_named(relay: LocalRelay) -> None:
    with opened(relay, source="127.0.0.9") as client:
        client.ask(Hello(), PATIENCE)
        assert [connection.address for connection in relay.connections] == ["127.0.0.9"]


def test_a_refusal_is_an_answer_and_the_session_goes_on(relay: LocalRelay) -> None:
    with opened(relay) as client, relay.fault("error", code="rate_limit_exceeded", when={"nth": 1}):
        answer = client.ask(Hello(), PATIENCE)
        assert isinstance(answer, Error)
        assert answer.code == "rate_limit_exceeded"
        assert isinstance(client.ask(Hello(), PATIENCE), HelloResponse)


def test_no_answer_in_time_ends_the_connection(relay: LocalRelay) -> None:
    with opened(relay) as client, relay.fault("drop", when={"message": "hello_response"}):
        began = time.monotonic()
        with pytest.raises(AnswerTimeout, match=r"^no answer to the hello within 0\.05 s$"):
            client.ask(Hello(), 0.05)
        assert time.monotonic() - began < PATIENCE
        with pytest.raises(AnswerTimeout):
            client.ask(Hello(), PATIENCE)


@pytest.mark.parametrize("kind", ["reset", "close", "close-without-notify"])
def test_a_connection_that_ends(relay: LocalRelay, kind: str) -> None:
    with opened(relay) as client, relay.fault(kind, when={"message": "hello"}), pytest.raises(ConnectionLost):
        client.ask(Hello(), PATIENCE)


def test_an_answer_that_nobody_asked_for_is_noticed_later_at_the_latest_at_the_end(relay: LocalRelay) -> None:
    passed: list[Passed] = []
    with relay.fault("duplicate", when={"message": "hello_response"}):
        with opened(relay, passed=passed) as client:
            client.ask(Hello(), PATIENCE)
        assert isinstance(client.failure, RelayMisbehaved)
        assert client.failure.requirement == "CB-MSG-004"
    assert [message.sent for message in passed] == [True, False, False]


@pytest.mark.parametrize("transport", [*Transport])
def test_the_answer_behind_a_wrong_one_can_still_be_read(relay: LocalRelay, transport: Transport) -> None:
    passed: list[Passed] = []
    fault = relay.fault("unsolicited", place="before", when={"message": "hello_response"})
    with fault, opened(relay, transport, passed) as client:
        with pytest.raises(RelayMisbehaved):
            client.ask(Hello(), PATIENCE)
        client.follow(PATIENCE)
    texts = [message.text for message in passed if not message.sent]
    assert [b"heartbeat_response" in text for text in texts] == [True, False]


def test_nothing_need_follow_a_wrong_answer(relay: LocalRelay) -> None:
    with relay.fault("wrong-type", when={"message": "hello_response"}), opened(relay) as client:
        with pytest.raises(RelayMisbehaved):
            client.ask(Hello(), PATIENCE)
        began = time.monotonic()
        client.follow(0.05)
        assert 0.05 <= time.monotonic() - began < PATIENCE


def test_an_error_that_comes_unasked_is_raised_by_the_next_call(relay: LocalRelay) -> None:
    answer = {"type": "error", "code": "server_unavailable", "message": "going down"}
    with opened(relay) as client, relay.fault("unsolicited", body=answer, when={"message": "hello_response"}):
        client.ask(Hello(), PATIENCE)
        with pytest.raises(ServerUnavailable):
            client.listen(PATIENCE)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    session = ClientSession(client_context(Trust.NOBODY_CHECKS), "x")
    with pytest.raises(ConnectFailed, match=rf"^127\.0\.0\.1:{port}: "):
        BlockingClient.open(session, "127.0.0.1", port, limit=1)


def test_what_isn_t_trusted(relay: LocalRelay) -> None:
    session = ClientSession(relay.ssl_context(), "another.example")
    with pytest.raises(CertificateNotTrusted):
        BlockingClient.open(session, *relay.address, limit=PATIENCE)


def test_a_handshake_that_doesn_t_end(relay: LocalRelay) -> None:
    session = ClientSession(relay.ssl_context(), relay.host)
    with relay.fault("handshake-stall"), pytest.raises(ConnectFailed, match=r"no connection within 0\.05 s$"):
        BlockingClient.open(session, *relay.address, limit=0.05, linger=0.05)


def test_a_handshake_that_is_refused(relay: LocalRelay) -> None:
    with relay.fault("handshake-alert"), pytest.raises(TlsRefused):
        opened(relay)


def test_who_is_interrupted_doesn_t_wait_for_the_relay(relay: LocalRelay) -> None:
    began = time.monotonic()
    with relay.fault("half-close"), pytest.raises(KeyboardInterrupt), opened(relay):
        raise KeyboardInterrupt
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("reset", [False, True])
def test_who_vanishes_leaves_nothing_behind(relay: LocalRelay, reset: bool) -> None:
    client = opened(relay)
    client.ask(Hello(), PATIENCE)
    client.vanish(reset=reset)
    deadline = time.monotonic() + PATIENCE
    while relay.connections and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not relay.connections
