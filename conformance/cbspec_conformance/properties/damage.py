"""Damage to requests that a relay must refuse: one invalid member, changed bytes, one broken rule of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cbspec.tokens.forgery import MISSING
from cbspec_conformance.record.quoting import quoted

# ------------------------------------------------------------------ one invalid member


@dataclass(frozen=True, slots=True)
class Literal:
    """A value in its JSON spelling."""

    text: str


EXACT = 2**53 - 1
"""The largest integer that every reader of JSON represents exactly; RFC 8259, section 6, permits limits above it."""


def is_beyond_readers(value: object) -> bool:
    """Whether a reader of JSON may refuse a number for its size, so that the text is invalid for it."""
    return isinstance(value, int) and abs(value) > EXACT


_PLAIN = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\'), max_size=8)
_NUMBERS = st.integers(-EXACT, EXACT) | st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: value + 0.0)
_SCALARS = st.none() | st.booleans() | _NUMBERS
_NESTED = st.recursive(
    _SCALARS | _PLAIN,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_PLAIN, inner, max_size=2),
    max_leaves=4,
)
_OBJECTS = st.dictionaries(_PLAIN, _NESTED, max_size=2)
_CONTAINERS = st.lists(_NESTED, max_size=2) | _OBJECTS
_MIXED_LISTS = st.tuples(st.lists(_PLAIN, max_size=2), _SCALARS, st.lists(_PLAIN, max_size=2)).map(
    lambda parts: [*parts[0], parts[1], *parts[2]]
)
_NO_STRING: SearchStrategy[Any] = st.just(MISSING) | _SCALARS | _CONTAINERS
_NO_STRINGS: SearchStrategy[Any] = st.just(MISSING) | _SCALARS | _PLAIN | _OBJECTS | _MIXED_LISTS
_NO_NUMBER: SearchStrategy[Any] = st.one_of(
    st.just(MISSING), st.none(), st.booleans(), _PLAIN, st.integers(1, 65535).map(str), _CONTAINERS
)
_FRACTION = st.builds(
    lambda whole, share, spelling: Literal(spelling.format(f"{whole}.{share}")),
    st.integers(0, 65534),
    st.integers(1, 999).filter(lambda share: share % 10),
    st.sampled_from(["{0}", "{0}e0", "{0}E+0", "{0}0"]),
)
_NO_PORT: SearchStrategy[Any] = st.one_of(
    st.integers(65536, 2**17),
    st.integers(65536, 2**33),
    st.integers(2**31 - 8, 2**63),
    st.integers(-(2**17), -1),
    st.integers(-(2**63), -1),
    st.integers(66, 999).map(lambda thousands: Literal(f"{thousands}e3")),
    st.integers(65536, 2**20).map(lambda port: Literal(f"{port}.0")),
    _FRACTION,
)


@dataclass(frozen=True, slots=True)
class NearMiss:
    """Invalid values of a request's member, and the codes that are right (none: any error or a close)."""

    kind: str
    member: str
    values: SearchStrategy[Any]
    codes: tuple[str, ...] = ()


_TUNNEL = ("invalid_tunnel_info",)
NEAR_MISSES: Mapping[str, NearMiss] = {
    "CB-HEL-005": NearMiss("hello", "version", _NO_STRING),
    "CB-HEL-006": NearMiss("hello", "features", _NO_STRINGS),
    "CB-AUT-015": NearMiss("auth", "token", _SCALARS | _CONTAINERS, ("invalid_token",)),
    "CB-TUN-005": NearMiss("tunnel_info", "tunnel_id", _NO_STRING, _TUNNEL),
    "CB-TUN-006": NearMiss("tunnel_info", "local_port", _NO_NUMBER, _TUNNEL),
    "CB-TUN-007": NearMiss("tunnel_info", "local_port", _NO_PORT, _TUNNEL),
    "CB-TUN-008": NearMiss("tunnel_info", "remote_host", _NO_STRING, _TUNNEL),
    "CB-TUN-009": NearMiss("tunnel_info", "remote_port", _NO_NUMBER, _TUNNEL),
    "CB-TUN-010": NearMiss("tunnel_info", "remote_port", st.just(0) | _NO_PORT, _TUNNEL),
    "CB-TEN-005": NearMiss("tunnel_info", "tenant_id", st.just("") | _NO_STRING, (*_TUNNEL, "tenant_not_found")),
}
"""For each requirement on a member, the ways to break it."""


def write_with(request: Mapping[str, Any], member: str, value: object) -> bytes:
    """Return the text of `request` with one member replaced, or left out (MISSING)."""
    members = {name: old for name, old in request.items() if name != member or value is not MISSING}
    parts = [f"{json.dumps(name)}:{_text(value if name == member else old)}" for name, old in members.items()]
    return ("{" + ",".join(parts) + "}").encode()


def _text(value: object) -> str:
    return value.text if isinstance(value, Literal) else json.dumps(value, ensure_ascii=False)


# ------------------------------------------------------------------ changed bytes


@dataclass(frozen=True, slots=True)
class ByteChange:
    """One change of bytes, at places given as shares of the length."""

    how: str
    place: float
    other: float
    by: bytes

    def __str__(self) -> str:
        return f"{self.how}{f' {quoted(self.by)}' if self.how in ('insert', 'replace') else ''}"

    def apply(self, text: bytes) -> bytes:
        """Return `text` changed."""
        at, to = sorted((int(self.place * len(text)), int(self.other * len(text))))
        return {
            "delete": text[:at] + text[at + 1 + (to - at) % 3 :],
            "insert": text[:at] + self.by + text[at:],
            "replace": text[:at] + self.by + text[at + len(self.by) :],
            "double": text[: at + 1] + text[at : at + 1] + text[at + 1 :],
            "swap": text[:at] + text[to : to + 1] + text[at + 1 : to] + text[at : at + 1] + text[to + 1 :],
        }[self.how]


_TELLING = st.sampled_from(
    [*(bytes([byte]) for byte in b"{}[]:,\"\\ \t'=+-.0eEx/*#"), b"\x00", b"\x0b", b"\x7f", b"//"]
)
_ILL_ENCODED = st.sampled_from(
    [b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82", b"\xf4\x90\x80\x80", b"\xe9", b"\xff", b"\xf8\x88\x80\x80\x80"]
)
_SHARES = st.floats(0, 0.9999)
_CHANGE = st.builds(
    ByteChange,
    st.sampled_from(["delete", "insert", "replace", "double", "swap"]),
    _SHARES,
    _SHARES,
    _TELLING | _ILL_ENCODED | st.binary(min_size=1, max_size=2),
)
CHANGES: SearchStrategy[list[ByteChange]] = st.lists(_CHANGE, min_size=1, max_size=3)
"""Changes of a valid text's bytes; the referee decides whether the result is still valid."""

# ------------------------------------------------------------------ one broken rule of the grammar

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^"{}\[\]:,]+')


@dataclass(frozen=True, slots=True)
class Slip:
    """One broken rule of JSON's grammar: `text` "before", "after" or "for" the nth token, modulo their number."""

    number: int
    how: str
    text: str

    def __str__(self) -> str:
        return f"{quoted(self.text)} {self.how} a part" if self.text else f"nothing {self.how} a part"

    def apply(self, text: bytes) -> bytes:
        """Return `text`, which is JSON, with the rule broken."""
        tokens = _TOKEN.findall(text.decode())
        at = self.number % len(tokens)
        made = {"before": self.text + tokens[at], "after": tokens[at] + self.text, "for": self.text}[self.how]
        return "".join([*tokens[:at], made, *tokens[at + 1 :]]).encode()


_FOREIGN = (
    ",", ":", "=", ";", "=>", "/**/", "//", "#", "'", "''", "\\", "\f", "\v", "\u00a0", "\u2028", "\ufeff", "\0",
    "NaN", "-Infinity", "undefined", "True", "None", "nul", "01", "+1", ".5", "1.", "0x10", "1e", "1_0", "--1", "-",
    '"\\x41"', '"\\u12"', '"\\U0041"', '"\\\'"', '"\t"', '"\x01"', "'a'", "`a`", "a", "@", "()", "<", "]", "}", "[",
    "{",
)  # fmt: skip
SLIPS: SearchStrategy[Slip] = st.builds(
    Slip,
    st.integers(0, 40),
    st.sampled_from(["before", "after", "for"]),
    st.sampled_from(_FOREIGN) | st.just(""),
)
"""Slips; the referee decides whether the text is still JSON."""
