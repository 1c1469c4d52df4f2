"""The TCP connection: bounded waits, and ends distinguished from silence."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cbspec.profile.profile import Endpoint
from cbspec_conformance.probe.tcp import Tcp, Unreachable, tcp_connect
from tests.support.relay import serving

TIMEOUT = 20.0
SHORT = 0.002
"""Seconds: a wait that uses select(); longer ones use poll()."""


@contextlib.contextmanager
def pair() -> Iterator[tuple[Tcp, socket.socket]]:
    """Yield both ends of a connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Tcp(ours), theirs


def test_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{endpoint.port}: .*refused"):
        tcp_connect(endpoint, None, TIMEOUT)


def test_foreign_source_address_is_an_error() -> None:
    with serving(lambda sock: None) as endpoint, pytest.raises(Unreachable):
        tcp_connect(endpoint, "192.0.2.1", TIMEOUT)


@pytest.mark.parametrize("narrow", [False, True])
def test_connection_has_the_source_address_and_no_delay(narrow: bool) -> None:
    with serving(lambda sock: None) as endpoint, tcp_connect(endpoint, "127.0.0.9", TIMEOUT, narrow=narrow) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert Tcp(sock).local == ("127.0.0.9", sock.getsockname()[1])


@pytest.mark.parametrize("wait", [0.0, SHORT, 0.02, TIMEOUT])
@pytest.mark.parametrize("end", [False, True])
def test_data_and_end_are_distinguished_from_silence(wait: float, end: bool) -> None:
    with pair() as (ours, theirs):
        if wait < TIMEOUT:
            assert ours.receive(wait) is None
            assert not ours.has_unread(wait)
        if end:
            theirs.shutdown(socket.SHUT_WR)
        else:
            theirs.sendall(b"something")
        assert ours.has_unread(wait)
        assert ours.receive(wait) == (b"" if end else b"something")


@given(st.floats(0.0, 0.03))
@example(0.25)
def test_wait_takes_its_full_time(wait: float) -> None:
    with pair() as (ours, _):
        began = time.monotonic()
        assert ours.receive(wait) is None
        assert time.monotonic() - began >= wait


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_everything_is_sent(size: int) -> None:
    received = bytearray()

    def read(sock: socket.socket) -> None:
        while data := sock.recv(100_000):
            received.extend(data)

    with serving(read) as endpoint, tcp_connect(endpoint, None, TIMEOUT) as sock:
        ours = Tcp(sock)
        ours.send(bytes(size), TIMEOUT)
        ours.finish()
        assert ours.receive(TIMEOUT) == b""
    assert len(received) == size


@pytest.mark.parametrize("timeout", [0.0, 0.05])
def test_sending_to_a_peer_that_does_not_read_times_out(timeout: float) -> None:
    with pair() as (ours, _):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            ours.send(bytes(10_000_000), timeout)
        assert timeout <= time.monotonic() - began < TIMEOUT


def test_reset_reaches_the_peer_over_tcp() -> None:
    seen: list[str] = []

    def read(sock: socket.socket) -> None:
        try:
            sock.sendall(b"x")
            sock.recv(1)
        except ConnectionResetError:
            seen.append("reset")

    with serving(read) as endpoint, tcp_connect(endpoint, None, TIMEOUT) as sock:
        ours = Tcp(sock)
        assert ours.receive(TIMEOUT) == b"x"
        ours.reset()
    assert seen == ["reset"]


def test_descriptors_above_the_limit_of_select_work() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2048, hard), hard))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        ours, theirs = (stack.enter_context(sock) for sock in socket.socketpair())
        os.dup2(ours.fileno(), 1500)
        high = Tcp(stack.enter_context(socket.socket(fileno=1500)))
        assert high.receive(SHORT) is None
        theirs.sendall(b"x")
        assert high.receive(SHORT) == b"x"
