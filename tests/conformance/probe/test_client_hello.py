"""Hand-made ClientHellos, parsed byte by byte and sent to OpenSSL."""

from __future__ import annotations

import contextlib
import ssl
import warnings
from dataclasses import dataclass
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


@dataclass
class Reader:
    """A cursor over bytes."""

    data: bytes

    def take(self, size: int) -> bytes:
        assert len(self.data) >= size
        head, self.data = self.data[:size], self.data[size:]
        return head

    def sized(self, width: int) -> bytes:
        return self.take(int.from_bytes(self.take(width), "big"))


def extensions(data: bytes) -> dict[int, bytes]:
    """Return the extensions of a ClientHello, and check everything before them (RFC 5246, 7.4.1.2)."""
    reader = Reader(data)
    assert reader.take(3) == b"\x16\x03\x01"
    handshake = Reader(reader.sized(2))
    assert reader.data == b""
    assert handshake.take(1) == b"\x01"
    body = Reader(handshake.sized(3))
    assert handshake.data == b""
    body.take(2 + 32)  # version and random
    assert body.sized(1) == b""  # no session
    suites = body.sized(2)
    assert len(suites) % 2 == 0
    assert b"\x13\x01" not in [suites[i : i + 2] for i in range(0, len(suites), 2)]  # no suite of TLS 1.3
    assert body.sized(1) == b"\x00"  # no compression
    rest, found = Reader(body.sized(2)), {}
    assert body.data == b""
    while rest.data:
        number = int.from_bytes(rest.take(2), "big")
        assert number not in found
        found[number] = rest.sized(2)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_bytes_are_a_valid_client_hello(version: str) -> None:
    data = client_hello(version, "relay.example")
    found = extensions(data)
    assert data[9:11] == VERSIONS[version][0]
    assert found[0] == b"\x00\x10\x00\x00\x0drelay.example"
    assert 43 not in found  # supported_versions would offer TLS 1.3
    assert (13 in found) == (version == "1.2")  # signature_algorithms came with TLS 1.2


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.0.2.7"])
def test_address_is_not_sent_as_server_name(address: str) -> None:
    assert 0 not in extensions(client_hello("1.2", address))


def test_random_differs() -> None:
    assert client_hello("1.2", "a")[11:43] != client_hello("1.2", "a")[11:43]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("certificate") / "server.pem"
    trustme.CA().issue_cert("relay.example").private_key_and_cert_chain_pem.write_to_path(file)
    return file


def answer(context: ssl.SSLContext, data: bytes) -> bytes:
    """Return the answer of OpenSSL to `data`."""
    server = TlsLayer(context, server_side=True)
    with contextlib.suppress(TlsFailed):
        server.receive_data(data)
    return server.data_to_send()


@pytest.mark.parametrize("version", VERSIONS)
def test_server_with_tls_1_3_only_sends_the_alert(version: str, chain: Path) -> None:
    assert alert_name(answer(server_context(chain), client_hello(version, "relay.example"))) == "protocol_version"


@pytest.mark.parametrize("version", VERSIONS)
def test_server_that_allows_the_version_accepts_it(version: str, chain: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = VERSIONS[version][1]
    data = answer(context, client_hello(version, "relay.example"))
    assert data[:1] == b"\x16"
    assert data[5:6] == b"\x02"  # a ServerHello
    assert data[9:11] == VERSIONS[version][0]


@pytest.mark.parametrize(
    ("suites", "groups", "accepted"), [((0x1302,), (0x001D,), True), ((0x1305,), (0x001D,), False)]
)
def test_tls_1_3_hello_draws_a_server_hello_if_a_suite_is_shared(
    tmp_path: Path, suites: tuple[int, ...], groups: tuple[int, ...], accepted: bool
) -> None:
    leaf = trustme.CA().issue_cert("localhost")
    chain = tmp_path / "chain.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(chain)
    layer = TlsLayer(server_context(chain), server_side=True)
    with contextlib.suppress(TlsFailed):
        layer.receive_data(modern_client_hello("localhost", suites, groups))
    reply = layer.data_to_send()
    assert (reply[:1] == b"\x16" and reply[5:6] == b"\x02") is accepted
    assert bool(alert_name(reply)) is not accepted
