"""Texts: JSON, tokens, and the texts of a relay are read alike, or refused for a reason without secrets."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Final

import msgspec
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.protocol.framing import RawMessage
from cbspec.protocol.handshake import accepting_response
from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec.tokens.jwks import KeySet
from cbspec.tokens.jws import CompactJws, encode
from cbspec.tokens.jwt import SigningKey, TokenRejected, Verifier
from cbspec_conformance.oracles.exposition import NotAnExposition, samples
from cbspec_conformance.oracles.referee import is_closed, is_no_message, is_utf8, read_json
from cbspec_conformance.record.decoding import decode
from cbspec_conformance.record.frames import StrictWebSocket
from tests.fuzz.target import Choices, pieces, same_however_split

_STRICTER: Final = re.compile("more than once|half a surrogate pair|nests deeper|too many digits")
_INFINITE: Final = re.compile("Infinity")
_KEY: Final = SigningKey.hmac(DEVELOPMENT_SECRET)
_NOW: Final = 1_800_000_000.0
_VERIFIERS: Final = (Verifier(_KEY), Verifier(_KEY, leeway=5.0, issuer="iss"), Verifier(_KEY, audience="aud"))
_X, _Y = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
_SET: Final = KeySet.read(json.dumps({"keys": [
    {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "one"},
    {"kty": "EC", "crv": "P-256", "x": _X, "y": _Y, "use": "sig", "alg": "ES256"},
]}).encode())  # fmt: skip
"""Public keys of RFC 8037, A.2 and RFC 7517, A.1."""
_RESPONSE: Final = accepting_response()


def strictjson(data: bytes) -> None:
    """Read JSON: accepted texts have Python's value; valid JSON is refused only where the rules are stricter."""
    is_json = _is_json(data)
    try:
        found = loads(data)
    except NotStrictJson as error:
        assert str(error) == error.reason
        assert not is_json or _STRICTER.search(error.reason), error
        return
    assert is_json
    assert json.loads(data) == found
    text = json.dumps(found)
    if not _INFINITE.search(text):  # numbers that are too large for a float
        assert loads(text.encode()) == found


def _is_json(data: bytes) -> bool:
    """Whether msgspec's reader accepts a text: it shares no code with Python's, which `loads` is built on."""
    try:
        msgspec.json.decode(data)
    except msgspec.ValidationError:  # it stops at a number that is too large for a float
        with contextlib.suppress(ValueError, RecursionError):
            read_json(data)
            return True
        return False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def tokens(data: bytes) -> None:
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


def suite(data: bytes) -> None:
    """Read a text, metrics, or a WebSocket stream with or without a handshake response."""
    choices = Choices(data)
    mode, size = choices.below(4), 1 + choices.below(20)
    if mode == 0:
        _check_text(choices.rest)
    elif mode == 1:
        _check_metrics(choices.rest.decode("utf-8", "replace"), openmetrics=bool(size & 1))
    else:
        same_however_split(_frames, (_RESPONSE if mode == 2 else b"") + choices.rest, size)


def _check_text(text: bytes) -> None:
    found = decode(text)
    assert bool(found.requirement) is bool(found.fault)
    is_closed(text)
    with contextlib.suppress(RecursionError):
        assert found.fault or not is_no_message(text)
    try:
        value = loads(text)
    except NotStrictJson:
        return
    assert bool(found.fault) is not isinstance(value, dict)
    assert found.fault or found.value == value
    assert is_utf8(text)


def _check_metrics(text: str, *, openmetrics: bool) -> None:
    try:
        found = samples(text, openmetrics=openmetrics)
    except NotAnExposition as error:
        assert str(error)
    else:
        assert all(isinstance(value, float) for value in found.values())


def _frames(stream: bytes, size: int) -> tuple[list[RawMessage], bool, str, bool]:
    protocol = ClientProtocol(parse_uri("wss://localhost/"), max_size=300)
    protocol.send_request(protocol.connect())
    protocol.key = "dGhlIHNhbXBsZSBub25jZQ=="
    framer, found = StrictWebSocket(protocol), []
    for piece in pieces(stream, size):
        framer.feed(piece)
        while (frame := framer.next_message()) is not None:
            found.append(frame)
    return found, framer.take_fault(), type(framer.failure).__name__, framer.opened
