"""Tokens and key sets: refused in one way, never quoted; what is accepted says what it says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Final

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.tokens.jwks import KeySet
from cbspec.tokens.jws import Compact
from cbspec.tokens.jwt import InvalidToken, SigningKey, Verifier
from tests.fuzz.target import Choices, Target

_KEY: Final = SigningKey.hmac(DEVELOPMENT_SECRET)
_NOW: Final = 1_800_000_000.0
_VERIFIERS: Final = (
    Verifier(_KEY),
    Verifier(_KEY, leeway=5.0, issuer="iss"),
    Verifier(_KEY, audience="aud"),
)
_SET: Final = json.dumps(
    {
        "keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "one"},
            {
                "kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "use": "sig", "alg": "ES256",
            },
        ]
    }
).encode()  # fmt: skip
"""Public keys: those of RFC 8037, A.2 and RFC 7517, A.1."""


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _signed(header: bytes, payload: bytes) -> str:
    signed = _encoded(header) + b"." + _encoded(payload)
    return (signed + b"." + _encoded(hmac.digest(DEVELOPMENT_SECRET.encode(), signed, hashlib.sha256))).decode()


def _check(data: bytes) -> None:
    choices = Choices(data)
    mode, which = choices.below(4), choices.below(len(_VERIFIERS))
    if mode == 0:
        _read_keys(choices.rest)
    elif mode == 1:
        _verify(choices.rest.decode("utf-8", "surrogateescape" if which else "replace"), which)
    elif mode == 2:
        _verify(_signed(b'{"alg":"HS256","typ":"JWT"}', choices.rest), which)
    else:
        _verify(_signed(choices.bytes(choices.byte()), choices.rest), which)


def _verify(token: str, which: int) -> None:
    try:
        parts = Compact.split(token)
    except ValueError as error:
        parts = None
        assert len(token) < 8 or token not in str(error)
    try:
        claims = _VERIFIERS[which].verify(token, _NOW)
    except InvalidToken as error:
        assert len(token) < 8 or token not in str(error)
    else:
        assert parts is not None
        assert parts.headers["alg"] == "HS256"
        assert claims.all == parts.claims
    if parts is not None:
        assert Compact.split(str(parts)) == parts
        for claim in ("headers", "claims"):
            try:
                assert isinstance(getattr(parts, claim), dict)
            except ValueError:
                pass
    try:
        KeySet.read(_SET).choose(token)
    except InvalidToken:
        pass


def _read_keys(text: bytes) -> None:
    try:
        found = KeySet.read(text)
    except ValueError as error:
        assert type(error) is ValueError, repr(error)
        return
    assert found.keys
    for key in found.keys:
        assert "-" not in key.algorithm


TARGET: Final = Target(
    _check, share=8,
    longest=700,
    words=(
        _SET, b'{"keys":[', b'"kty":', b'"OKP"', b'"RSA"', b'"EC"', b'"oct"', b'"kid":', b'"use":"sig"', b'"alg":',
        b'"crit":',         b'"exp":', b'"nbf":', b'"iss":"iss"', b'"aud":"aud"', b'"aud":["aud"]', b'"sub":',
        b'"HS256"', b'"none"', b"1e400",
        b".",
    ),
)  # fmt: skip
