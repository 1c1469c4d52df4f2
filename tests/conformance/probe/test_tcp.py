"""TCP connections: bounded waits, and an end of the stream that differs from a time-out."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from cbspec.profile.profile import Endpoint
from cbspec_conformance.probe.tcp import Tcp, Unreachable, tcp_connect
from tests.support.relay import read_to_end, serving

TIMEOUT = 20.0


@contextlib.contextmanager
def pair() -> Iterator[tuple[Tcp, socket.socket]]:
    """Give both ends of a connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Tcp(ours), theirs


def test_a_failure_to_connect_gives_the_systems_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(Unreachable):
            tcp_connect(endpoint, "192.0.2.1", TIMEOUT)  # no address of this machine
    with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{endpoint.port}: .*refused"):
        tcp_connect(endpoint, None, TIMEOUT)


@pytest.mark.parametrize("wait", [0.0, 0.002, 0.25, TIMEOUT])
@pytest.mark.parametrize("end", [False, True])
def test_data_the_end_and_a_time_out_differ(wait: float, end: bool) -> None:
    with pair() as (ours, theirs):
        if wait < TIMEOUT:
            began = time.monotonic()
            assert ours.receive(wait) is None
            assert time.monotonic() - began >= wait
            assert not ours.has_unread(wait)
        if end:
            theirs.shutdown(socket.SHUT_WR)
        else:
            theirs.sendall(b"something")
        assert ours.has_unread(wait)
        assert ours.receive(wait) == (b"" if end else b"something")


@pytest.mark.parametrize("narrow", [False, True])
def test_all_data_is_sent_without_delay_and_from_the_source(narrow: bool) -> None:
    received: list[int] = []
    script = serving(lambda sock: received.append(len(read_to_end(sock))))
    with script as endpoint, tcp_connect(endpoint, "127.0.0.9", TIMEOUT, narrow=narrow) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        ours = Tcp(sock)
        assert ours.local == ("127.0.0.9", sock.getsockname()[1])
        ours.send(bytes(100_000 if narrow else 5_000_000), TIMEOUT)
        ours.finish()
        assert ours.receive(TIMEOUT) == b""
    assert received == [100_000 if narrow else 5_000_000]


@pytest.mark.parametrize("timeout", [0.0, 0.05])
def test_sending_to_a_peer_that_reads_nothing_times_out(timeout: float) -> None:
    with pair() as (ours, _), pytest.raises(TimeoutError):
        ours.send(bytes(10_000_000), timeout)
