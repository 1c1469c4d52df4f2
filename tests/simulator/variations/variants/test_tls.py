"""TLS 1.3, spoken in another way."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cbspec.protocol.tls import TlsFailed, TlsLayer, legacy_client_context
from cbspec_simulator import ConfigError
from cbspec_simulator.variations.variants import tls
from tests.simulator.variations.variants.probe import serving
from tests.support.client import HELLO, PATIENCE, context

_TICKET, _CERTIFICATE_REQUEST = 4, 13
_SESSION_ID = 5 + 4 + 2 + 32  # behind the headers of record and message, version and random of a ClientHello
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446, 4.1.3
SHOWN = {
    "rsa-certificate",
    "p384-certificate",
    "ed25519-certificate",
    "intermediate-ca",
    "one-cipher-suite",
    "one-group",
    "no-tickets",
    "many-tickets",
    "alpn",
    "client-certificate-asked",
    "other-alert",
}


class _Handshake:
    """A handshake of a client that looks at what the relay sends; `messages` are of what it says inside."""

    def __init__(self, address: tuple[str, int], made: ssl.SSLContext) -> None:
        self._address = address
        self._context = made
        self.raw = b""
        self.messages: list[int] = []
        if hasattr(made, "_msg_callback"):
            made._msg_callback = self._note

    def _note(self, _: object, direction: str, __: object, ___: object, kind: object, ____: bytes) -> None:
        if direction == "read" and isinstance(kind, int):
            self.messages.append(int(kind))

    async def run(self) -> TlsLayer:
        """Shake hands, have hello answered, and return the client's end."""
        reader, writer = await asyncio.open_connection(*self._address)
        layer = TlsLayer(self._context, server_side=False, server_name="localhost")
        layer.send(HELLO)
        plain = b""
        try:
            async with asyncio.timeout(PATIENCE):
                while not plain:
                    writer.write(layer.data_to_send())
                    data = await reader.read(65536)
                    if not data:
                        break
                    self.raw += data
                    plain = layer.receive_data(data)
        except TlsFailed:
            pass
        finally:
            writer.close()
        return layer


async def _shake(*ids: str, made: ssl.SSLContext | None = None) -> tuple[_Handshake, TlsLayer]:
    async with serving(*ids) as simulator:
        handshake = _Handshake(simulator.address, made or context())
        return handshake, await handshake.run()


async def _leaf(*ids: str) -> x509.Certificate:
    _, layer = await _shake(*ids)
    assert layer.established
    assert layer.certificate is not None
    return x509.load_der_x509_certificate(layer.certificate)


async def test_keys() -> None:
    keys = [(await _leaf(*ids)).public_key() for ids in ((), ("rsa-certificate",), ("p384-certificate",))]
    assert isinstance(keys[0], ec.EllipticCurvePublicKey)
    assert isinstance(keys[1], rsa.RSAPublicKey)
    assert isinstance(keys[2], ec.EllipticCurvePublicKey)
    assert (keys[0].curve.name, keys[1].key_size, keys[2].curve.name) == ("secp256r1", 2048, "secp384r1")
    assert isinstance((await _leaf("ed25519-certificate")).public_key(), ed25519.Ed25519PublicKey)


async def test_an_intermediate() -> None:
    clean, other = await _leaf(), await _leaf("intermediate-ca")
    assert "own CA" in other.issuer.rfc4514_string()
    assert "own CA" not in clean.issuer.rfc4514_string()


async def test_a_second_client_hello() -> None:
    assert _RETRY not in (await _shake())[0].raw
    handshake, layer = await _shake("one-group")
    assert _RETRY in handshake.raw
    assert layer.established


@pytest.mark.parametrize(("ids", "number"), [((), 2), (("no-tickets",), 0), (("many-tickets",), 8)])
async def test_tickets(ids: tuple[str, ...], number: int) -> None:
    handshake, _ = await _shake(*ids)
    assert handshake.messages.count(_TICKET) == number


@pytest.mark.parametrize(("ids", "asked"), [((), 0), (("client-certificate-asked",), 1)])
async def test_a_certificate_is_asked_for(ids: tuple[str, ...], asked: int) -> None:
    handshake, layer = await _shake(*ids)
    assert handshake.messages.count(_CERTIFICATE_REQUEST) == asked
    assert layer.established


async def test_application_protocol() -> None:
    for ids, chosen in (((), None), (("alpn",), "cloudbridge/2")):
        made = context()
        made.set_alpn_protocols(["http/1.1", "cloudbridge/2"])
        _, layer = await _shake(*ids, made=made)
        assert layer._tls.selected_alpn_protocol() == chosen


async def test_an_alert() -> None:
    for ids, alert in (((), 70), (("other-alert",), 40)):
        handshake, layer = await _shake(*ids, made=legacy_client_context(ssl.TLSVersion.TLSv1_2))
        assert not layer.established
        assert handshake.raw == bytes([0x15, 3, 3, 0, 2, 2, alert])


@contextmanager
def _process(*options: str) -> Iterator[dict[str, object]]:
    command = (sys.executable, "-W", "error", "-m", "cbspec", "simulate", "--port", "0", "--json", *options)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0


async def _suites(facts: dict[str, object]) -> set[str]:
    """Say which suites the relay takes, of those that are offered one by one."""
    found = set()
    for name in (b"\x13\x01", b"\x13\x02", b"\x13\x03"):
        hello = TlsLayer(context(), server_side=False, server_name="localhost").data_to_send()
        at = _SESSION_ID + 1 + hello[_SESSION_ID]
        size = int.from_bytes(hello[at : at + 2], "big")
        reader, writer = await asyncio.open_connection(str(facts["host"]), int(str(facts["port"])))
        writer.write(hello[: at + 2] + name * (size // 2) + hello[at + 2 + size :])
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read(128)
        writer.close()
        if answer[0] == 0x16:
            found.add(name.hex())
    return found


async def test_one_suite() -> None:
    with _process() as facts:
        assert await _suites(facts) == {"1301", "1302", "1303"}
    with _process("--variant", "one-cipher-suite") as facts:
        assert await _suites(facts) == {"1303"}


async def test_one_suite_needs_a_process_of_its_own() -> None:
    with pytest.raises(ConfigError, match=r"OPENSSL_CONF=.*one-cipher-suite\.cnf"):
        await serving("one-cipher-suite").start()


def test_each_is_shown() -> None:
    assert {variant.id for variant in tls.VARIANTS} == SHOWN
