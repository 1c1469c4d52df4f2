"""Tokens and key sets: rejected by one exception that never quotes the token; accepted claims are the token's."""

from __future__ import annotations

import contextlib
import json
from typing import Final

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.tokens.jwks import KeySet
from cbspec.tokens.jws import CompactJws, encode
from cbspec.tokens.jwt import SigningKey, TokenRejected, Verifier
from tests.fuzz.target import Choices

_KEY: Final = SigningKey.hmac(DEVELOPMENT_SECRET)
_NOW: Final = 1_800_000_000.0
_VERIFIERS: Final = (Verifier(_KEY), Verifier(_KEY, leeway=5.0, issuer="iss"), Verifier(_KEY, audience="aud"))
_X, _Y = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
_SET: Final = KeySet.read(json.dumps({"keys": [
    {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "one"},
    {"kty": "EC", "crv": "P-256", "x": _X, "y": _Y, "use": "sig", "alg": "ES256"},
]}).encode())  # fmt: skip
"""Public keys of RFC 8037, A.2 and RFC 7517, A.1."""


def check(data: bytes) -> None:
    """Read a key set, or verify a token: any text, any signed claims, or any signed header and claims."""
    choices = Choices(data)
    mode, which = choices.below(4), choices.below(len(_VERIFIERS))
    if mode == 0:
        _read_keys(choices.rest)
    elif mode == 1:
        _verify(choices.rest.decode("utf-8", "surrogateescape" if which else "replace"), which)
    else:
        header = b'{"alg":"HS256","typ":"JWT"}' if mode == 2 else choices.bytes(choices.byte())
        signed = f"{encode(header)}.{encode(choices.rest)}"
        _verify(f"{signed}.{encode(_KEY.sign(signed.encode()))}", which)


def _verify(token: str, which: int) -> None:
    parts = None
    try:
        parts = CompactJws.split(token)
    except ValueError as error:
        assert len(token) < 8 or token not in str(error)
    try:
        claims = _VERIFIERS[which].verify(token, _NOW)
    except TokenRejected as error:
        assert len(token) < 8 or token not in str(error)
    else:
        assert parts is not None
        assert parts.headers["alg"] == "HS256"
        assert claims.all == parts.claims
    if parts is not None:
        assert CompactJws.split(str(parts)) == parts
        for claim in ("headers", "claims"):
            with contextlib.suppress(ValueError):
                assert isinstance(getattr(parts, claim), dict)
    with contextlib.suppress(TokenRejected):
        _SET.choose(token)


def _read_keys(text: bytes) -> None:
    try:
        found = KeySet.read(text)
    except ValueError as error:
        assert type(error) is ValueError, repr(error)
    else:
        assert found.keys
        assert all("-" not in key.algorithm for key in found.keys)
