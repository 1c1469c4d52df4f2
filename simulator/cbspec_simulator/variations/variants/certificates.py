"""Certificates with other keys or chains, signed by the development CA."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cbspec.profile.identity import DevelopmentCA

_DAY = datetime.timedelta(days=1)
_YEAR = 365 * _DAY
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def rsa_2048(ca: DevelopmentCA, names: Iterable[str]) -> tuple[bytes, bytes]:
    """Issue a certificate for an RSA key."""
    return _issue(ca, names, rsa.generate_private_key(public_exponent=65537, key_size=2048))


def p_384(ca: DevelopmentCA, names: Iterable[str]) -> tuple[bytes, bytes]:
    """Issue a certificate for a P-384 key."""
    return _issue(ca, names, ec.generate_private_key(ec.SECP384R1()))


def ed_25519(ca: DevelopmentCA, names: Iterable[str]) -> tuple[bytes, bytes]:
    """Issue a certificate for an Ed25519 key."""
    return _issue(ca, names, ed25519.Ed25519PrivateKey.generate())


def with_intermediate(ca: DevelopmentCA, names: Iterable[str]) -> tuple[bytes, bytes]:
    """Issue a certificate by an intermediate CA."""
    root, root_key = ca.signer()
    between_key = ec.generate_private_key(ec.SECP256R1())
    between = _certificate("development CA's own CA", between_key, root).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    signed = between.sign(root_key, hashes.SHA256())
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _leaf(names, key, signed).sign(between_key, hashes.SHA256())
    return _pem(leaf) + _pem(signed), _key_pem(key)


def _issue(ca: DevelopmentCA, names: Iterable[str], key: Key) -> tuple[bytes, bytes]:
    root, root_key = ca.signer()
    return _pem(_leaf(names, key, root).sign(root_key, hashes.SHA256())), _key_pem(key)


def _leaf(names: Iterable[str], key: Key, issuer: x509.Certificate) -> x509.CertificateBuilder:
    return (
        _certificate("relay", key, issuer)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )


def _certificate(subject: str, key: Key, issuer: x509.Certificate) -> x509.CertificateBuilder:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"cbspec {subject}")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _YEAR)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
