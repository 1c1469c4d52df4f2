"""TLS: versions, certificates, groups, tickets, alerts and plain text."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cbspec.profile.identity import DevelopmentCA
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec_simulator.settings.config import ConfigError
from cbspec_simulator.variations.parts import Change, layered, part, served_by

ONE_SUITE = Path(__file__).with_name("one-cipher-suite.cnf")
"""The OpenSSL configuration of the variant one-cipher-suite: OpenSSL reads it at the start of a process."""

_TLS, _NO_1_1, _NO_1_2 = ssl.TLSVersion, ssl.OP_NO_TLSv1_1, ssl.OP_NO_TLSv1_2

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def _versions(lowest: ssl.TLSVersion, highest: ssl.TLSVersion, *without: ssl.Options) -> Change:
    """Serve the versions of TLS from `lowest` to `highest` except some."""

    def change(context: ssl.SSLContext) -> None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.maximum_version = highest
            context.minimum_version = lowest
            for option in without:
                context.options |= option

    return served_by(change)


def _alerting(alert: bytes) -> Change:
    """Send other bytes as the alert of a failed handshake."""

    class AlertingLayer(TlsLayer):
        def receive_data(self, data: bytes) -> bytes:
            try:
                return super().receive_data(data)
            except TlsFailed:
                if not self.established and self.data_to_send():
                    self._outgoing.write(alert)
                raise

    return layered(AlertingLayer)


class _EitherLayer(TlsLayer):
    """Uses TLS if a client begins with a TLS record, and plain text otherwise."""

    _plain: bool | None = None

    def receive_data(self, data: bytes) -> bytes:
        if self._plain is None:
            self._plain = self.established = data[:1] != b"\x16"
        return data if self._plain else super().receive_data(data)

    def receive_eof(self) -> bytes:
        self.ended = bool(self._plain)
        return super().receive_eof()

    def send(self, data: bytes) -> None:
        if self._plain:
            self._outgoing.write(data)
        else:
            super().send(data)

    def close(self) -> None:
        if not self._plain:
            super().close()


def _one_suite(context: ssl.SSLContext) -> None:
    suites = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.3"]
    if len(suites) != 1:
        raise ConfigError(
            "--variant one-cipher-suite: OpenSSL offers more than one suite. Only its configuration file can change "
            f"that. `cbspec simulate` loads it; in other programs set OPENSSL_CONF={ONE_SUITE}"
        )


def _tickets(number: int) -> Change:
    return served_by(lambda context: setattr(context, "num_tickets", number))


def _own_names_only(context: ssl.SSLContext) -> None:
    def selected(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int | None:
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if name not in (None, "localhost") else None

    context.sni_callback = selected


def _with_intermediate(ca: DevelopmentCA, names: Iterable[str], *, root_first: bool = False) -> tuple[bytes, bytes]:
    """Issue a certificate by an intermediate CA; the chain may have the root before the latter."""
    root, key = ca.signer()
    pem = root.public_bytes(Encoding.PEM)
    authority = trustme.CA.from_pem(pem, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    intermediate = authority.create_child_ca(key_type=trustme.KeyType.ECDSA)
    leaf = intermediate.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
    first, *others = (blob.bytes() for blob in leaf.cert_chain_pems)
    return b"".join((first, pem if root_first else b"", *others)), leaf.private_key_pem.bytes()


def _with_key(generate: Callable[[], PrivateKey]) -> Change:
    """Issue certificates that differ from the usual ones in their keys."""

    def issue(ca: DevelopmentCA, names: Iterable[str]) -> tuple[bytes, bytes]:
        key, (_, root_key) = generate(), ca.signer()
        usual = x509.load_pem_x509_certificate(ca.issue(*names)[0])
        builder = x509.CertificateBuilder(usual.issuer, usual.subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(usual.not_valid_before_utc).not_valid_after(usual.not_valid_after_utc)
        for extension in usual.extensions:
            own = isinstance(extension.value, x509.SubjectKeyIdentifier)
            value = x509.SubjectKeyIdentifier.from_public_key(key.public_key()) if own else extension.value
            builder = builder.add_extension(value, extension.critical)
        certificate = builder.sign(root_key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM), private

    return part(certificate=issue)


CHANGES: dict[str, Change] = {
    "tls-1.3-refused": _versions(_TLS.TLSv1_2, _TLS.TLSv1_2),
    "tls-1.2-accepted": _versions(_TLS.TLSv1_2, _TLS.TLSv1_3),
    "tls-1.1-accepted": _versions(_TLS.TLSv1_1, _TLS.TLSv1_3, _NO_1_2),
    "tls-1.0-accepted": _versions(_TLS.TLSv1, _TLS.TLSv1_3, _NO_1_2, _NO_1_1),
    "plain-text-served": layered(_EitherLayer),
    "tls-no-alert": _alerting(b""),
    "other-alert": _alerting(bytes.fromhex("15030300020228")),  # handshake_failure (Source: RFC 8446, 6)
    "rsa-certificate": _with_key(lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    "p384-certificate": _with_key(lambda: ec.generate_private_key(ec.SECP384R1())),
    "ed25519-certificate": _with_key(ed25519.Ed25519PrivateKey.generate),
    "p521-certificate": _with_key(lambda: ec.generate_private_key(ec.SECP521R1())),
    "intermediate-ca": part(certificate=_with_intermediate),
    "root-inside-chain": part(certificate=partial(_with_intermediate, root_first=True)),
    "one-group": served_by(lambda context: context.set_ecdh_curve("secp384r1")),
    "one-curve": served_by(lambda context: context.set_ecdh_curve("prime256v1")),
    "no-tickets": _tickets(0),
    "no-session-tickets": _tickets(0),
    "many-tickets": _tickets(8),
    "alpn": served_by(lambda context: context.set_alpn_protocols(["cloudbridge/2"])),
    "client-certificate-asked": served_by(lambda context: setattr(context, "verify_mode", ssl.CERT_OPTIONAL)),
    "one-cipher-suite": served_by(_one_suite),
    "unknown-server-name-refused": served_by(_own_names_only),
}
