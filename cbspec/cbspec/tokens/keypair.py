"""New key pairs."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cbspec.tokens.jwt import ALGORITHMS

OF_KEY_PAIRS: Final = tuple(name for name in ALGORITHMS if not name.startswith("HS"))
"""The algorithms that sign with a key pair."""

_CURVES: Final = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def new_pair(algorithm: str) -> bytes:
    """Return a new private key in PEM form for an algorithm of `OF_KEY_PAIRS`; for EdDSA, an Ed25519 key."""
    if algorithm in _CURVES:
        return pem(ec.generate_private_key(_CURVES[algorithm]))
    if algorithm == "EdDSA":
        return pem(ed25519.Ed25519PrivateKey.generate())
    if algorithm in OF_KEY_PAIRS:
        return pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    raise ValueError(f"no key can be made for this algorithm; choose one of {', '.join(OF_KEY_PAIRS)}")


def pem(private: PrivateKeyTypes) -> bytes:
    """Return an unencrypted private key in PEM form."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
