"""The parts of forgeries: a valid token, and the functions that change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from cbspec.tokens.jws import CompactJws, dump
from cbspec.tokens.jwt import SigningKey, mint


class Missing(Enum):
    """The type of `MISSING`, which distinguishes it from JSON values."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
"""Stands for the absence of the member `token`, or of a claim."""


@dataclass(frozen=True, slots=True)
class Materials:
    """The data from which forgeries are made.

    `valid` is a token that the relay accepts, with the claims `claims`, the signing key `key` (None: unknown) and the
    header members `headers` other than algorithm and type. `now` is in seconds since the epoch. `fresh` is a unique
    text. `other_tenant` is a second tenant that the relay knows (empty: none).
    """

    valid: str = field(repr=False)
    key: SigningKey | None
    claims: Mapping[str, object] = field(repr=False)
    now: float
    tenant_id: str
    fresh: str
    other_tenant: str = ""
    headers: Mapping[str, object] = field(default_factory=dict)

    @property
    def held(self) -> SigningKey:
        """The signing key. Raises ValueError if it is unknown."""
        if self.key is None:
            raise ValueError("this forgery needs the signing key")
        return self.key

    @property
    def parts(self) -> CompactJws:
        """The decoded segments of the valid token. Raises ValueError."""
        return CompactJws.split(self.valid)

    @property
    def segments(self) -> list[str]:
        """The encoded segments of the valid token. Raises ValueError if there aren't three."""
        _ = self.parts
        return self.valid.split(".")

    def in_seconds(self, seconds: float) -> float:
        """Return a time relative to now, which is rounded down to whole seconds, as most issuers do."""
        return int(self.now) + seconds

    def remint(self, changes: Mapping[str, object]) -> str:
        """Return a new token with some claims changed, or omitted if `MISSING`."""
        claims = {name: value for name, value in {**self.claims, **changes}.items() if value is not MISSING}
        return mint(self.held, claims, self.headers)


Make = Callable[[Materials], object]
"""Returns the value of the member `token`: text, another JSON value, or `MISSING`."""

Changes = Callable[[Materials], Mapping[str, object]]
"""Returns the new values of claims."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """A token that is invalid in one way, and the requirement that demands its refusal.

    With `needs_key`, a valid token isn't enough; the profile's ready-made token for `purpose`, if any, can replace the
    forgery. With `needs_other_tenant`, a second tenant is needed. `also` are the codes other than invalid_token that a
    relay may answer, because more than one thing is wrong.
    """

    requirement: str
    name: str
    sentence: str
    make: Make = field(repr=False)
    needs_key: bool = False
    needs_other_tenant: bool = False
    purpose: str | None = None
    also: tuple[str, ...] = ()


def with_claims(changes: Changes) -> Make:
    """Change claims and sign them with the right key."""
    return lambda m: m.remint(changes(m))


def with_tenant(name: Callable[[Materials], object]) -> Make:
    """Change the tenant and sign with the right key."""
    return with_claims(lambda m: {"tenant_id": name(m)})


def claims_changed(changes: Changes) -> Make:
    """Change claims and keep the signature."""
    return lambda m: str(replace(m.parts, payload=dump({**m.parts.claims, **changes(m)})))


def signature_changed(change: Callable[[bytes], bytes]) -> Make:
    """Change only the signature."""
    return lambda m: str(replace(m.parts, signature=change(m.parts.signature)))


def algorithm_none(spelling: str, *, keep_signature: bool) -> Make:
    """Name the algorithm "none" in the header (Source: RFC 7518, 3.6)."""

    def make(m: Materials) -> str:
        header = dump({**m.parts.headers, "alg": spelling})
        return str(replace(m.parts, header=header, signature=m.parts.signature if keep_signature else b""))

    return make


def with_payload(data: Callable[[bytes], bytes]) -> Make:
    """Replace the payload by a value that isn't a set of claims, signed if the key is known."""

    def make(m: Materials) -> str:
        sign = m.key.sign if m.key is not None else lambda _: m.parts.signature
        return str(CompactJws.signed(m.parts.headers, data(m.parts.payload), sign))

    return make


def flip(signature: bytes, index: int) -> bytes:
    """Invert the lowest bit of one byte."""
    changed = bytearray(signature)
    changed[index] ^= 0x01
    return bytes(changed)


def look_alike(name: str) -> str:
    """Replace letters by Cyrillic ones of the same shape, or else append a zero-width space."""
    cyrillic = name.translate(str.maketrans("aeopcxyi", "аеорсхуі"))
    return cyrillic if cyrillic != name else name + "\u200b"


def first_half(name: str) -> str:
    """Return the first half of a name, since a longer part could be a name of its own, "site-1" of "site-10".

    A name that is too short is extended.
    """
    return name[: len(name) // 2] or f"{name}-cbspec"
