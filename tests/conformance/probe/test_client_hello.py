"""Handmade ClientHellos: parsed byte by byte, and answered by OpenSSL."""

from __future__ import annotations

import contextlib
import ssl
import warnings
from pathlib import Path

import pytest
import trustme

from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.tls_contexts import server_context
from cbspec_conformance.probe.client_hello import client_hello, modern_client_hello
from cbspec_conformance.probe.wire import alert_name

VERSIONS = {
    "1.0": (b"\x03\x01", ssl.TLSVersion.TLSv1),
    "1.1": (b"\x03\x02", ssl.TLSVersion.TLSv1_1),
    "1.2": (b"\x03\x03", ssl.TLSVersion.TLSv1_2),
}


def split(data: bytes, width: int) -> tuple[bytes, bytes]:
    """Split off a value that begins with its length, in `width` bytes."""
    end = width + int.from_bytes(data[:width], "big")
    assert end <= len(data)
    return data[width:end], data[end:]


def extensions(data: bytes) -> dict[int, bytes]:
    """Check the layout of a ClientHello (Source: RFC 5246, 7.4.1.2) and return its extensions."""
    assert data[:3] == b"\x16\x03\x01"
    handshake, rest = split(data[3:], 2)
    assert (handshake[:1], rest) == (b"\x01", b"")
    body, rest = split(handshake[1:], 3)
    assert rest == b""
    session, rest = split(body[34:], 1)
    suites, rest = split(rest, 2)
    assert (session, len(suites) % 2) == (b"", 0)
    assert b"\x13\x01" not in [suites[i : i + 2] for i in range(0, len(suites), 2)]  # a suite of TLS 1.3
    compression, rest = split(rest, 1)
    assert compression == b"\x00"
    listed, rest = split(rest, 2)
    assert rest == b""
    found: dict[int, bytes] = {}
    while listed:
        number = int.from_bytes(listed[:2], "big")
        assert number not in found
        found[number], listed = split(listed[2:], 2)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_bytes_are_a_client_hello(version: str) -> None:
    data = client_hello(version, "relay.example")
    found = extensions(data)
    assert data[9:11] == VERSIONS[version][0]
    assert data[11:43] != client_hello(version, "relay.example")[11:43]
    assert found[0] == b"\x00\x10\x00\x00\x0drelay.example"
    assert 0 not in extensions(client_hello(version, "::1"))
    assert 43 not in found  # supported_versions would offer TLS 1.3
    assert (13 in found) == (version == "1.2")  # signature_algorithms are new in TLS 1.2


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("certificate") / "server.pem"
    trustme.CA().issue_cert("relay.example").private_key_and_cert_chain_pem.write_to_path(file)
    return file


def answer(context: ssl.SSLContext, data: bytes) -> bytes:
    """Return OpenSSL's answer to `data`."""
    server = TlsLayer(context, server_side=True)
    with contextlib.suppress(TlsFailed):
        server.receive_data(data)
    return server.data_to_send()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_answers_with_the_version_if_it_allows_it_else_with_an_alert(version: str, chain: Path) -> None:
    hello = client_hello(version, "relay.example")
    assert alert_name(answer(server_context(chain), hello)) == "protocol_version"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = VERSIONS[version][1]
    data = answer(context, hello)
    assert (data[:1], data[5:6], data[9:11]) == (b"\x16", b"\x02", VERSIONS[version][0])  # a ServerHello


@pytest.mark.parametrize(("suite", "common"), [(0x1302, True), (0x1305, False)])
def test_a_modern_hello_draws_a_server_hello_if_both_sides_have_a_suite(suite: int, common: bool, chain: Path) -> None:
    reply = answer(server_context(chain), modern_client_hello("localhost", (suite,), (0x001D,)))
    assert (reply[:1] == b"\x16" and reply[5:6] == b"\x02") is common
    assert bool(alert_name(reply)) is not common
