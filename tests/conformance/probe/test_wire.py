"""The blocking TLS connection against short scripted servers."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from cbspec.profile.profile import Endpoint
from cbspec.tls_contexts import Trust, client_context, legacy_client_context
from cbspec_conformance.probe.wire import HandshakeFailure, Wire, alert_name
from cbspec_conformance.record.transcript import Bytes, Direction, End, Opened, Transcript
from tests.support.relay import (
    Script,
    below_tls,
    over_tls,
    read_to_end,
    reset,
    server,
    serving,
    tolerant,
)

TIMEOUT = 20.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for owner in ("our", "their"):
        ca = trustme.CA()
        ca.cert_pem.write_to_path(folder / f"{owner}-ca.pem")
        leaf = ca.issue_cert("127.0.0.1", "relay.example")
        leaf.private_key_and_cert_chain_pem.write_to_path(folder / f"{owner}.pem")
    return folder


@pytest.fixture(scope="module")
def context(folder: Path) -> ssl.SSLContext:
    return server(folder / "our.pem")


@pytest.fixture(scope="module")
def trusting(folder: Path) -> ssl.SSLContext:
    return client_context(folder / "our-ca.pem")


def opened(endpoint: Endpoint, context: ssl.SSLContext, name: str = "127.0.0.1", timeout: float = TIMEOUT) -> Wire:
    """Return an open wire with its own transcript."""
    wire = Wire(7, Transcript(), timeout)
    wire.open(endpoint, context, name=name, source=None, transport="tcp")
    return wire


@contextmanager
def connection(script: Script, context: ssl.SSLContext) -> Iterator[Wire]:
    """Yield a wire to a server that runs `script`."""
    with serving(script) as endpoint:
        wire = opened(endpoint, context)
        try:
            yield wire
        finally:
            wire.close()


def read_all(wire: Wire) -> bytes:
    """Return all data until the connection ends."""
    data = b""
    while not wire.ended:
        data += wire.receive(TIMEOUT)
    return data


def transcript_of(wire: Wire) -> Transcript:
    return wire._transcript


# ---------------------------------------------------------------------------- data


def test_data_goes_both_ways_and_is_recorded(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    def echo(tls: ssl.SSLSocket) -> None:
        while data := tls.recv(100):
            tls.sendall(data.upper())

    with connection(over_tls(context, echo), trusting) as wire:
        assert (wire.version, wire.local_address) == ("TLSv1.3", "127.0.0.1")
        assert wire.certificate
        wire.send(b"one")
        data = b""
        while len(data) < 3:
            data += wire.receive(TIMEOUT)
        assert data == b"ONE"
        wire.close(TIMEOUT)
    records = transcript_of(wire).records
    assert isinstance(records[0], Opened)
    assert (records[0].tls, records[0].transport, records[0].connection) == ("TLSv1.3", "tcp", 7)
    assert records[0].cipher.startswith("TLS_")
    carried = [(record.direction, record.data) for record in records if isinstance(record, Bytes)]
    assert carried == [(Direction.SENT, b"one"), (Direction.RECEIVED, b"ONE")]
    assert wire.ended is not None
    assert wire.ended.how is End.OURS
    assert records[-1] is wire.ended
    assert [record.at for record in records] == sorted(record.at for record in records)


def test_silence_does_not_end_the_connection(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    with connection(over_tls(context, read_to_end), trusting) as wire:
        assert wire.receive(0.0) == b""
        assert wire.receive(0.02) == b""
        assert wire.ended is None


def test_data_sent_with_the_handshake_is_kept(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    def greet(tls: ssl.SSLSocket) -> None:
        tls.sendall(b"first")  # in the same flight as the tickets
        read_to_end(tls)

    with connection(over_tls(context, greet), trusting) as wire:
        data = b""
        while len(data) < 5:
            data += wire.receive(TIMEOUT)
        assert data == b"first"


# ---------------------------------------------------------------------------- ends


def test_close_notify_differs_from_a_plain_close(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    def polite(tls: ssl.SSLSocket) -> None:
        tls.sendall(b"bye")
        with contextlib.suppress(OSError):  # the client sends no close_notify back
            tls.unwrap()

    def bare(tls: ssl.SSLSocket) -> None:
        tls.sendall(b"bye")
        tls.shutdown(socket.SHUT_RDWR)

    for script, how in ((polite, End.CLOSE_NOTIFY), (bare, End.EOF)):
        with connection(over_tls(context, script), trusting) as wire:
            assert read_all(wire) == b"bye"
            assert wire.ended is not None
            assert wire.ended.how is how


def test_data_before_a_reset_is_read(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    def answer_and_reset(tls: ssl.SSLSocket) -> None:
        assert tls.recv(100) == b"ask"
        tls.sendall(b"refused")
        tls.recv(100)  # wait until the client has read, since a reset discards data in transit
        reset(tls)

    with connection(over_tls(context, answer_and_reset), trusting) as wire:
        wire.send(b"ask")
        assert wire.receive(TIMEOUT) == b"refused"
        wire.send(b"more")
        assert read_all(wire) == b""
        assert wire.ended is not None
        assert wire.ended.how is End.RESET
        assert wire.ended.detail


def test_reset_found_while_sending_is_a_reset(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    def abort(tls: ssl.SSLSocket) -> None:
        assert tls.recv(100) == b"ask"
        reset(tls)

    with connection(over_tls(context, abort), trusting) as wire:
        wire.send(b"ask")
        assert wire.has_unread(TIMEOUT)
        wire.send(b"more")
        assert read_all(wire) == b""
        assert wire.ended is not None
        assert (wire.ended.how, bool(wire.ended.detail)) == (End.RESET, True)


def test_sending_after_the_peer_closed_raises_nothing_and_loses_nothing(
    context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    def refuse(tls: ssl.SSLSocket) -> None:
        tls.sendall(b"full")
        tls.shutdown(socket.SHUT_RDWR)

    with connection(over_tls(context, refuse), trusting) as wire:
        for _ in range(3):
            wire.send(b"x" * 1000)
        assert wire.ended is None  # only receive() reports the end
        assert read_all(wire) in (b"full", b"")  # a reset may discard unread data
        assert wire.ended is not None
        before = len(transcript_of(wire).records)
        wire.send(b"more")
        wire.send_quietly(b"more")
        assert len(transcript_of(wire).records) == before


def test_broken_record_is_a_tls_failure(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    def corrupt(sock: socket.socket) -> None:
        sock.sendall(b"\x17\x03\x03\x00\x20" + b"\0" * 32)
        read_to_end(sock)

    with connection(below_tls(context, corrupt), trusting) as wire:
        assert read_all(wire) == b"ready"
        assert wire.ended is not None
        assert wire.ended.how is End.TLS_ALERT
        assert wire.ended.detail


def test_end_is_recorded_once(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    with connection(over_tls(context, lambda tls: tls.shutdown(socket.SHUT_RDWR)), trusting) as wire:
        read_all(wire)
        first = wire.ended
        wire.finish(End.WEBSOCKET_CLOSE, "1000")
        wire.reset()
        wire.close(1.0)
        assert wire.ended is first
        assert wire.receive(1.0) == b""


def test_upper_layer_can_end_the_connection(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    with connection(over_tls(context, read_to_end), trusting) as wire:
        wire.finish(End.WEBSOCKET_CLOSE, "1001")
        assert wire.ended is not None
        assert (wire.ended.how, wire.ended.detail) == (End.WEBSOCKET_CLOSE, "1001")


def test_reset_reaches_the_peer(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    ends: list[str] = []

    def watch(sock: socket.socket) -> None:  # below TLS: the ssl module reports a reset as end of file
        try:
            ends.append(f"read {sock.recv(100)!r}")
        except ConnectionResetError:
            ends.append("reset")

    with connection(below_tls(context, watch), trusting) as wire:
        assert wire.receive(TIMEOUT) == b"ready"
        wire.reset()
        assert wire.ended is not None
        assert wire.ended.how is End.OURS
    assert ends == ["reset"]


def test_close_waits_for_the_peer_for_a_bounded_time(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    may_close = threading.Event()
    closing: list[str] = []

    def linger(tls: ssl.SSLSocket) -> None:
        assert tls.recv(100) == b""
        may_close.wait(TIMEOUT)
        closing.append("relay")

    with connection(over_tls(context, linger), trusting) as wire:
        wire.close(0.01)
        assert closing == []
        may_close.set()
    closing.clear()
    with connection(over_tls(context, linger), trusting) as wire:
        wire.close(TIMEOUT)
        assert closing == ["relay"]


# ---------------------------------------------------------------------------- failed handshakes


def failure(
    script: Script, context: ssl.SSLContext, *, timeout: float = TIMEOUT, name: str = "127.0.0.1"
) -> HandshakeFailure:
    """Return the failure of a handshake."""
    with serving(tolerant(script)) as endpoint, pytest.raises(HandshakeFailure) as failed:
        opened(endpoint, context, name, timeout)
    return failed.value


def read_once(sock: socket.socket) -> None:
    sock.recv(10_000)


def test_a_close_instead_of_a_handshake(trusting: ssl.SSLContext) -> None:
    failed = failure(read_once, trusting)
    assert "closed" in failed.reason or "cut off" in failed.reason
    assert (failed.alert, failed.received, failed.unverified, failed.timed_out) == ("", b"", False, False)
    assert failed.hello_left


def test_a_reset_instead_of_a_handshake(trusting: ssl.SSLContext) -> None:
    def script(sock: socket.socket) -> None:
        sock.recv(10_000)
        reset(sock)

    failed = failure(script, trusting)
    assert "cut off" in failed.reason
    assert failed.hello_left


def test_silence_instead_of_a_handshake(trusting: ssl.SSLContext) -> None:
    failed = failure(read_to_end, trusting, timeout=0.1)
    assert failed.timed_out
    assert str(failed) == failed.reason == "the relay didn't answer the TLS handshake in time"


def test_text_instead_of_a_handshake(trusting: ssl.SSLContext) -> None:
    def script(sock: socket.socket) -> None:
        sock.recv(10_000)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        read_to_end(sock)

    failed = failure(script, trusting)
    assert failed.received.startswith(b"HTTP/1.1 400")
    assert failed.alert == ""


def test_alert_has_its_name(trusting: ssl.SSLContext) -> None:
    def script(sock: socket.socket) -> None:
        sock.recv(10_000)
        sock.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
        read_to_end(sock)

    failed = failure(script, trusting)
    assert failed.alert == "handshake_failure"
    assert failed.received == b"\x15\x03\x03\x00\x02\x02\x28"


def test_old_version_draws_an_alert(folder: Path) -> None:
    context = server(folder / "our.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    failed = failure(over_tls(context, lambda tls: None), legacy_client_context(ssl.TLSVersion.TLSv1_2))
    assert failed.hello_left


@pytest.mark.parametrize(
    ("file", "name"), [("their.pem", "127.0.0.1"), ("our.pem", "other.example")], ids=["unknown-ca", "other-name"]
)
def test_untrusted_certificate_is_reported_and_draws_an_alert(
    file: str, name: str, folder: Path, trusting: ssl.SSLContext
) -> None:
    seen: list[bytes] = []

    def script(sock: socket.socket) -> None:
        try:
            server(folder / file).wrap_socket(sock, server_side=True).recv(1)
        except ssl.SSLError as error:
            seen.append((error.reason or "").encode())

    failed = failure(script, trusting, name=name)
    assert failed.unverified
    assert seen
    assert b"ALERT" in seen[0]


def test_any_name_of_the_certificate_suffices(folder: Path, context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    names: list[str | None] = []
    context = server(folder / "our.pem")
    context.sni_callback = lambda sock, name, own: names.append(name)
    with serving(over_tls(context, read_to_end)) as endpoint:
        opened(endpoint, trusting, "relay.example").close()
    assert names == ["relay.example"]


def test_without_verification_any_certificate_is_accepted(folder: Path) -> None:
    script = over_tls(server(folder / "their.pem"), read_to_end)
    with serving(script) as endpoint:
        opened(endpoint, client_context(Trust.ANY), "other.example").close()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", ""),
        (b"\x15", ""),
        (b"\x15\x03\x01\x00\x02\x02", ""),
        (b"\x15\x03\x01\x00\x02\x02\x46", "protocol_version"),
        (b"\x15\x03\x03\x00\x02\x01\x00", "close_notify"),
        (b"\x15\x03\x03\x00\x02\x02\xfe", "alert 254"),
        (b"\x16\x03\x03\x00\x03abc\x15\x03\x03\x00\x02\x02\x6d", "missing_extension"),
        (b"\x16\x03\x03\x00\x03abc", ""),
        (b"\x17\x03\x03\x00\x02\x02\x46", ""),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ""),
        (b"\x15\x03\x03\x00\x15" + bytes(21), ""),
    ],
)
def test_alert_name(data: bytes, name: str) -> None:
    assert alert_name(data) == name
