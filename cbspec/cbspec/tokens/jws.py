"""The compact form of a token, taken apart and put together without any check: forgeries are made of it.

Source: RFC 7515, 3.1.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

LONGEST_NAME: Final = 256
"""Characters of a tenant or subject that are kept of a token that nobody verified: thousands of them are remembered."""


def encode(data: bytes) -> str:
    """Write bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(segment: str) -> bytes:
    """Read base64url with or without padding; ValueError where it is none."""
    try:
        return base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise ValueError("a segment of the token is not base64url") from None


@dataclass(frozen=True, slots=True, repr=False)
class Compact:
    """The three segments of a token, decoded."""

    header: bytes
    payload: bytes
    signature: bytes

    @classmethod
    def split(cls, token: str) -> Self:
        """Take a token apart; ValueError, never quoting it, where it hasn't three segments of base64url."""
        segments = token.split(".")
        if len(segments) != 3:
            raise ValueError("the token hasn't three segments")
        return cls(*(decode(segment) for segment in segments))

    @classmethod
    def signed(cls, header: Mapping[str, object], payload: bytes, sign: Callable[[bytes], bytes]) -> Self:
        """Put a token together; `sign` gets the bytes of the first two segments."""
        unsigned = cls(dump(header), payload, b"")
        return replace(unsigned, signature=sign(unsigned.signing_input))

    @property
    def signing_input(self) -> bytes:
        """What the signature covers: the first two segments as they are written."""
        return f"{encode(self.header)}.{encode(self.payload)}".encode()

    @property
    def headers(self) -> dict[str, object]:
        """The header's members; ValueError where it is no JSON object."""
        return _members(self.header, "header")

    @property
    def claims(self) -> dict[str, object]:
        """The payload's members; ValueError where it is no JSON object."""
        return _members(self.payload, "payload")

    def __str__(self) -> str:
        return f"{self.signing_input.decode()}.{encode(self.signature)}"


def claimed(token: str) -> tuple[str, str]:
    """Return whom a token names, tenant and subject, whether it is good or not; two empty texts where nobody."""
    try:
        claims = Compact.split(token).claims
    except ValueError:
        return "", ""
    return _shown(claims.get("tenant_id")), _shown(claims.get("sub"))


def _shown(name: object) -> str:
    """Return a name that anybody may have chosen, fit to be kept and shown: no longer than one, and without halves."""
    return name[:LONGEST_NAME].encode("utf-8", "replace").decode() if isinstance(name, str) else ""


def dump(members: Mapping[str, object]) -> bytes:
    """Write header members or claims the way that tokens are usually written: without white space."""
    return json.dumps(dict(members), separators=(",", ":")).encode()


def _members(data: bytes, name: str) -> dict[str, object]:
    try:
        match json.loads(data):
            case dict() as members:
                return members
    except (ValueError, RecursionError):
        pass
    raise ValueError(f"the token's {name} is not a JSON object")
