"""The blocking TLS connection, against scripted servers, and the TCP connection below it."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from cbspec.profile.profile import Endpoint
from cbspec.tls_contexts import Trust, client_context
from cbspec_conformance.probe.tcp import Tcp, Unreachable, tcp_connect
from cbspec_conformance.probe.wire import HandshakeFailure, Wire, alert_name, open_wire
from cbspec_conformance.record.transcript import Bytes, Direction, End, Opened, Transcript
from tests.support.relay import Script, below_tls, over_tls, read_to_end, reset, server, serving, tolerant

TIMEOUT = 20.0
Connect = Callable[[Script], AbstractContextManager[Wire]]


def opened(endpoint: Endpoint, context: ssl.SSLContext, name: str = "127.0.0.1", timeout: float = TIMEOUT) -> Wire:
    """Return an open connection with a transcript of its own."""
    return open_wire(7, Transcript(), endpoint, context, timeout=timeout, name=name)


@pytest.fixture
def connection(certificates: Path) -> Connect:
    """Give a function that connects to a server with a script."""

    @contextmanager
    def connect(script: Script) -> Iterator[Wire]:
        with serving(script) as endpoint:
            wire = opened(endpoint, client_context(certificates / "our-ca.pem"))
            try:
                yield wire
            finally:
                wire.close()

    return connect


@pytest.fixture
def over(connection: Connect, certificates: Path) -> Connect:
    """Give a function that connects to a server with a script above TLS."""
    return lambda script: connection(over_tls(server(certificates / "our-server.pem"), script))


@pytest.fixture
def below(connection: Connect, certificates: Path) -> Connect:
    """Give a function that connects to a server with a script below TLS."""
    return lambda script: connection(below_tls(server(certificates / "our-server.pem"), script))


def read(wire: Wire, size: int = 1 << 20) -> bytes:
    """Return the data up to `size` bytes or the end of the connection."""
    data = b""
    while not wire.ended and len(data) < size:
        data += wire.receive(TIMEOUT)
    return data


def end_of(wire: Wire) -> End | None:
    return wire.ended.how if wire.ended else None


def test_data_is_carried_both_ways_and_recorded(over: Connect) -> None:
    def echo(tls: socket.socket) -> None:
        tls.sendall(b"first")  # in the same flight as the tickets
        while data := tls.recv(100):
            tls.sendall(data.upper())

    with over(echo) as wire:
        assert read(wire, 5) == b"first"
        assert (wire.receive(0.0), wire.receive(0.02), wire.ended) == (b"", b"", None)
        wire.send(b"one")
        assert read(wire, 3) == b"ONE"
        assert wire.close(TIMEOUT)
    opening, *others = wire._transcript.records
    assert isinstance(opening, Opened)
    assert (opening.tls, opening.transport, opening.connection) == ("TLSv1.3", "tcp", 7)
    assert opening.cipher.startswith("TLS_")
    carried = [(record.direction, record.data) for record in others if isinstance(record, Bytes)]
    assert carried == [(Direction.RECEIVED, b"first"), (Direction.SENT, b"one"), (Direction.RECEIVED, b"ONE")]
    assert end_of(wire) is End.OURS
    assert others[-1] is wire.ended


def close_notify(tls: ssl.SSLSocket) -> None:
    tls.sendall(b"bye")
    with contextlib.suppress(OSError):  # it waits for an answer
        tls.unwrap()


def bare_close(tls: ssl.SSLSocket) -> None:
    tls.sendall(b"bye")
    tls.shutdown(socket.SHUT_RDWR)


def reset_after_reading(tls: ssl.SSLSocket) -> None:
    tls.sendall(b"bye")
    assert tls.recv(100) == b"read"  # a reset may overtake unread data
    reset(tls)


@pytest.mark.parametrize(
    ("script", "sent", "how"),
    [
        (close_notify, b"", End.CLOSE_NOTIFY),
        (bare_close, b"", End.EOF),
        (reset_after_reading, b"", End.RESET),
        (reset_after_reading, b"more", End.RESET),  # sending meets the reset first
    ],
)
def test_data_before_the_end_is_read_first(script: Script, sent: bytes, how: End, over: Connect) -> None:
    with over(script) as wire:
        assert read(wire, 3) == b"bye"
        if how is End.RESET:
            wire.send(b"read")
            assert wire.has_unread(TIMEOUT)
            if sent:
                wire.send(sent)
        assert read(wire) == b""
        first = wire.ended
        assert end_of(wire) is how
        assert (how is End.RESET) == bool(first and first.detail)
        wire.finish(End.WEBSOCKET_CLOSE, "1000")
        wire.reset()
        wire.close(1.0)
        wire.send(b"more")
        assert (wire.ended, wire._transcript.records[-1], wire.receive(1.0)) == (first, first, b"")


def test_a_broken_record_is_a_tls_failure(below: Connect) -> None:
    def spoil(sock: socket.socket) -> None:
        sock.sendall(b"\x17\x03\x03\x00\x20" + b"\0" * 32)
        read_to_end(sock)

    with below(spoil) as wire:
        assert read(wire) == b"ready"
        assert end_of(wire) is End.TLS_ALERT


# ---------------------------------------------------------------------------- failing handshakes


def failure(
    script: Script, certificates: Path, *, timeout: float = TIMEOUT, name: str = "127.0.0.1"
) -> HandshakeFailure:
    """Return the failure of a handshake with a server."""
    with serving(tolerant(script)) as endpoint, pytest.raises(HandshakeFailure) as failed:
        opened(endpoint, client_context(certificates / "our-ca.pem"), name, timeout)
    assert failed.value.hello_left
    assert failed.value.reason == str(failed.value)
    return failed.value


def answering(data: bytes, end: Callable[[socket.socket], object] = read_to_end) -> Script:
    """Return a script that sends `data` after the ClientHello and then ends the connection."""

    def script(sock: socket.socket) -> None:
        sock.recv(10_000)
        sock.sendall(data)
        end(sock)

    return script


HTTP = b"HTTP/1.1 400 Bad Request\r\n\r\n"
ALERT = b"\x15\x03\x03\x00\x02\x02\x28"


@pytest.mark.parametrize(
    ("script", "reason", "alert", "received"),
    [
        (answering(b"", lambda sock: None), "closed|cut off", "", b""),
        (answering(b"", reset), "cut off", "", b""),
        (answering(HTTP), "", "", HTTP),
        (answering(ALERT), "", "handshake_failure", ALERT),
        (read_to_end, "in time", "", b""),
    ],
    ids=["close", "reset", "text", "alert", "silence"],
)
def test_another_answer_than_a_handshake(
    script: Script, reason: str, alert: str, received: bytes, certificates: Path
) -> None:
    failed = failure(script, certificates, timeout=0.5 if script is read_to_end else TIMEOUT)
    assert re.search(reason, failed.reason)
    assert (failed.alert, failed.received, failed.unverified) == (alert, received, False)
    assert failed.timed_out is (script is read_to_end)


@pytest.mark.parametrize(
    ("file", "name"),
    [("their-server.pem", "127.0.0.1"), ("our-server.pem", "other.example")],
    ids=["unknown-ca", "other-name"],
)
def test_an_untrusted_certificate_is_answered_by_an_alert(file: str, name: str, certificates: Path) -> None:
    seen: list[str] = []

    def script(sock: socket.socket) -> None:
        try:
            server(certificates / file).wrap_socket(sock, server_side=True).recv(1)
        except ssl.SSLError as error:
            seen.append(error.reason or "")

    assert failure(script, certificates, name=name).unverified
    assert "ALERT" in seen[0]


def test_the_server_name_is_sent_and_need_not_match_if_nothing_is_verified(certificates: Path) -> None:
    names: list[str | None] = []
    context = server(certificates / "their-server.pem")
    context.sni_callback = lambda sock, name, own: names.append(name)
    with serving(over_tls(context, read_to_end)) as endpoint:
        opened(endpoint, client_context(Trust.ANY), "other.example").close()
    assert names == ["other.example"]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x15\x03\x01\x00\x02\x02", ""),
        (b"\x15\x03\x03\x00\x02\x02\xfe", "alert 254"),
        (b"\x16\x03\x03\x00\x03abc\x15\x03\x03\x00\x02\x02\x6d", "missing_extension"),
        (b"\x15\x03\x03\x00\x15" + bytes(21), ""),
    ],
)
def test_the_name_of_the_last_alert(data: bytes, name: str) -> None:
    assert alert_name(data) == name


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


def test_an_interrupted_handshake_closes_the_connection(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = threading.Event()
    received: list[bytes] = []

    def script(sock: socket.socket) -> None:
        accepted.set()
        received.append(read_to_end(sock))

    def interrupt(tcp: Tcp, wait: float) -> bytes:
        assert accepted.wait(TIMEOUT)
        raise KeyboardInterrupt

    monkeypatch.setattr(Tcp, "receive", interrupt)
    with serving(script) as endpoint, pytest.raises(KeyboardInterrupt):
        opened(endpoint, client_context(certificates / "our-ca.pem"))
    assert received[0][:1] == b"\x16"  # the server saw the end of the stream
