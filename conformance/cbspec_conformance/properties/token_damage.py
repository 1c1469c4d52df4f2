"""Damage to tokens, drawn without a token: nothing secret is in the examples that are shown or kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cbspec.tokens.forgery import MISSING
from cbspec.tokens.jws import CompactJws, dump, encode
from cbspec_conformance.record.changes import changed
from cbspec_conformance.record.quoting import quoted

Sign = Callable[[bytes], bytes]

_SIGNED = {True: "signed with the right key", False: "under the old signature"}
_SEGMENTS = ("header", "payload", "signature")
_DONE = {
    "delete": "lacks a character",
    "insert": "has {by} inserted",
    "replace": "has {by} in place of a character",
    "cut": "ends early",
    "case": "has a letter in the other case",
    "drop": "is left out",
    "empty": "is empty",
    "double": "comes twice",
    "add": "follows another segment, {by}",
    "swap": "comes first",
}
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True, slots=True)
class FromNow:
    """A time: seconds from now."""

    seconds: float

    def __str__(self) -> str:
        return f"{abs(self.seconds):g} s {'ago' if self.seconds < 0 else 'ahead'}"


@dataclass(frozen=True, slots=True)
class Ours:
    """The token's own tenant, with text before and after it."""

    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.before}<its own tenant>{self.after}"


@dataclass(frozen=True, slots=True)
class Members:
    """Claims and headers that are replaced or left out (MISSING); if `signed`, the relay's own key signs the result."""

    claims: Mapping[str, Any]
    headers: Mapping[str, Any]
    signed: bool

    def __str__(self) -> str:
        told = [changed(name, value) for name, value in {**self.claims, **self.headers}.items()]
        return f"{', '.join(told)} in the {'header' if self.headers else 'claims'}, {_SIGNED[self.signed]}"

    def apply(self, token: str, sign: Sign | None, now: float) -> str | None:
        """Return the damaged token, or None if the key is missing."""
        parts = CompactJws.split(token)
        made = replace(
            parts,
            header=_changed(parts.header, parts.headers, self.headers, now, ""),
            payload=_changed(parts.payload, parts.claims, self.claims, now, str(parts.claims.get("tenant_id", ""))),
        )
        if not self.signed:
            return str(made)
        return None if sign is None else str(replace(made, signature=sign(made.signing_input)))


def _changed(data: bytes, members: dict[str, object], changes: Mapping[str, Any], now: float, tenant: str) -> bytes:
    if not changes:
        return data

    def real(value: object) -> object:
        if isinstance(value, FromNow):
            return int(now) + value.seconds
        return value.before + tenant + value.after if isinstance(value, Ours) else value

    values = {**members, **{name: real(value) for name, value in changes.items()}}
    return dump({name: value for name, value in values.items() if value is not MISSING})


_ANY: SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.text("ab1", max_size=3), st.just([]), st.just({})
)
_LONG_AGO = st.integers(-(2**63), 10**9) | st.sampled_from([0, -1, 0.5, -1e300])
_AGO = st.integers(-(10**9), -660) | st.floats(-(10.0**6), -660.5)
_AHEAD = st.integers(660, 10**9) | st.floats(660.5, 10.0**6)
_LETTERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
_OTHER_TENANTS = st.one_of(
    st.builds(Ours, _LETTERS, st.just("")),
    st.builds(Ours, st.just(""), _LETTERS),
    _LETTERS.map(lambda text: f"cbspec {text}"),
)
_CLAIMS: SearchStrategy[Mapping[str, Any]] = st.one_of(
    st.fixed_dictionaries({"exp": _AGO.map(FromNow) | _LONG_AGO}),
    st.fixed_dictionaries({"nbf": _AHEAD.map(FromNow) | st.sampled_from([2**53, 2**63, 1e18, 1e300])}),
    st.fixed_dictionaries({"tenant_id": st.just(MISSING) | _ANY}),
    st.fixed_dictionaries({"tenant_id": _OTHER_TENANTS}),
)


def _some(names: list[str], values: SearchStrategy[Any], least: int, most: int) -> SearchStrategy[Mapping[str, Any]]:
    return st.dictionaries(st.sampled_from(names), st.just(MISSING) | values, min_size=least, max_size=most)


_OTHERS = _some(["iss", "aud", "jti", "iat", "sub", "scope"], _ANY, 0, 1)
CLAIMS: SearchStrategy[Members] = st.builds(
    lambda claims, others: Members({**others, **claims}, {}, signed=True), _CLAIMS, st.just({}) | _OTHERS
)
"""Claims that must be refused although the signature is right; needs the key."""

_ALGORITHMS = st.sampled_from(["none", "None", "NONE", "nOnE", "HS256", "RS256", "ES256", "hs256", ""])
_HEADERS = _some(
    ["alg", "typ", "cty", "kid", "jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"], _ALGORITHMS | _ANY, 1, 2
)
_UNSIGNED = _some(["sub", "tenant_id", "exp", "nbf", "iat", "iss", "aud", "jti"], _ANY | _AHEAD.map(FromNow), 1, 2)
MEMBERS: SearchStrategy[Members] = st.one_of(
    _UNSIGNED.map(lambda claims: Members(claims, {}, signed=False)),
    _HEADERS.map(lambda headers: Members({}, headers, signed=False)),
)
"""Changed claims or headers under the old signature; needs no key."""


@dataclass(frozen=True, slots=True)
class TokenTextChange:
    """A change of the text of a token's segment, at a place given as a share of its length."""

    how: str
    segment: int
    place: float
    by: str

    def __str__(self) -> str:
        return f"the token's {_SEGMENTS[self.segment]} {_DONE[self.how].format(by=quoted(self.by))}"

    def apply(self, token: str, sign: Sign | None, now: float) -> str | None:
        """Return the damaged token."""
        segments = token.split(".")
        at = self.segment % len(segments)
        if self.how in _WHOLE:
            return ".".join(_WHOLE[self.how](segments, at, self.by))
        text = segments[at]
        where = int(self.place * len(text))
        segments[at] = {
            "delete": text[:where] + text[where + 1 :],
            "insert": text[:where] + self.by + text[where:],
            "replace": text[:where] + self.by + text[where + 1 :],
            "cut": text[:where],
            "case": text[:where] + text[where : where + 1].swapcase() + text[where + 1 :],
        }[self.how]
        return ".".join(segments)


_WHOLE: Mapping[str, Callable[[list[str], int, str], list[str]]] = {
    "drop": lambda segments, at, _: [*segments[:at], *segments[at + 1 :]],
    "empty": lambda segments, at, _: [*segments[:at], "", *segments[at + 1 :]],
    "double": lambda segments, at, _: [*segments[: at + 1], segments[at], *segments[at + 1 :]],
    "add": lambda segments, at, by: [*segments[:at], encode(by.encode()), *segments[at:]],
    "swap": lambda segments, at, _: [segments[at], *segments[:at], *segments[at + 1 :]],
}
"""Changes of whole segments."""

TEXTS: SearchStrategy[TokenTextChange] = st.builds(
    TokenTextChange,
    st.sampled_from(["replace", "replace", "delete", "insert", "cut", "case", *_WHOLE]),
    st.integers(0, 2),
    st.floats(0, 0.9999),
    st.sampled_from(_ALPHABET) | st.text(_ALPHABET, min_size=1, max_size=6),
)
"""Changes of base64 letters and of segments; needs no key."""
