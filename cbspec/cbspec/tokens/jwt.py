"""JSON Web Tokens: minted and verified with a key and the key's one algorithm, never the token's own choice."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, Self

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import HMACAlgorithm

# HMAC fills a key that is shorter than the hash function's block with zero bytes (RFC 2104, 2), so a secret filled up
# here signs the same, and PyJWT has no short key to warn about.
_HMAC_BLOCK: Final = {"HS256": 64, "HS384": 128, "HS512": 128}
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_EC: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_MIN_RSA_BITS: Final = 2048

ALGORITHMS: Final = (*_HMAC_BLOCK, *_RSA, *_EC.values(), "EdDSA")
"""Every algorithm that a key may be made for."""

# Looked through in order: PyJWT's own texts may quote the token, these never do.
_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.InvalidSignatureError, "the signature doesn't belong to the token and the key"),
    (jwt.InvalidAlgorithmError, "the header's algorithm isn't the key's"),
    (jwt.InvalidIssuerError, "the issuer isn't the expected one"),
    (jwt.InvalidAudienceError, "the audience isn't the expected one"),
    (jwt.exceptions.InvalidSubjectError, "the subject isn't a string"),
    (jwt.MissingRequiredClaimError, "a required claim is missing"),
    (Exception, "it isn't a JWT"),
)


class TokenRejected(Exception):
    """A token was refused; `reason` says why without a word of the token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Key(Protocol):
    """What verifies tokens: a public key, or a secret, and the one algorithm that it is used with."""

    @property
    def algorithm(self) -> str:
        """The algorithm's name."""

    @property
    def public(self) -> Any:  # noqa: ANN401 - any of the key types of PyJWT
        """The key itself."""


Choose = Callable[[str], Key]
"""Gives the key that a token is to be verified with, by what it says of it; raises `TokenRejected` where none fits."""


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A key and the one algorithm that it is used with.

    Make it with `hmac` or `from_pem`, which check that key and algorithm fit.
    """

    algorithm: str
    private: Any = field(repr=False)
    public: Any = field(repr=False)

    @classmethod
    def hmac(cls, secret: str | bytes, algorithm: str = "HS256") -> Self:
        """Make a key of a shared secret, for HS256, HS384 or HS512; ValueError where it can't serve as one."""
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
        """Make a key of a private key in PEM form: the bytes, or the path of a file that holds them.

        The algorithm follows from the key (RSA: RS256, P-256: ES256, P-384: ES384, P-521: ES512, Ed25519 and Ed448:
        EdDSA) unless one that fits is named. ValueError where the key can't be read or doesn't fit, OSError where the
        file can't.
        """
        data = pem.read_bytes() if isinstance(pem, Path) else pem
        try:
            private = load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError("not an unencrypted private key in PEM form") from None
        fitting = fitting_algorithms(private)
        if algorithm is not None and algorithm not in fitting:
            raise ValueError(f"this key signs with {', '.join(fitting)}, not with {algorithm}")
        return cls(algorithm or fitting[0], private, private.public_key())

    @property
    def symmetric(self) -> bool:
        """Whether the key that signs is the one that verifies."""
        return self.algorithm in _HMAC_BLOCK

    def sign(self, message: bytes) -> bytes:
        """Sign bytes as they are (Source: RFC 7515, 5.1)."""
        return jwt.get_algorithm_by_name(self.algorithm).sign(message, self.private)


def fitting_algorithms(key: object) -> tuple[str, ...]:
    """Return what a private or public key may be used with, the usual first; ValueError where it fits no algorithm."""
    match key:
        case rsa.RSAPrivateKey(key_size=bits) | rsa.RSAPublicKey(key_size=bits):
            if bits < _MIN_RSA_BITS:
                raise ValueError(f"an RSA key needs {_MIN_RSA_BITS} bits or more, this one has {bits}")
            return _RSA
        case ec.EllipticCurvePrivateKey(curve=curve) | ec.EllipticCurvePublicKey(curve=curve) if curve.name in _EC:
            return (_EC[curve.name],)
        case ed25519.Ed25519PrivateKey() | ed25519.Ed25519PublicKey():
            return ("EdDSA",)
        case ed448.Ed448PrivateKey() | ed448.Ed448PublicKey():
            return ("EdDSA",)
    raise ValueError("tokens are signed with an RSA, P-256, P-384, P-521, Ed25519 or Ed448 key")


def mint(key: SigningKey, claims: Mapping[str, object], headers: Mapping[str, object] | None = None) -> str:
    """Sign claims, whatever they say, and give the token in its compact form."""
    payload = json.dumps(dict(claims), separators=(",", ":"), allow_nan=False).encode()
    return _signer().encode(payload, key.private, key.algorithm, dict(headers or {}))


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says: `subject` is empty and `tenant_id` None where it says nothing."""

    subject: str
    tenant_id: object
    all: Mapping[str, object]


class Verifier:
    """Decides whether a token is good at a given time.

    `key` verifies every token, or chooses a key for each (as `cbspec.tokens.jwks.KeySet.choose` does). `leeway` is in
    seconds, for the clocks' difference; `issuer` and `audience` are asked for only where given.
    Source: Message Types / 2. Authentication; RFC 7519.
    """

    def __init__(
        self,
        key: SigningKey | Choose,
        *,
        leeway: float = 0.0,
        issuer: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._choose: Choose = (lambda _: key) if isinstance(key, SigningKey) else key
        self._secret = _prepared(key) if isinstance(key, SigningKey) and key.symmetric else None
        self._leeway = leeway
        self._issuer = issuer
        self._audience = audience

    def verify(self, token: str, now: float) -> Claims:
        """Give a good token's claims; raise `TokenRejected` otherwise. `now` is in seconds since the epoch."""
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
        # A hostile token may trip the parser in more ways than PyJWT names: a lone surrogate, a header nested too
        # deep, an algorithm that is an array.
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise TokenRejected(next(text for kind, text in _REASONS if isinstance(error, kind))) from None


class _Prepared(HMACAlgorithm):
    """HMAC with a secret that `SigningKey.hmac` has looked at, as PyJWT would again for each token."""

    def prepare_key(self, key: str | bytes) -> bytes:
        """Return the secret as it is."""
        return key.encode() if isinstance(key, str) else key

    def check_key_length(self, key: bytes) -> None:
        """Find nothing wrong with it: `SigningKey.hmac` has filled it up."""


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
    """Read a time claim (Source: RFC 7519, 2, NumericDate)."""
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
