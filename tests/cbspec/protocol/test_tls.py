"""The TLS layer with two ends in memory: data, alerts, and ClientHellos of older versions."""

from __future__ import annotations

import ssl
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.tls_contexts import Trust, client_context, legacy_client_context, server_context
from tests.support.tls import ends, handshake, write_certificates

PROTOCOL_VERSION = bytes.fromhex("0002 0246")  # length 2, fatal, protocol_version (70)
CLOSE_NOTIFY_ENCRYPTED = 0x17  # in TLS 1.3 an alert is sent as application data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificates(tmp_path_factory.mktemp("certificates"), "our")


@pytest.fixture(scope="module")
def server(folder: Path) -> ssl.SSLContext:
    return server_context(folder / "our-server.pem")


@pytest.fixture(scope="module")
def trusting(folder: Path) -> ssl.SSLContext:
    return client_context(folder / "our-ca.pem")


# Sizes are drawn instead of places, because the length of a handshake varies.
@given(sizes=st.lists(st.integers(1, 400), min_size=1), up=st.binary(max_size=200), down=st.binary(max_size=200))
def test_every_segmentation_gives_the_same_data(
    trusting: ssl.SSLContext, server: ssl.SSLContext, sizes: list[int], up: bytes, down: bytes
) -> None:
    size = cycle(sizes)
    client, relay = ends(trusting, server)
    client.send(up)
    relay.send(down)
    received = {client: b"", relay: b""}
    wires = {relay: client.data_to_send(), client: relay.data_to_send()}
    while any(wires.values()):
        for end, wire in wires.items():
            while wire:
                length = next(size)
                received[end] += end.receive_data(wire[:length])
                wire = wire[length:]
        wires = {relay: client.data_to_send(), client: relay.data_to_send()}
    assert received == {client: down, relay: up}
    assert client.ssl_object.version() == relay.ssl_object.version() == "TLSv1.3"


def test_data_can_be_received_after_sending_close_notify(trusting: ssl.SSLContext, server: ssl.SSLContext) -> None:
    client, relay = handshake(trusting, server)
    client.send(b"last")
    client.close()
    wire = client.data_to_send()
    assert wire[0] == CLOSE_NOTIFY_ENCRYPTED
    assert relay.receive_data(wire) == b"last"
    assert relay.ended
    assert not client.ended
    relay.send(b"still here")
    relay.close()
    assert client.receive_data(relay.data_to_send()) == b"still here"
    assert client.ended
    assert client.receive_data(b"ignored") == b""
    client.check()


def test_a_client_without_verification_accepts_any_certificate(server: ssl.SSLContext) -> None:
    handshake(client_context(Trust.ANY), server, "elsewhere.example")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_an_older_client_hello_is_sent_and_refused_by_an_alert(server: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    client, relay = ends(legacy_client_context(version), server)
    opening = client.data_to_send()
    assert (opening[0], opening[5]) == (0x16, 0x01)  # a handshake record, a ClientHello
    assert opening[9:11] == version.to_bytes(2)  # legacy_version: the highest offered one
    with pytest.raises(TlsFailed, match="unsupported protocol") as caught:
        relay.receive_data(opening)
    assert not caught.value.unverified
    answer = relay.data_to_send()
    assert answer[:2] == b"\x15\x03"
    assert answer[3:] == PROTOCOL_VERSION
    with pytest.raises(TlsFailed, match="protocol version"):
        client.receive_data(answer)


@pytest.mark.parametrize(
    ("ca", "name", "reason", "alert"),
    [
        ("our", "elsewhere.example", "elsewhere.example", "SSLV3_ALERT_BAD_CERTIFICATE"),
        (None, "localhost", "certificate", "TLSV1_ALERT_UNKNOWN_CA"),
    ],
)
def test_an_untrusted_certificate_is_refused_by_an_alert(
    folder: Path, server: ssl.SSLContext, ca: str | None, name: str, reason: str, alert: str
) -> None:
    client, relay = ends(client_context(folder / f"{ca}-ca.pem" if ca else Trust.SYSTEM), server, name)
    client.send(b"secret")
    relay.receive_data(client.data_to_send())
    with pytest.raises(TlsFailed) as caught:
        client.receive_data(relay.data_to_send())
    assert caught.value.unverified
    assert reason in str(caught.value)
    with pytest.raises(TlsFailed) as refused:
        relay.receive_data(client.data_to_send())
    assert refused.value.reason == alert


@pytest.mark.parametrize("line", [b"HELO relay\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_bytes_that_are_not_tls_fail_with_a_reason(server: ssl.SSLContext, line: bytes) -> None:
    relay = TlsLayer(server, server_side=True)
    with pytest.raises(TlsFailed) as caught:
        relay.receive_data(line)
    assert str(caught.value)
    assert not caught.value.unverified


@pytest.mark.parametrize("make", [client_context, server_context])
def test_an_unusable_file_is_an_error(tmp_path: Path, make: type) -> None:
    with pytest.raises(OSError, match="No such file"):
        make(tmp_path / "nothing.pem")
    (tmp_path / "empty.pem").write_text("no certificate\n")
    with pytest.raises(ssl.SSLError):
        make(tmp_path / "empty.pem")


def test_plain_text_before_a_failure_is_returned(trusting: ssl.SSLContext, server: ssl.SSLContext) -> None:
    client, relay = handshake(trusting, server)
    client.send(b"last words")
    assert relay.receive_data(client.data_to_send() + b"not a record") == b"last words"
    with pytest.raises(TlsFailed):
        relay.check()
    with pytest.raises(TlsFailed):
        relay.receive_data(b"")
