"""Tokens signed with a key that isn't the issuer's, or with another algorithm than the header names."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
from functools import cache
from typing import Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from cbspec.tokens.jws import CompactJws, encode
from cbspec.tokens.jwt import SigningKey, new_pair, pem

_ED25519_SIGNATURE: Final = 64  # bytes; Ed448's are longer (Source: RFC 8032, 5.1.6 and 5.2.6)


def sign_alike(valid: CompactJws, secret: str) -> str:
    """Sign the same header and payload with the same algorithm and a key of our own."""
    algorithm = str(valid.headers.get("alg"))
    if algorithm.startswith("HS"):
        key = SigningKey.hmac(secret, algorithm)
    else:
        key = SigningKey.from_pem(_own_pair(algorithm, len(valid.signature)), algorithm)
    return str(CompactJws.signed(valid.headers, valid.payload, key.sign))


def sign_by_guess(key: SigningKey, valid: CompactJws, guess: str) -> str:
    """Sign with a common secret, or with a variation if it is the right one."""
    right = key.symmetric and key.sign(b"") == SigningKey.hmac(guess, key.algorithm).sign(b"")
    return sign_alike(valid, f"not-{guess}" if right else guess)


def confuse(key: SigningKey, valid: CompactJws) -> str:
    """Use the public key as an HMAC secret, or name a key pair's algorithm for an HMAC (Source: RFC 8725, 2.1)."""
    if key.symmetric:
        return str(CompactJws.signed({**valid.headers, "alg": "RS256"}, valid.payload, key.sign))
    secret: bytes = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return str(CompactJws.signed({**valid.headers, "alg": "HS256"}, valid.payload, lambda data: _hs256(secret, data)))


def rename(key: SigningKey, valid: CompactJws) -> str:
    """Sign with the right key, and name another algorithm."""
    other = "EdDSA" if key.algorithm == "ES256" else "ES256"
    return str(CompactJws.signed({**valid.headers, "alg": other}, valid.payload, key.sign))


def with_public_key(valid: CompactJws) -> str:
    """Include the public key in the header (Source: RFC 7515, 4.1.3)."""
    return _rs256(valid, jwk=json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_rsa_key().public_key())))


def with_certificate(valid: CompactJws) -> str:
    """Include our certificate in the header (Source: RFC 7515, 4.1.6)."""
    return _rs256(valid, x5c=[base64.b64encode(_certificate()).decode()])


def with_key_address(valid: CompactJws) -> str:
    """Name the URL of the key, in a domain that can't exist (Source: RFC 7515, 4.1.2; RFC 2606, 2)."""
    return _rs256(valid, jku="https://keys.cbspec.invalid/jwks.json", kid="cbspec")


def with_secret(valid: CompactJws, secret: str) -> str:
    """Include the HMAC secret in the header (Source: RFC 7515, 4.1.3)."""
    raw = hashlib.sha256(secret.encode()).digest()
    header = {**valid.headers, "alg": "HS256", "jwk": {"kty": "oct", "k": encode(raw), "alg": "HS256"}}
    return str(CompactJws.signed(header, valid.payload, lambda data: _hs256(raw, data)))


def with_key_path(valid: CompactJws) -> str:
    """Use the path of a file that is empty on most systems as the key id, and its content as the secret."""
    header = {**valid.headers, "alg": "HS256", "kid": "../../../../../../../../dev/null"}
    return str(CompactJws.signed(header, valid.payload, lambda data: _hs256(b"", data)))


def _rs256(valid: CompactJws, **header: object) -> str:
    return str(CompactJws.signed({**valid.headers, "alg": "RS256", **header}, valid.payload, _rs256_key().sign))


def _hs256(secret: bytes, data: bytes) -> bytes:
    return hmac.digest(secret, data, "sha256")


def _own_pair(algorithm: str, signature_length: int) -> bytes:
    """Return a new key pair for an algorithm; the length of the signature distinguishes the curves of EdDSA."""
    if algorithm[:2] in ("RS", "PS"):
        return pem(_rsa_key())
    if algorithm == "EdDSA" and signature_length > _ED25519_SIGNATURE:
        return pem(ed448.Ed448PrivateKey.generate())
    return new_pair(algorithm)


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    """Return the RSA key of this process: its generation takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def _rs256_key() -> SigningKey:
    return SigningKey.from_pem(pem(_rsa_key()), "RS256")


@cache
def _certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cbspec: not the relay's issuer")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=_rsa_key().public_key(),
        serial_number=1,
        not_valid_before=start,
        not_valid_after=start.replace(year=2120),
    )
    return builder.sign(_rsa_key(), hashes.SHA256()).public_bytes(Encoding.DER)
