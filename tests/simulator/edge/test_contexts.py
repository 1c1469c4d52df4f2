"""The TLS contexts: certificate, versions, and the time at which each is made."""

from __future__ import annotations

import datetime
import itertools
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from cbspec.profile.identity import development_ca
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec_simulator.edge.contexts import Contexts
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Certificate
from tests.support.client import context

ALL = ("tls-1.2", "client-certificate", "expired", "not-yet-valid", "other-name", "unknown-ca")
CHOICES = [frozenset(names) for number in (1, 2) for names in itertools.combinations(ALL, number)]


def handshake(served: ssl.SSLContext, trusting: ssl.SSLContext) -> x509.Certificate:
    """Return the certificate that a client receives; raises TlsFailed."""
    client = TlsLayer(trusting, server_side=False, server_name="localhost")
    server = TlsLayer(served, server_side=True)
    while not client.established:
        server.receive_data(client.data_to_send())
        client.receive_data(server.data_to_send())
    return x509.load_der_x509_certificate(client.ssl_object.getpeercert(binary_form=True) or b"")


def served(made: ssl.SSLContext) -> x509.Certificate:
    """Return the certificate that a client without any check receives."""
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    return handshake(made, unchecked)


def names(certificate: x509.Certificate) -> list[str]:
    value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return list(value.get_values_for_type(x509.DNSName))


@pytest.fixture(scope="module")
def contexts() -> Contexts:
    """Return the contexts of a relay with the development identity."""
    return Contexts(None, Behaviour(), ("127.0.0.1", "localhost"))


def test_the_relays_own_context(contexts: Contexts) -> None:
    assert contexts.ca_file == development_ca().ca_file
    assert "localhost" in names(handshake(contexts.own, context()))


@pytest.mark.parametrize("variations", CHOICES, ids=lambda chosen: "+".join(sorted(chosen)))
def test_each_combination_of_variations(contexts: Contexts, variations: frozenset[str]) -> None:
    made, now = contexts(variations), datetime.datetime.now(datetime.UTC)
    assert made is contexts(variations) is not contexts.own
    assert (made.maximum_version is ssl.TLSVersion.TLSv1_2) == ("tls-1.2" in variations)
    assert (made.verify_mode is ssl.CERT_REQUIRED) == ("client-certificate" in variations)
    if made.verify_mode is ssl.CERT_REQUIRED:
        made.verify_mode = ssl.CERT_NONE  # this client has no certificate
    certificate = served(made)
    assert ("localhost" not in names(certificate)) == ("other-name" in variations)
    assert (certificate.issuer != served(contexts.own).issuer) == ("unknown-ca" in variations)
    assert (certificate.not_valid_after_utc < now) == ("expired" in variations)
    assert (certificate.not_valid_before_utc > now) == ("not-yet-valid" in variations and "expired" not in variations)
    if variations & set(ALL[2:]):
        with pytest.raises(TlsFailed):
            handshake(made, context())


def test_an_expiring_certificate_is_made_for_each_use(contexts: Contexts) -> None:
    first, second = (contexts(frozenset({"expiring"}), lifetime) for lifetime in (60, 120))
    assert served(second).not_valid_after_utc > served(first).not_valid_after_utc


def test_a_configured_certificate(tmp_path: Path) -> None:
    chain, key = development_ca().issue("mine.example")
    file = tmp_path / "mine.pem"
    file.write_bytes(key + chain)
    contexts = Contexts(Certificate(file), Behaviour(), ("localhost",))
    assert contexts.ca_file == file
    assert names(served(contexts.own)) == ["mine.example"]
    for name in ALL:
        assert contexts(frozenset({name})) is not contexts.own


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Contexts(Certificate(tmp_path / "none.pem"), Behaviour(), ("localhost",))
