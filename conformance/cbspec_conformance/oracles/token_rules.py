"""Decides whether a token must be refused, from the token itself: base64, HMAC and JSON without a token library.

Only demands that our reading of the specification calls a MUST count. Everything else is left to the relay: expiry
within minutes, a missing exp or sub, another hash function with the right secret, unknown headers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

_LEEWAY = 600  # seconds after which every relay must refuse a token that is expired or not yet valid

_HASHES = (hashlib.sha256, hashlib.sha384, hashlib.sha512)
_INVALID, _NO_TENANT = "invalid_token", "tenant_not_found"
_NOT_JSON = object()


@dataclass(frozen=True, slots=True)
class MustRefuse:
    """The requirement by which a token must be refused, the right codes, and the kind of its mistake, or ""."""

    requirement: str
    codes: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class TokenOracle:
    """The rules for a relay's tokens.

    `genuine` are tokens that were signed for the relay, `secret` is its HMAC secret (or None), `tenants` are the known
    tenants, `tenancy` says whether the relay must check them, and `now` is in seconds since the epoch; the relay's
    clock may differ by `doubt` seconds.
    """

    genuine: Collection[str] = field(repr=False)
    secret: bytes | None = field(repr=False)
    tenants: Collection[str]
    tenancy: bool
    now: float
    doubt: float = 0.0

    def judge(self, token: str, *, signed: bool = False) -> MustRefuse | None:
        """Return the requirement by which `token` must be refused, or None.

        `signed` declares the signature right if it can't be verified with a secret.
        """
        if not token:
            return MustRefuse("CB-AUT-013", (_INVALID,))
        segments = token.strip().split(".")
        if len(segments) != 3:
            return MustRefuse("CB-AUT-012", (_INVALID,))
        header, payload = (_value(_lenient(segment)) for segment in segments[:2])
        if not isinstance(header, dict) or not isinstance(payload, dict):
            nameless = self.tenancy and isinstance(header, dict) and payload is not _NOT_JSON
            return MustRefuse("CB-AUT-012", (_INVALID, _NO_TENANT) if nameless else (_INVALID,))
        tenant = self._tenant(payload) if self.tenancy else ""
        codes = (_INVALID, _NO_TENANT) if tenant else (_INVALID,)
        if not (self._is_signed(segments) or (signed and self.secret is None)):
            return MustRefuse(self._forged(segments, header), codes)
        requirement = self._time(payload) or tenant
        time = _number(payload.get({"CB-AUT-005": "exp", "CB-AUT-006": "nbf"}.get(requirement, "")), 0.0)
        return MustRefuse(requirement, codes, "fraction" if time % 1 else "") if requirement else None

    def _is_signed(self, segments: list[str]) -> bool:
        """Whether the signature is right for the most lenient reader."""
        signature = _lenient(segments[2])
        plain = [base64.urlsafe_b64encode(_lenient(segment)).rstrip(b"=").decode() for segment in segments[:2]]
        inputs = {f"{a}.{b}" for a, b in (segments[:2], plain)}
        for token in self.genuine:
            signed, _, genuine_signature = token.rpartition(".")
            if signed in inputs and _lenient(genuine_signature) == signature:
                return True
        secret = self.secret
        return secret is not None and any(
            hmac.compare_digest(hmac.new(secret, text.encode(), kind).digest(), signature)
            for text in inputs
            for kind in _HASHES
        )

    def _forged(self, segments: list[str], header: dict[str, Any]) -> str:
        """Return the requirement that a token with a wrong signature breaks."""
        if str(header.get("alg")).lower() == "none":
            return "CB-AUT-010"
        ours = [_lenient(segment) for segment in segments]
        for token in self.genuine:
            same = [_lenient(theirs) == own for theirs, own in zip(token.split("."), ours, strict=True)]
            if same == [True, False, True]:
                return "CB-AUT-007"
        return "CB-AUT-008"

    def _time(self, claims: dict[str, Any]) -> str:
        leeway = _LEEWAY + self.doubt
        if _number(claims.get("exp"), self.now) <= self.now - leeway:
            return "CB-AUT-005"
        return "CB-AUT-006" if _number(claims.get("nbf"), self.now) >= self.now + leeway else ""

    def _tenant(self, claims: dict[str, Any]) -> str:
        tenant = claims.get("tenant_id")
        if not isinstance(tenant, str) or not tenant:
            return "CB-TEN-001"
        known = {name.casefold() for name in self.tenants}  # whether case matters is an open point
        return "" if tenant.casefold() in known else "CB-TEN-002"


def _number(value: object, otherwise: float) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _lenient(segment: str) -> bytes:
    """Decode base64 as leniently as any library: both alphabets, any padding, unknown characters ignored."""
    known = re.sub(r"[^A-Za-z0-9_-]", "", segment.replace("+", "-").replace("/", "_"))
    known = known[: len(known) - (len(known) % 4 == 1)]
    return base64.urlsafe_b64decode(known + "=" * (-len(known) % 4))


def _value(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return _NOT_JSON
