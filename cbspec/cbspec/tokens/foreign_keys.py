"""Tokens signed with a key that isn't the issuer's, or with another algorithm than the header names."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from threading import Thread
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from cbspec.tokens.jws import CompactJws, dump, encode
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


def sign_by_known(key: SigningKey, valid: CompactJws, secret: bytes) -> str:
    """Sign by HMAC with a secret that anyone can know. Raises ValueError if it is the right one."""
    algorithm = key.algorithm if key.symmetric else "HS256"
    if key.symmetric and key.sign(b"") == hmac.digest(secret, b"", f"sha{algorithm[2:]}"):
        raise ValueError("this is the relay's secret")
    return _by_hmac(valid, secret, algorithm)


def confuse(key: SigningKey, valid: CompactJws) -> str:
    """Use the public key as an HMAC secret, or name a key pair's algorithm for an HMAC (Source: RFC 8725, 2.1)."""
    if key.symmetric:
        return str(CompactJws.signed({**valid.headers, "alg": "RS256"}, valid.payload, key.sign))
    return _by_hmac(valid, public_forms(key.public)["PEM"])


def sign_by_public_key(key: SigningKey, valid: CompactJws, form: str) -> str:
    """Use a form of the public key as an HMAC secret. Raises ValueError if the key is no key pair's."""
    if key.symmetric:
        raise ValueError("the relay's key has no public half")
    return _by_hmac(valid, public_forms(key.public)[form])


def sign_by_certificate(certificate: bytes, valid: CompactJws, form: str) -> str:
    """Use a form of a certificate (DER), or of its public key, as an HMAC secret. Raises ValueError."""
    read = x509.load_der_x509_certificate(certificate)
    if not form.startswith("certificate"):
        return _by_hmac(valid, public_forms(read.public_key())[form])
    text = read.public_bytes(Encoding.PEM)
    forms = {"PEM": text, "PEM without line feed": text.rstrip(b"\n"), "DER": certificate}
    return _by_hmac(valid, {**forms, "x5c": base64.b64encode(certificate)}[form.removeprefix("certificate ")])


PUBLIC_FORMS: Final = ("PEM", "PEM without line feed", "DER", "raw bytes", "JWK", "base64 DER")
"""The forms of a public key in which it is found in files and key sets."""


def public_forms(public: Any) -> dict[str, bytes]:  # noqa: ANN401 - any library's public key
    """Return a public key in each of `PUBLIC_FORMS`; the raw bytes of an RSA key are its modulus."""
    text = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    match public:
        case rsa.RSAPublicKey():
            jwk, raw = (
                jwt.algorithms.RSAAlgorithm.to_jwk(public),
                public.public_numbers().n.to_bytes(public.key_size // 8),
            )
        case ec.EllipticCurvePublicKey():
            jwk = jwt.algorithms.ECAlgorithm.to_jwk(public)
            raw = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        case _:
            jwk = jwt.algorithms.OKPAlgorithm.to_jwk(public)
            raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    forms = (text, text.rstrip(b"\n"), der, raw, jwk.encode(), base64.b64encode(der))
    return dict(zip(PUBLIC_FORMS, forms, strict=True))


def rename(key: SigningKey, valid: CompactJws) -> str:
    """Sign with the right key, and name another algorithm."""
    other = "EdDSA" if key.algorithm == "ES256" else "ES256"
    return str(CompactJws.signed({**valid.headers, "alg": other}, valid.payload, key.sign))


def with_public_key(valid: CompactJws) -> str:
    """Include the public key in the header (Source: RFC 7515, 4.1.3)."""
    return _rs256(valid, jwk=json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_rsa_key().public_key())))


def with_certificate(valid: CompactJws) -> str:
    """Include our certificate in the header (Source: RFC 7515, 4.1.6)."""
    return _rs256(valid, x5c=[base64.b64encode(own_certificate()).decode()])


def with_key_address(valid: CompactJws) -> str:
    """Name the URL of the key, in a domain that can't exist (Source: RFC 7515, 4.1.2; RFC 2606, 2)."""
    return _rs256(valid, jku="https://keys.cbspec.invalid/jwks.json", kid="cbspec")


def with_secret(valid: CompactJws, secret: str) -> str:
    """Include the HMAC secret in the header (Source: RFC 7515, 4.1.3)."""
    raw = hashlib.sha256(secret.encode()).digest()
    return _by_hmac(with_headers(valid, jwk={"kty": "oct", "k": encode(raw), "alg": "HS256"}), raw)


def with_key_path(valid: CompactJws) -> str:
    """Use the path of a file that is empty on most systems as the key id, and its content as the secret."""
    return _by_hmac(with_headers(valid, kid="../../../../../../../../dev/null"), b"")


def with_headers(token: CompactJws, **members: object) -> CompactJws:
    """Add members to a token's header; the signature no longer fits."""
    return replace(token, header=dump({**token.headers, **members}))


def _by_hmac(valid: CompactJws, secret: bytes, algorithm: str = "HS256") -> str:
    header = {**valid.headers, "alg": algorithm}
    digest = f"sha{algorithm[2:]}"
    return str(CompactJws.signed(header, valid.payload, lambda data: hmac.digest(secret, data, digest)))


def _rs256(valid: CompactJws, **header: object) -> str:
    return str(CompactJws.signed({**valid.headers, "alg": "RS256", **header}, valid.payload, _rs256_key().sign))


def _own_pair(algorithm: str, signature_length: int) -> bytes:
    """Return a new key pair for an algorithm; the length of the signature distinguishes the curves of EdDSA."""
    if algorithm[:2] in ("RS", "PS"):
        return pem(_rsa_key())
    if algorithm == "EdDSA" and signature_length > _ED25519_SIGNATURE:
        return pem(ed448.Ed448PrivateKey.generate())
    return new_pair(algorithm)


def prepare() -> Callable[[], None]:
    """Begin to generate the RSA key, and return a function that awaits it.

    Each process forked later would generate its own, in a tenth of a second.
    """
    generation = Thread(target=_rs256_key)
    generation.start()
    return generation.join


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    """Return the RSA key of this process: its generation takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def _rs256_key() -> SigningKey:
    return SigningKey.from_pem(pem(_rsa_key()), "RS256")


@cache
def own_certificate() -> bytes:
    """Return a certificate of the RSA key of this process in DER."""
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
