"""Whether a token must be refused, decided from the token itself: base64, HMAC and JSON by hand, no library of tokens.

Only what the project's reading of the specification calls a MUST counts. Everything that a relay is free in leaves the
matter open: expiry within minutes, a missing exp or sub, another hash function with the right secret, unknown headers.
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

_LEEWAY = 600  # seconds by which every relay must tell an expired token and one that isn't valid yet
_HASHES = (hashlib.sha256, hashlib.sha384, hashlib.sha512)
_INVALID, _NO_TENANT = "invalid_token", "tenant_not_found"
_NOT_JSON = object()


@dataclass(frozen=True, slots=True)
class MustRefuse:
    """The requirement by which a token must be refused, and the codes that may say so."""

    requirement: str
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TokenOracle:
    """What is known of a relay's tokens.

    `genuine` are tokens that were really signed for it, `secret` the HMAC secret where there is one, `tenants` the
    names that it knows, `tenancy` whether it must look at them; `now` is in seconds since the epoch.
    """

    genuine: Collection[str] = field(repr=False)
    secret: bytes | None = field(repr=False)
    tenants: Collection[str]
    tenancy: bool
    now: float

    def judge(self, token: str, *, signed: bool = False) -> MustRefuse | None:
        """Return by which requirement `token` must be refused; None where it is good or that is open.

        `signed` says of a token that can't be verified here, for it takes more than a secret, that it is signed.
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
        return MustRefuse(requirement, codes) if requirement else None

    def _is_signed(self, segments: list[str]) -> bool:
        """Whether the signature is right, read as leniently as any relay may."""
        signature = _lenient(segments[2])
        plain = [_encode(_lenient(segment)) for segment in segments[:2]]
        inputs = {f"{a}.{b}" for a, b in (segments[:2], plain)}
        for token in self.genuine:
            signed, _, its = token.rpartition(".")
            if signed in inputs and _lenient(its) == signature:
                return True
        if self.secret is None:
            return False
        return any(
            hmac.compare_digest(hmac.new(self.secret, text.encode(), kind).digest(), signature)
            for text in inputs
            for kind in _HASHES
        )

    def _forged(self, segments: list[str], header: dict[str, Any]) -> str:
        """Return the requirement that a token breaks whose signature is not right."""
        if str(header.get("alg")).lower() == "none":
            return "CB-AUT-010"
        for token in self.genuine:
            theirs, ours = token.split("."), [_lenient(segment) for segment in segments]
            same = [_lenient(a) == b for a, b in zip(theirs, ours, strict=True)]
            if same == [True, False, True]:
                return "CB-AUT-007"
        return "CB-AUT-008"

    def _time(self, claims: dict[str, Any]) -> str:
        if _number(claims.get("exp"), self.now) <= self.now - _LEEWAY:
            return "CB-AUT-005"
        return "CB-AUT-006" if _number(claims.get("nbf"), self.now) >= self.now + _LEEWAY else ""

    def _tenant(self, claims: dict[str, Any]) -> str:
        tenant = claims.get("tenant_id")
        if not isinstance(tenant, str) or not tenant:
            return "CB-TEN-001"
        known = {name.casefold() for name in self.tenants}  # whether upper and lower case are alike is open
        return "" if tenant.casefold() in known else "CB-TEN-002"


def _number(value: object, otherwise: float) -> float:
    """Return a time claim; what is no number leaves the matter open."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _lenient(segment: str) -> bytes:
    """Decode base64 as leniently as any library: both alphabets, any padding, what is foreign left out."""
    known = re.sub(r"[^A-Za-z0-9_-]", "", segment.replace("+", "-").replace("/", "_"))
    known = known[: len(known) - (len(known) % 4 == 1)]
    return base64.urlsafe_b64decode(known + "=" * (-len(known) % 4))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _value(data: bytes) -> object:
    """Return what a JSON text says, _NOT_JSON where it isn't one."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return _NOT_JSON
