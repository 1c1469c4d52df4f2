"""The public keys of an issuer as it publishes them (JWKS): read, chosen from by a token's header, and written.

Source: RFC 7517; RFC 7518, 6; RFC 8037, 2; RFC 7638.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from cbspec.tokens.jws import Compact, encode
from cbspec.tokens.jwt import Key, SigningKey, TokenRejected, fitting_algorithms
from cbspec.tokens.keypair import OF_KEY_PAIRS

_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
"""What makes up a public key, by its type (Source: RFC 7518, 6.2.1 and 6.3.1; RFC 8037, 2)."""

_READ_BY: Final = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}  # PyJWT reads a type of key by any algorithm of it


class UnknownKey(TokenRejected):
    """No key of the set fits a token; a newer set may have one."""


class _Unfit(Exception):
    """A key of a set can't verify tokens; the text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class PublicKey:
    """A public key, the one algorithm that it is used with, and the id by which tokens name it."""

    algorithm: str
    public: Any = field(repr=False)
    key_id: str | None = None

    @classmethod
    def from_pem(cls, data: bytes, algorithm: str | None = None) -> Self:
        """Read a public key in PEM form, or take the public half of a private one.

        The algorithm follows from the key unless one that fits is named; ValueError where it doesn't.
        """
        if b"-----BEGIN PUBLIC KEY-----" not in data:
            pair = SigningKey.from_pem(data, algorithm)
            return cls(pair.algorithm, pair.public)
        try:
            public = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError("not a public key in PEM form") from None
        fitting = fitting_algorithms(public)
        if algorithm is not None and algorithm not in fitting:
            raise ValueError(f"this key is for {', '.join(fitting)}, not for {algorithm}")
        return cls(algorithm or fitting[0], public)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of a set that tokens can be verified with; `skipped` says of each other one why it can't serve."""

    keys: tuple[PublicKey, ...] = ()
    skipped: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Read a set. A key that can't verify tokens is left out, as RFC 7517, 5 asks.

        ValueError where the text is no set, where no key is left, and where the set holds what it must not show to
        anybody: a secret or a private key.
        """
        keys: list[PublicKey] = []
        skipped: list[str] = []
        for place, member in enumerate(_list_of_keys(text), 1):
            try:
                key = _public_key(place, member, keys)
                if key is not None:
                    keys.append(key)
            except _Unfit as unfit:
                skipped.append(f"{_named(place, member)} is left out: {unfit}")
        if not keys:
            raise ValueError("; ".join(["no key in it verifies signatures", *skipped]))
        return cls(tuple(keys), tuple(skipped))

    def choose(self, token: str) -> PublicKey:
        """Return the key for a token: that of its key id (kid), or where it names none, the only one that fits.

        Raises `UnknownKey` where a newer set may have it, `TokenRejected` where none could.
        """
        try:
            header = Compact.split(token).headers
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
            # Whatever an issuer publishes next, it is no secret and no "none".
            kind = UnknownKey if algorithm in OF_KEY_PAIRS else TokenRejected
            raise kind("no key of the issuer's is for its algorithm")
        return of_algorithm[0]

    def holding(self, key: SigningKey) -> PublicKey | None:
        """Return the public half of a key pair, if it is in the set for the same algorithm."""
        return next((one for one in self.keys if (one.algorithm, one.public) == (key.algorithm, key.public)), None)


def key_id(key: Key) -> str:
    """Return the id that follows from a public key (Source: RFC 7638); ValueError for a secret."""
    text = json.dumps(_required(key), separators=(",", ":"), sort_keys=True)
    return encode(hashlib.sha256(text.encode()).digest())


def public_jwk(key: Key, named: str | None = None) -> dict[str, str]:
    """Return a public key as an issuer publishes it, by `named` or else by its own id; ValueError for a secret."""
    return {**_required(key), "kid": named or key_id(key), "use": "sig", "alg": key.algorithm}


def _required(key: Key) -> dict[str, str]:
    if key.algorithm not in OF_KEY_PAIRS:
        raise ValueError("a secret has no public half that could be published")
    members = jwt.get_algorithm_by_name(key.algorithm).to_jwk(key.public, as_dict=True)
    return {name: members[name] for name in ("kty", *_MEMBERS[members["kty"]])}


def _list_of_keys(text: bytes) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON text") from None
    match found:
        case {"keys": list() as keys}:
            return keys
    raise ValueError('it is no JWKS: a JSON object with an array of keys, "keys"')


def _public_key(place: int, member: object, before: Sequence[PublicKey]) -> PublicKey | None:
    """Return the key, or None where it is for something else than signatures; `before` are the keys before it."""
    if not isinstance(member, dict):
        raise _Unfit("it is no JSON object")
    kty = member.get("kty")
    if kty == "oct":
        raise ValueError(f"{_named(place, member)} is a secret (kty oct), which no published set may hold")
    if "d" in member:
        raise ValueError(f"{_named(place, member)} is a private key (d), which no published set may hold")
    if member.get("use", "sig") != "sig" or "verify" not in _operations(member):
        return None
    if not isinstance(kty, str) or kty not in _MEMBERS:
        raise _Unfit(f"its kty is none of {', '.join(_MEMBERS)}")
    named = member.get("kid")
    if named is not None and not isinstance(named, str):
        raise _Unfit("its kid is no string")
    public = _read(kty, member)
    try:
        fitting = fitting_algorithms(public)
    except ValueError as error:
        raise _Unfit(str(error)) from None
    algorithm = member.get("alg", fitting[0])
    if algorithm not in fitting:
        raise _Unfit(f"its alg is none that such a key verifies ({', '.join(fitting)})")
    if named is not None and any((one.key_id, one.algorithm) == (named, algorithm) for one in before):
        raise _Unfit("an earlier key has its kid and algorithm")
    return PublicKey(algorithm, public, named)


def _operations(member: Mapping[str, Any]) -> list[Any]:
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list):
        raise _Unfit("its key_ops is no array")
    return operations


def _read(kty: str, member: Mapping[str, Any]) -> object:
    needed = {name: member.get(name) for name in _MEMBERS[kty]}
    missing = [name for name, value in needed.items() if not isinstance(value, str)]
    if missing:
        raise _Unfit(f"it lacks the text {' and '.join(missing)}")
    try:
        return jwt.get_algorithm_by_name(_READ_BY[kty]).from_jwk({"kty": kty, **needed})
    except (jwt.PyJWTError, ValueError, UnsupportedAlgorithm):
        raise _Unfit(f"its {', '.join(needed)} make no key") from None


def _named(place: int, member: object) -> str:
    """Name a key by its place in the set, and by its id where that is a short and plain one."""
    named = member.get("kid") if isinstance(member, dict) else None
    plain = isinstance(named, str) and len(named) <= 64 and named.isprintable()
    return f"key {place} (kid {named})" if plain else f"key {place}"
