"""What forgeries are made of, and the ways of making them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from cbspec.tokens.jws import Compact, dump
from cbspec.tokens.jwt import SigningKey, mint


class Missing(Enum):
    """The type of `MISSING`, so that a type checker can tell it from any JSON value."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
"""Stands for leaving the member `token`, or a claim, out."""


@dataclass(frozen=True, slots=True)
class Materials:
    """What a forgery is made of.

    `valid` is a token that the relay accepts, `claims` are its claims, `key` is what it was signed with (None: not
    held), `now` is in seconds since the epoch, `other_tenant` is a second tenant that the relay knows (empty: none),
    `fresh` is a text that nobody has used before, and `headers` is what every header says beside algorithm and type.
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
        """The key; ValueError where it isn't held."""
        if self.key is None:
            raise ValueError("this forgery needs the signing key")
        return self.key

    @property
    def parts(self) -> Compact:
        """The valid token taken apart."""
        return Compact.split(self.valid)

    @property
    def segments(self) -> list[str]:
        """The valid token's three segments as they are written; ValueError where it hasn't three."""
        _ = self.parts
        return self.valid.split(".")

    def in_seconds(self, seconds: float) -> float:
        """Count from now in whole seconds, as most issuers do; negative: ago."""
        return int(self.now) + seconds

    def remint(self, changes: Mapping[str, object]) -> str:
        """Sign the valid claims again with some of them changed; a claim given as `MISSING` is left out."""
        claims = {name: value for name, value in {**self.claims, **changes}.items() if value is not MISSING}
        return mint(self.held, claims, self.headers)


Make = Callable[[Materials], object]
"""Gives the value of the member `token`: usually text, for wrong types any JSON value, or `MISSING`."""

Changes = Callable[[Materials], Mapping[str, object]]
"""Gives claims by their new values."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """One kind of bad token, which a requirement demands to be refused.

    With `needs_key` it can't be made from a valid token alone; `purpose` then names the profile's ready-made token
    that can stand in for it. With `needs_other_tenant` it needs a second tenant that the relay knows. `also` are the
    codes that may refuse it beside invalid_token, for more than one thing is wrong with it.
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
    """Sign other claims with the right key."""
    return lambda m: m.remint(changes(m))


def with_tenant(name: Callable[[Materials], object]) -> Make:
    """Sign another tenant's name with the right key."""
    return with_claims(lambda m: {"tenant_id": name(m)})


def claims_changed(changes: Changes) -> Make:
    """Change claims behind the signature's back."""
    return lambda m: str(replace(m.parts, payload=dump({**m.parts.claims, **changes(m)})))


def signature_changed(change: Callable[[bytes], bytes]) -> Make:
    """Change the signature and keep what it signs."""
    return lambda m: str(replace(m.parts, signature=change(m.parts.signature)))


def algorithm_none(spelling: str, *, keep_signature: bool) -> Make:
    """Let the header say that there is no algorithm (Source: RFC 7518, 3.6)."""

    def make(m: Materials) -> str:
        header = dump({**m.parts.headers, "alg": spelling})
        return str(replace(m.parts, header=header, signature=m.parts.signature if keep_signature else b""))

    return make


def with_payload(data: Callable[[bytes], bytes]) -> Make:
    """Put a payload that is no set of claims in the place of the valid one; signed where the key is held."""

    def make(m: Materials) -> str:
        sign = m.key.sign if m.key is not None else lambda _: m.parts.signature
        return str(Compact.signed(m.parts.headers, data(m.parts.payload), sign))

    return make


def flip(signature: bytes, index: int) -> bytes:
    """Turn over the lowest bit of one byte."""
    changed = bytearray(signature)
    changed[index] ^= 0x01
    return bytes(changed)


def look_alike(name: str) -> str:
    """Spell a name with Cyrillic letters of the same looks, or with a space of no width behind it."""
    cyrillic = name.translate(str.maketrans("aeopcxyi", "аеорсхуі"))
    return cyrillic if cyrillic != name else name + "\u200b"
