"""Key pairs, made anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cbspec.tokens.jwt import ALGORITHMS

OF_KEY_PAIRS: Final = tuple(name for name in ALGORITHMS if not name.startswith("HS"))
"""The algorithms that a key pair signs by."""

_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}
_RSA_BITS: Final = 2048


def new_pair(algorithm: str) -> bytes:
    """Make a private key for an algorithm of `OF_KEY_PAIRS`, in PEM form; EdDSA's is an Ed25519 one."""
    if algorithm in _CURVES:
        return pem(ec.generate_private_key(_CURVES[algorithm]))
    if algorithm == "EdDSA":
        return pem(ed25519.Ed25519PrivateKey.generate())
    if algorithm in OF_KEY_PAIRS:
        return pem(rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS))
    raise ValueError(f"the algorithm is none that a key can be made for: {', '.join(OF_KEY_PAIRS)}")


def pem(private: PrivateKeyTypes) -> bytes:
    """Write a private key in PEM form, not encrypted."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
