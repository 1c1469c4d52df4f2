"""Recipes for scripts: how to make a forged token from a valid HS256 token."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from cbspec.tokens.jws import CompactJws
from cbspec_conformance.replay.standalone import SIGNATURES

_GUESSES = ("secret", "changeme", "your-256-bit-secret")
_NEAR = 400 * 24 * 60 * 60  # seconds: a time claim this close to now is relative to it


def compare(forged: str, valid: str, secret: str, now: float) -> dict[str, Any] | None:
    """Return how to make `forged` from `valid`, or None if it differs in more than header, claims and signature."""
    try:
        bad, good = CompactJws.split(forged), CompactJws.split(valid)
        changed, old, headers = bad.claims, good.claims, bad.headers
    except ValueError:
        return None
    header = {name: value for name, value in headers.items() if good.headers.get(name) != value}
    if json.dumps(changed, separators=(",", ":")).encode() != bad.payload or set(header) - {"alg"}:
        return None
    claims = {name: value for name, value in changed.items() if name not in old or old[name] != value}
    later = {
        name: round(value - now)
        for name, value in claims.items()
        if name in ("exp", "nbf") and isinstance(value, int | float) and abs(value - now) < _NEAR
    }
    recipe = {
        "header": header,
        "claims": {name: value for name, value in claims.items() if name not in later},
        "in_seconds": later,
        "without": [name for name in old if name not in changed],
        **_signature(forged.rpartition(".")[0], bad.signature, good.signature, secret),
    }
    return {name: value for name, value in recipe.items() if value}


def _signature(text: str, made: bytes, old: bytes, secret: str) -> dict[str, str]:
    if made == _sign(secret, text):
        return {"signature": "right"}
    kind = next((name for name, change in SIGNATURES.items() if change(old) == made), "")
    if kind:
        return {"signature": kind}
    guess = next((guess for guess in _GUESSES if made == _sign(guess, text)), "")
    return {"signature": "of another key", "secret": guess}


def _sign(secret: str, text: str) -> bytes:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
