"""The TLS contexts: variations together, and configured certificates; `test_kinds.py` has each variation alone."""

from __future__ import annotations

import datetime
import itertools
import ssl
from pathlib import Path

from cryptography import x509

from cbspec.profile.identity import development_ca
from cbspec.protocol.tls import TlsLayer
from cbspec_simulator.edge.contexts import Contexts
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Certificate

ALL = ("tls-1.2", "client-certificate", "expired", "not-yet-valid", "other-name", "unknown-ca")


def served(made: ssl.SSLContext) -> x509.Certificate:
    """Return the certificate that a client without any check receives."""
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    client = TlsLayer(unchecked, server_side=False, server_name="localhost")
    server = TlsLayer(made, server_side=True)
    while not client.established:
        server.receive_data(client.data_to_send())
        client.receive_data(server.data_to_send())
    return x509.load_der_x509_certificate(client.ssl_object.getpeercert(binary_form=True) or b"")


def names(certificate: x509.Certificate) -> list[str]:
    value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return list(value.get_values_for_type(x509.DNSName))


def test_variations_are_combined() -> None:
    contexts = Contexts(None, Behaviour(), ("127.0.0.1", "localhost"))
    own, now = served(contexts.own), datetime.datetime.now(datetime.UTC)
    assert "localhost" in names(own)
    for variations in map(frozenset, itertools.combinations(ALL, 2)):
        made = contexts(variations)
        assert made is contexts(variations) is not contexts.own
        assert (made.maximum_version is ssl.TLSVersion.TLSv1_2) == ("tls-1.2" in variations)
        assert (made.verify_mode is ssl.CERT_REQUIRED) == ("client-certificate" in variations)
        made.verify_mode = ssl.CERT_NONE  # this client has no certificate
        found, expired = served(made), "expired" in variations
        assert ("localhost" not in names(found)) == ("other-name" in variations)
        assert (found.issuer != own.issuer) == ("unknown-ca" in variations)
        assert (found.not_valid_after_utc < now) == expired
        assert (found.not_valid_before_utc > now) == ("not-yet-valid" in variations and not expired)
    first, second = (contexts(frozenset({"expiring"}), lifetime) for lifetime in (60, 120))
    assert served(second).not_valid_after_utc > served(first).not_valid_after_utc


def test_a_configured_certificate(tmp_path: Path) -> None:
    chain, key = development_ca().issue("mine.example")
    file = tmp_path / "mine.pem"
    file.write_bytes(key + chain)
    contexts = Contexts(Certificate(file), Behaviour(), ("localhost",))
    assert contexts.ca_file == file
    assert names(served(contexts.own)) == ["mine.example"]
    assert names(served(contexts(frozenset({"expired"})))) == ["localhost"]
