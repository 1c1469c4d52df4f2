"""The tap's edge: bytes and ends pass unchanged in both directions."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cbspec.profile.target import Endpoint
from cbspec_conformance.tap.rows import HowEnded, Side, TapEnded, TapNotSecured, TapUnreachable
from tests.conformance.tap.tapping import Tapped, tapped
from tests.support.relay import below_tls, over_tls, reset, server, serving
from tests.support.tls import write_certificates

PATIENCE = 20.0
PARTS = st.sampled_from([b'{"type":"', b"GET / HTTP/1.1\r\n", b"\n", b"\x81\x7e"])
CHUNKS = st.lists(st.binary(min_size=1, max_size=300) | PARTS, max_size=6)
Plans = SimpleQueue[tuple[list[bytes], int]]
Script = Callable[[ssl.SSLSocket], object]


@contextlib.contextmanager
def between(folder: Path, script: Script) -> Iterator[Tapped]:
    """Run a tap in front of a relay double, whose script handles each connection after its TLS handshake."""
    write_certificates(folder, "relay")
    context = server(folder / "relay-server.pem")
    with serving(over_tls(context, script)) as place, tapped(at(place), folder, folder / "relay-ca.pem") as tap:
        yield tap


def at(place: Endpoint) -> tuple[str, int]:
    """Return host and port."""
    return place.host, place.port


def exactly(sock: ssl.SSLSocket, size: int) -> bytes:
    """Read a number of bytes."""
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tapped, Plans, SimpleQueue[bytes]]]:
    """Give a tap in front of a relay that sends some chunks, reads a number of bytes, and reports them."""
    plans: Plans = SimpleQueue()
    arrived: SimpleQueue[bytes] = SimpleQueue()

    def script(tls: ssl.SSLSocket) -> None:
        chunks, size = plans.get(timeout=PATIENCE)
        for chunk in chunks:
            tls.sendall(chunk)
        arrived.put(exactly(tls, size))

    with between(tmp_path_factory.mktemp("echo"), script) as tap:
        yield tap, plans, arrived


@given(CHUNKS, CHUNKS)
@example([b"x" * 200_000], [b"y" * 300_000])
@settings(max_examples=25)
def test_any_bytes_pass_in_both_directions(
    echo: tuple[Tapped, Plans, SimpleQueue[bytes]], up: list[bytes], down: list[bytes]
) -> None:
    tap, plans, arrived = echo
    plans.put((down, len(b"".join(up))))
    with tap.client() as client:
        for chunk in up:
            client.write(chunk)
        assert client.first_bytes(len(b"".join(down))) == b"".join(down)
        assert arrived.get(timeout=PATIENCE) == b"".join(up)


@pytest.mark.parametrize("how", ["close_notify", "fin"])
def test_a_half_close_passes_and_the_answer_after_it(tmp_path: Path, how: str) -> None:
    ends: SimpleQueue[str] = SimpleQueue()

    def script(tls: ssl.SSLSocket) -> None:
        tls.suppress_ragged_eofs = False  # type: ignore[attr-defined] # it is one of its attributes
        try:
            while tls.recv(1024):
                pass
            ends.put("close_notify")
        except ssl.SSLEOFError:
            ends.put("fin")
            return  # Python's TLS can't send after it
        tls.sendall(b"late answer\n")
        with contextlib.suppress(OSError):
            tls.unwrap()

    with between(tmp_path, script) as tap, tap.client() as client:
        client.write(b'{"type":"heartbeat"}\n')
        if how == "close_notify":
            client.finish()
        else:
            client.socket.shutdown(socket.SHUT_WR)
        assert ends.get(timeout=PATIENCE) == how
        if how == "close_notify":
            assert client.line() == b"late answer\n"
    kinds = [row.how for row in tap.rows if isinstance(row, TapEnded) and row.side is Side.CLIENT]
    assert kinds[0] is (HowEnded.CLOSE_NOTIFY if how == "close_notify" else HowEnded.FIN)


def test_a_reset_by_the_relay_passes_after_the_bytes_before_it(tmp_path: Path) -> None:
    def script(tls: ssl.SSLSocket) -> None:
        tls.recv(1024)
        tls.sendall(b"last words\n")
        assert tls.recv(1024) == b"heard"
        with socket.socket(fileno=tls.detach()) as plain:
            reset(plain)

    with between(tmp_path, script) as tap, tap.client() as client:
        client.write(b"hello\n")
        assert client.line() == b"last words\n"
        client.write(b"heard")
        assert client.end() == "reset"
    assert [(row.side, row.how) for row in tap.rows if isinstance(row, TapEnded)] == [(Side.RELAY, HowEnded.RESET)]


def test_a_reset_by_the_client_passes(tmp_path: Path) -> None:
    ends: SimpleQueue[str] = SimpleQueue()
    write_certificates(tmp_path, "relay")

    def script(plain: socket.socket) -> None:
        try:
            while plain.recv(1024):
                pass
            ends.put("end")
        except ConnectionResetError:
            ends.put("reset")

    context = server(tmp_path / "relay-server.pem")
    with serving(below_tls(context, script)) as place, tapped(at(place), tmp_path, tmp_path / "relay-ca.pem") as tap:
        with tap.client() as client:
            assert client.first_bytes(5) == b"ready"
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert ends.get(timeout=PATIENCE) == "reset"
    assert [(row.side, row.how) for row in tap.rows if isinstance(row, TapEnded)] == [(Side.CLIENT, HowEnded.RESET)]


def test_a_relay_that_is_down_closes_the_clients_connection(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with tapped(unused.getsockname(), tmp_path) as tap, pytest.raises(ConnectionError):
            tap.client()
    (row,) = (row for row in tap.rows if isinstance(row, TapUnreachable))
    assert row.reason == "Connection refused"
    verdict = tap.verdict()
    assert any("couldn't be made: Connection refused" in note for note in verdict.relay.subject.notes)
    assert not verdict.relay.judged


def test_a_certificate_that_is_not_trusted_gets_no_byte_of_the_client(tmp_path: Path) -> None:
    write_certificates(tmp_path, "relay", "other")
    context, spoken = server(tmp_path / "relay-server.pem"), SimpleQueue[bytes]()

    def script(sock: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(sock, server_side=True) as tls:
            spoken.put(tls.recv(1024))

    with (
        serving(script) as place,
        tapped(at(place), tmp_path, tmp_path / "other-ca.pem") as tap,
        pytest.raises(ConnectionError),
    ):
        tap.client()
    (row,) = (row for row in tap.rows if isinstance(row, TapNotSecured))
    assert (row.side, row.untrusted) == (Side.RELAY, True)
    assert spoken.empty()
    assert any("--ca" in note for note in tap.verdict().relay.subject.notes)


def test_a_client_without_tls_is_recorded(tmp_path: Path) -> None:
    with (
        between(tmp_path, lambda tls: tls.recv(1024)) as tap,
        socket.create_connection(tap.address, timeout=PATIENCE) as sock,
        contextlib.suppress(ConnectionResetError),
    ):
        sock.sendall(b'{"type":"hello","version":"1.0","features":[]}\n')
        while sock.recv(1024):
            pass
    (row,) = (row for row in tap.rows if isinstance(row, TapNotSecured))
    assert (row.side, row.plain[:7]) == (Side.CLIENT, '{"type"')
