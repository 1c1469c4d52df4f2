"""Mint and verify JSON Web Tokens; make keys. The algorithm follows from the key, never from the token."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.algorithms import HMACAlgorithm

from cbspec.tokens.jws import dump

# HMAC pads a short key with zero bytes (RFC 2104, 2). A secret is padded here already, so that PyJWT doesn't warn.
_HMAC_BLOCK: Final = {"HS256": 64, "HS384": 128, "HS512": 128}
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_EC: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_MIN_RSA_BITS: Final = 2048

OF_KEY_PAIRS: Final = (*_RSA, *_EC.values(), "EdDSA")
"""The algorithms that sign with a key pair."""

ALGORITHMS: Final = (*_HMAC_BLOCK, *OF_KEY_PAIRS)
"""The supported algorithms."""

_CURVES: Final = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}

# The first match counts. PyJWT's own texts may contain the token.
_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.InvalidSignatureError, "the signature doesn't match the token and the key"),
    (jwt.InvalidAlgorithmError, "the header's algorithm isn't the key's"),
    (jwt.InvalidIssuerError, "the issuer isn't the expected one"),
    (jwt.InvalidAudienceError, "the audience isn't the expected one"),
    (jwt.exceptions.InvalidSubjectError, "the subject isn't a string"),
    (jwt.MissingRequiredClaimError, "a required claim is missing"),
    (Exception, "it isn't a JWT"),
)


class TokenRejected(Exception):
    """A token was rejected; `reason` contains no part of it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A key that signs tokens, with its algorithm; created by `hmac` or `from_pem`, which check both."""

    algorithm: str
    private: Any = field(repr=False)
    public: Any = field(repr=False)

    @classmethod
    def hmac(cls, secret: str | bytes, algorithm: str = "HS256") -> Self:
        """Return a key from a shared secret, for HS256, HS384 or HS512. Raises ValueError."""
        if algorithm not in _HMAC_BLOCK:
            raise ValueError(f"a secret signs with {', '.join(_HMAC_BLOCK)}, not with {algorithm}")
        raw = secret.encode() if isinstance(secret, str) else secret
        if not raw:
            raise ValueError("the secret is empty")
        padded = raw.ljust(_HMAC_BLOCK[algorithm], b"\0")
        try:
            jwt.get_algorithm_by_name(algorithm).prepare_key(padded)
        except jwt.InvalidKeyError:
            raise ValueError("the secret looks like a key pair's PEM text; name it as a key file") from None
        return cls(algorithm, padded, padded)

    @classmethod
    def from_pem(cls, pem: bytes | Path, algorithm: str | None = None) -> Self:
        """Return a key from a private key in PEM form, given as bytes or as the path of a file.

        The default algorithm is RS256 for RSA, ES256 for P-256, ES384 for P-384, ES512 for P-521, and EdDSA for Ed25519
        and Ed448. Raises ValueError if the key is unreadable or doesn't fit the algorithm, OSError for the file.
        """
        data = pem.read_bytes() if isinstance(pem, Path) else pem
        try:
            private = load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError("not an unencrypted private key in PEM form") from None
        return cls(choose_algorithm(private, algorithm), private, private.public_key())

    @property
    def symmetric(self) -> bool:
        """Whether the same key signs and verifies."""
        return self.algorithm in _HMAC_BLOCK

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message (Source: RFC 7515, 5.1)."""
        return jwt.get_algorithm_by_name(self.algorithm).sign(message, self.private)


@dataclass(frozen=True, slots=True, eq=False)
class PublicKey:
    """A public key with its algorithm and its key id (kid)."""

    algorithm: str
    public: Any = field(repr=False)
    key_id: str | None = None

    @classmethod
    def from_pem(cls, data: bytes, algorithm: str | None = None) -> Self:
        """Return the key from a public or private key in PEM form; the algorithm defaults to the usual one of the key.

        Raises ValueError if the key is unreadable or doesn't fit the algorithm.
        """
        if b"-----BEGIN PUBLIC KEY-----" not in data:
            pair = SigningKey.from_pem(data, algorithm)
            return cls(pair.algorithm, pair.public)
        try:
            public = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError("not a public key in PEM form") from None
        return cls(choose_algorithm(public, algorithm), public)


VerificationKey = SigningKey | PublicKey
"""A public key or secret that verifies tokens, with its algorithm."""

KeyChooser = Callable[[str], VerificationKey]
"""Returns the key for a token, chosen by its header; raises `TokenRejected` if none fits."""


def fitting_algorithms(key: object) -> tuple[str, ...]:
    """Return the algorithms for a private or public key, the default first. Raises ValueError if there are none."""
    match key:
        case rsa.RSAPrivateKey(key_size=bits) | rsa.RSAPublicKey(key_size=bits):
            if bits < _MIN_RSA_BITS:
                raise ValueError(f"an RSA key needs {_MIN_RSA_BITS} bits or more, this one has {bits}")
            return _RSA
        case ec.EllipticCurvePrivateKey(curve=curve) | ec.EllipticCurvePublicKey(curve=curve) if curve.name in _EC:
            return (_EC[curve.name],)
        case (
            ed25519.Ed25519PrivateKey() | ed25519.Ed25519PublicKey() | ed448.Ed448PrivateKey() | ed448.Ed448PublicKey()
        ):
            return ("EdDSA",)
    raise ValueError("tokens are signed with an RSA, P-256, P-384, P-521, Ed25519 or Ed448 key")


def choose_algorithm(key: object, algorithm: str | None) -> str:
    """Return `algorithm`, or the default one of a private or public key. Raises ValueError if the key doesn't fit."""
    fitting = fitting_algorithms(key)
    if algorithm is not None and algorithm not in fitting:
        raise ValueError(f"this key signs with {', '.join(fitting)}, not with {algorithm}")
    return algorithm or fitting[0]


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


def mint(key: SigningKey, claims: Mapping[str, object], headers: Mapping[str, object] | None = None) -> str:
    """Return a token with the claims, which are not checked."""
    return _signer().encode(dump(claims), key.private, key.algorithm, dict(headers or {}))


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token; `subject` is empty and `tenant_id` None if absent."""

    subject: str
    tenant_id: object
    all: Mapping[str, object]


class Verifier:
    """Verifies tokens.

    `key` verifies every token, or is a function that chooses a key for each, such as `KeySet.choose`. `leeway` is the
    allowed difference of clocks in seconds. `issuer` and `audience` are required if given.
    Source: Message Types / 2. Authentication; RFC 7519.
    """

    def __init__(
        self,
        key: SigningKey | KeyChooser,
        *,
        leeway: float = 0.0,
        issuer: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._choose: KeyChooser = (lambda _: key) if isinstance(key, SigningKey) else key
        self._secret = _prepared(key) if isinstance(key, SigningKey) and key.symmetric else None
        self._leeway = leeway
        self._issuer = issuer
        self._audience = audience

    def verify(self, token: str, now: float) -> Claims:
        """Return the claims of a token that is valid at `now`, in seconds since the epoch. Raises TokenRejected."""
        decoded = self._decode(token)
        if "crit" in decoded["header"]:
            raise TokenRejected("its header demands an extension")
        claims: dict[str, object] = decoded["payload"]
        expires = _time(claims, "exp")
        if expires is not None and now >= expires + self._leeway:
            raise TokenRejected("it has expired")
        begins = _time(claims, "nbf")
        if begins is not None and now < begins - self._leeway:
            raise TokenRejected("it isn't valid yet")
        return Claims(subject=str(claims.get("sub", "")), tenant_id=claims.get("tenant_id"), all=claims)

    def _decode(self, token: str) -> dict[str, Any]:
        key = self._choose(token)
        try:
            return jwt.decode_complete(
                token,
                self._secret or key.public,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_jti": False,
                    "verify_aud": self._audience is not None,
                },
            )
        # PyJWT lets some exceptions of hostile tokens through: lone surrogates, deep nesting, an array as algorithm.
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise TokenRejected(next(text for kind, text in _REASONS if isinstance(error, kind))) from None


class _Prepared(HMACAlgorithm):
    """HMAC without PyJWT's checks of the secret for each token, which `SigningKey.hmac` has made."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return key.encode() if isinstance(key, str) else key

    def check_key_length(self, key: bytes) -> None:
        pass


@cache
def _signer() -> jwt.PyJWS:
    signer = jwt.PyJWS()
    for name in _HMAC_BLOCK:
        usual = signer.get_algorithm_by_name(name)
        assert isinstance(usual, HMACAlgorithm)  # noqa: S101 - by its name
        signer.unregister_algorithm(name)
        signer.register_algorithm(name, _Prepared(usual.hash_alg))
    return signer


def _prepared(key: SigningKey) -> jwt.PyJWK:
    made = jwt.PyJWK(HMACAlgorithm.to_jwk(key.public, as_dict=True), key.algorithm)
    assert isinstance(made.Algorithm, HMACAlgorithm)  # noqa: S101 - for a symmetric key
    made.Algorithm = _Prepared(made.Algorithm.hash_alg)
    return made


def _time(claims: Mapping[str, object], name: str) -> float | None:
    """Return a time claim (Source: RFC 7519, 2, NumericDate)."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            seconds = float(value)
        except OverflowError:
            seconds = math.inf
        if math.isfinite(seconds):
            return seconds
    raise TokenRejected(f"its {name} is not a finite number")
