"""Certificates with other keys or chains, signed by the development CA."""

from __future__ import annotations

from collections.abc import Iterable

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cbspec.profile.identity import DevelopmentCA


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
    root, key = ca.signer()
    root_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    authority = trustme.CA.from_pem(root.public_bytes(Encoding.PEM), root_key)
    intermediate = authority.create_child_ca(key_type=trustme.KeyType.ECDSA)
    leaf = intermediate.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems), leaf.private_key_pem.bytes()


def _issue(
    ca: DevelopmentCA,
    names: Iterable[str],
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> tuple[bytes, bytes]:
    """Issue a certificate that differs from the usual one in its key."""
    usual = x509.load_pem_x509_certificate(ca.issue(*names)[0])
    _, root_key = ca.signer()
    builder = x509.CertificateBuilder(usual.issuer, usual.subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(usual.not_valid_before_utc).not_valid_after(usual.not_valid_after_utc)
    for extension in usual.extensions:
        own = isinstance(extension.value, x509.SubjectKeyIdentifier)
        value = x509.SubjectKeyIdentifier.from_public_key(key.public_key()) if own else extension.value
        builder = builder.add_extension(value, extension.critical)
    certificate = builder.sign(root_key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private
