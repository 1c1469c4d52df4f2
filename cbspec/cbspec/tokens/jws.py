"""The JWS compact serialization, decoded and encoded without verification, which forgeries need.

Source: RFC 7515, 3.1.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

LONGEST_NAME: Final = 256
"""Characters of an unverified token's tenant or subject that are kept: thousands of names are in memory."""

_MARK: Final = "\x1f"  # begins and ends the text of a number until it is written
_MARKED: Final = re.compile(rb'"\\u001f(.*?)\\u001f"')


class RawNumber(str):
    """The JSON text of a number that Python can't write, such as 1e309."""

    __slots__ = ()


def encode(data: bytes) -> str:
    """Return bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(segment: str) -> bytes:
    """Decode base64url with or without padding. Raises ValueError."""
    try:
        return base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise ValueError("a segment of the token is not base64url") from None


@dataclass(frozen=True, slots=True, repr=False)
class CompactJws:
    """The three decoded segments of a token."""

    header: bytes
    payload: bytes
    signature: bytes

    @classmethod
    def split(cls, token: str) -> Self:
        """Decode a token. Raises ValueError, without the token in its text."""
        segments = token.split(".")
        if len(segments) != 3:
            raise ValueError("the token hasn't three segments")
        return cls(*(decode(segment) for segment in segments))

    @classmethod
    def signed(cls, header: Mapping[str, object], payload: bytes, sign: Callable[[bytes], bytes]) -> Self:
        """Return the segments with a signature; `sign` gets the signing input."""
        unsigned = cls(dump(header), payload, b"")
        return replace(unsigned, signature=sign(unsigned.signing_input))

    @property
    def signing_input(self) -> bytes:
        """The bytes that are signed: the first two segments, encoded."""
        return f"{encode(self.header)}.{encode(self.payload)}".encode()

    @property
    def headers(self) -> dict[str, object]:
        """The members of the header. Raises ValueError if it isn't a JSON object."""
        return _members(self.header, "header")

    @property
    def claims(self) -> dict[str, object]:
        """The members of the payload. Raises ValueError if it isn't a JSON object."""
        return _members(self.payload, "payload")

    def __str__(self) -> str:
        return f"{self.signing_input.decode()}.{encode(self.signature)}"


def claims_of(token: str) -> dict[str, object]:
    """Return the claims of an unverified token, or none if it isn't a token."""
    try:
        return CompactJws.split(token).claims
    except ValueError:
        return {}


def claimed(token: str) -> tuple[str, str]:
    """Return the tenant and subject that an unverified token claims, or empty texts."""
    claims = claims_of(token)
    return _shortened(claims.get("tenant_id")), _shortened(claims.get("sub"))


def _shortened(name: object) -> str:
    """Return a name of limited length without lone surrogates, which UTF-8 can't encode."""
    return name[:LONGEST_NAME].encode("utf-8", "replace").decode() if isinstance(name, str) else ""


def dump(members: Mapping[str, object]) -> bytes:
    """Return header members or claims as JSON without white space, as in most tokens."""
    marked = {
        name: f"{_MARK}{value}{_MARK}" if isinstance(value, RawNumber) else value for name, value in members.items()
    }
    return _MARKED.sub(rb"\1", json.dumps(marked, separators=(",", ":"), allow_nan=False).encode())


def _members(data: bytes, name: str) -> dict[str, object]:
    try:
        match json.loads(data):
            case dict() as members:
                return members
    except (ValueError, RecursionError):
        pass
    raise ValueError(f"the token's {name} is not a JSON object")
