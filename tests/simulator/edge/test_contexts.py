"""The contexts of TLS: whose certificate each serves, and when it is made."""

from __future__ import annotations

import datetime
import itertools
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from cbspec.profile.identity import development_ca
from cbspec.protocol.tls import TlsLayer
from cbspec_simulator.edge.contexts import Contexts
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Certificate
from tests.support.client import context

NAMES = ("127.0.0.1", "localhost")
ALL = ("tls-1.2", "client-certificate", "expired", "not-yet-valid", "other-name", "unknown-ca")


def _way(name: str) -> frozenset[str]:
    return frozenset({name})


def _served(served: ssl.SSLContext) -> x509.Certificate:
    """Return the certificate that a client sees who looks at nothing."""
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    client, server = TlsLayer(blind, server_side=False), TlsLayer(served, server_side=True)
    while not client.established:
        server.receive_data(client.data_to_send())
        client.receive_data(server.data_to_send())
    der = client.certificate
    assert der is not None
    return x509.load_der_x509_certificate(der)


@pytest.fixture
def contexts() -> Contexts:
    """Return the contexts of a relay with the development identity."""
    return Contexts(None, Behaviour(), NAMES)


def test_its_own(contexts: Contexts) -> None:
    assert contexts.ca_file == development_ca().ca_file
    names = _served(contexts.own).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)


@pytest.mark.parametrize("name", ALL)
def test_each_is_made_once_when_it_is_asked_for(contexts: Contexts, name: str) -> None:
    assert contexts(_way(name)) is contexts(_way(name))
    assert contexts(_way(name)) is not contexts.own


def test_when_each_certificate_is_valid(contexts: Contexts) -> None:
    now = datetime.datetime.now(datetime.UTC)
    assert _served(contexts(_way("expired"))).not_valid_after_utc < now
    assert _served(contexts(_way("not-yet-valid"))).not_valid_before_utc > now
    for name in ("other-name", "unknown-ca", "tls-1.2"):
        served = _served(contexts(_way(name)))
        assert served.not_valid_before_utc < now < served.not_valid_after_utc


def test_who_issued_it(contexts: Contexts) -> None:
    issuer = _served(contexts.own).issuer
    assert all(_served(contexts(_way(name))).issuer == issuer for name in ("expired", "not-yet-valid", "other-name"))
    assert _served(contexts(_way("unknown-ca"))).issuer != issuer


def test_one_that_expires_is_made_anew_each_time(contexts: Contexts) -> None:
    one, other = contexts(_way("expiring"), 60), contexts(_way("expiring"), 120)
    assert _served(other).not_valid_after_utc > _served(one).not_valid_after_utc


@pytest.mark.parametrize("ways", list(itertools.combinations(sorted(ALL), 2)))
def test_they_go_together(contexts: Contexts, ways: tuple[str, str]) -> None:
    both, now = frozenset(ways), datetime.datetime.now(datetime.UTC)
    made = contexts(both)
    assert (made.maximum_version is ssl.TLSVersion.TLSv1_2) == ("tls-1.2" in both)
    assert (made.verify_mode is ssl.CERT_REQUIRED) == ("client-certificate" in both)
    if made.verify_mode is ssl.CERT_REQUIRED:
        made.verify_mode = ssl.CERT_NONE  # the client of this test has none
    served = _served(made)
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ("localhost" not in names.get_values_for_type(x509.DNSName)) == ("other-name" in both)
    assert (served.issuer != _served(contexts.own).issuer) == ("unknown-ca" in both)
    assert (served.not_valid_after_utc < now) == ("expired" in both)
    assert (served.not_valid_before_utc > now) == ("not-yet-valid" in both and "expired" not in both)


def test_a_certificate_of_its_own(tmp_path: Path) -> None:
    chain, key = development_ca().issue("mine.example")
    file = tmp_path / "mine.pem"
    file.write_bytes(key + chain)
    contexts = Contexts(Certificate(file), Behaviour(), NAMES)
    assert contexts.ca_file == file
    names = _served(contexts.own).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mine.example"]
    for name in ALL:
        _served(contexts(_way(name))) if name != "client-certificate" else contexts(_way(name))


def test_a_client_that_checks_accepts_its_own_only(contexts: Contexts) -> None:
    def meets(served: ssl.SSLContext) -> str:
        client = TlsLayer(context(), server_side=False, server_name="localhost")
        server = TlsLayer(served, server_side=True)
        try:
            while not client.established:
                server.receive_data(client.data_to_send())
                client.receive_data(server.data_to_send())
        except Exception as error:
            return type(error).__name__
        return "fine"

    assert meets(contexts.own) == "fine"
    assert {meets(contexts(_way(name))) for name in ("expired", "not-yet-valid", "other-name", "unknown-ca")} == {
        "TlsFailed"
    }


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Contexts(Certificate(tmp_path / "none.pem"), Behaviour(), NAMES)
