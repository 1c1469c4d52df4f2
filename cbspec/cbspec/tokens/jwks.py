"""JSON Web Key Sets (JWKS): the published public keys of an issuer, and the choice of a token's key.

Source: RFC 7517; RFC 7518, 6; RFC 8037, 2; RFC 7638.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from cbspec.tokens.jws import CompactJws, encode
from cbspec.tokens.jwt import OF_KEY_PAIRS, PublicKey, SigningKey, TokenRejected, VerificationKey, fitting_algorithms

_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
"""The members of a public key, by its type (Source: RFC 7518, 6.2.1 and 6.3.1; RFC 8037, 2)."""

_READ_BY: Final = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}  # any algorithm of a key type reads it


class UnknownKey(TokenRejected):
    """No key of the set fits a token, but a newer set may have one."""


class _UnusableKey(Exception):
    """A key of a set can't verify tokens; the text is the reason."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of a set; `skipped` are the reasons why other keys are unusable."""

    keys: tuple[PublicKey, ...] = ()
    skipped: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Return a set from its text, without the keys that can't verify tokens (Source: RFC 7517, 5).

        Raises ValueError if the text isn't a set, no key is usable, or a key is a secret or a private key.
        """
        keys: list[PublicKey] = []
        skipped: list[str] = []
        for place, member in enumerate(_list_of_keys(text), 1):
            try:
                key = _public_key(place, member, keys)
                if key is not None:
                    keys.append(key)
            except _UnusableKey as unusable:
                skipped.append(f"{_named(place, member)} is skipped: {unusable}")
        if not keys:
            raise ValueError("; ".join(["no key in it verifies signatures", *skipped]))
        return cls(tuple(keys), tuple(skipped))

    def choose(self, token: str) -> PublicKey:
        """Return the key for a token, by its key id (kid), or without one, the only key for its algorithm.

        Raises `UnknownKey` if a newer set may have the key, or else `TokenRejected`.
        """
        try:
            header = CompactJws.split(token).headers
        except ValueError:
            raise TokenRejected("it isn't a JWT") from None
        algorithm = header.get("alg")
        of_algorithm = [key for key in self.keys if key.algorithm == algorithm]
        if "kid" in header:
            named = [key for key in self.keys if key.key_id == header["kid"]]
            if not named:
                raise UnknownKey("its key id names no key of the issuer's")
            return next((key for key in named if key in of_algorithm), named[0])
        if len(of_algorithm) > 1:
            raise TokenRejected("it names no key, and several are for its algorithm")
        if not of_algorithm:
            # No future set can contain a secret or "none".
            kind = UnknownKey if algorithm in OF_KEY_PAIRS else TokenRejected
            raise kind("no key of the issuer's is for its algorithm")
        return of_algorithm[0]

    def holding(self, key: SigningKey) -> PublicKey | None:
        """Return the public half of a key pair, if it is in the set for the same algorithm."""
        return next((one for one in self.keys if (one.algorithm, one.public) == (key.algorithm, key.public)), None)


def key_id(key: VerificationKey) -> str:
    """Return the thumbprint of a public key as its id (Source: RFC 7638). Raises ValueError for a secret."""
    text = json.dumps(_required(key), separators=(",", ":"), sort_keys=True)
    return encode(hashlib.sha256(text.encode()).digest())


def public_jwk(key: VerificationKey, named: str | None = None) -> dict[str, str]:
    """Return a public key as a JWK with the id `named`, by default its thumbprint. Raises ValueError for a secret."""
    return {**_required(key), "kid": named or key_id(key), "use": "sig", "alg": key.algorithm}


def _required(key: VerificationKey) -> dict[str, str]:
    if key.algorithm not in OF_KEY_PAIRS:
        raise ValueError("a secret has no public key to publish")
    members = jwt.get_algorithm_by_name(key.algorithm).to_jwk(key.public, as_dict=True)
    return {name: members[name] for name in ("kty", *_MEMBERS[members["kty"]])}


def _list_of_keys(text: bytes) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    match found:
        case {"keys": list() as keys}:
            return keys
    raise ValueError('it is not a JWKS, a JSON object with the array "keys"')


def _public_key(place: int, member: object, before: Sequence[PublicKey]) -> PublicKey | None:
    """Return the key, or None if it isn't for signatures; `before` are the keys before it."""
    if not isinstance(member, dict):
        raise _UnusableKey("it is not a JSON object")
    kty = member.get("kty")
    if kty == "oct":
        raise ValueError(f"{_named(place, member)} is a secret (kty oct), which must not be published")
    if "d" in member:
        raise ValueError(f"{_named(place, member)} is a private key (d), which must not be published")
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list):
        raise _UnusableKey("its key_ops is not an array")
    if member.get("use", "sig") != "sig" or "verify" not in operations:
        return None
    if not isinstance(kty, str) or kty not in _MEMBERS:
        raise _UnusableKey(f"its kty is not one of {', '.join(_MEMBERS)}")
    named = member.get("kid")
    if named is not None and not isinstance(named, str):
        raise _UnusableKey("its kid is not a string")
    public = _read(kty, member)
    try:
        fitting = fitting_algorithms(public)
    except ValueError as error:
        raise _UnusableKey(str(error)) from None
    algorithm = member.get("alg", fitting[0])
    if algorithm not in fitting:
        raise _UnusableKey(f"its alg is not one of the key ({', '.join(fitting)})")
    if named is not None and any((one.key_id, one.algorithm) == (named, algorithm) for one in before):
        raise _UnusableKey("an earlier key has its kid and algorithm")
    return PublicKey(algorithm, public, named)


def _read(kty: str, member: Mapping[str, Any]) -> object:
    needed = {name: member.get(name) for name in _MEMBERS[kty]}
    missing = [name for name, value in needed.items() if not isinstance(value, str)]
    if missing:
        raise _UnusableKey(f"it lacks the string {' and '.join(missing)}")
    try:
        return jwt.get_algorithm_by_name(_READ_BY[kty]).from_jwk({"kty": kty, **needed})
    except (jwt.PyJWTError, ValueError, UnsupportedAlgorithm):
        raise _UnusableKey(f"its {', '.join(needed)} are not a key") from None


def _named(place: int, member: object) -> str:
    """Describe a key by its place in the set, and by its id if that is short and printable."""
    named = member.get("kid") if isinstance(member, dict) else None
    plain = isinstance(named, str) and len(named) <= 64 and named.isprintable()
    return f"key {place} (kid {named})" if plain else f"key {place}"
