"""Values for the properties: legal spellings of a message, cuts of its bytes, identifiers.

Every spelling is legal by RFC 8259: the relay must understand it. Objects stay on one line, since the specification
doesn't say how messages are separated.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class Spelling:
    """A way to write any message, drawn before the message is known.

    `order` sorts the members, `spaces` are inserted wherever white space is permitted, and `styles` are the ways of
    writing the characters of a string; the last two are used in rotation.
    """

    order: tuple[int, ...]
    spaces: tuple[str, ...]
    styles: tuple[str, ...]

    def write(self, message: Mapping[str, Any]) -> str:
        """Return `message` in this spelling."""
        return _Writer(itertools.cycle(self.spaces), itertools.cycle(self.styles), self.order).value(message)


SPELLINGS: SearchStrategy[Spelling] = st.builds(
    Spelling,
    order=st.lists(st.integers(0, 9), min_size=8, max_size=8).map(tuple),
    spaces=st.lists(st.sampled_from(["", " ", "\t", " \t "]), min_size=1, max_size=9).map(tuple),
    styles=st.lists(st.sampled_from(["plain", "short", "lower", "upper"]), min_size=1, max_size=12).map(tuple),
)
"""Every legal spelling: member order, white space, escapes."""


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes one message, with spaces and styles in rotation."""

    spaces: Iterator[str]
    styles: Iterator[str]
    order: tuple[int, ...]

    def value(self, value: Any) -> str:  # noqa: ANN401 - any JSON value
        """Return a value's text."""
        if isinstance(value, str):
            return '"' + "".join(self._character(character) for character in value) + '"'
        if isinstance(value, list):
            return "[" + (",".join(self._spaced(self.value(item)) for item in value) or next(self.spaces)) + "]"
        if isinstance(value, Mapping):
            names = [name for _, name in sorted(zip(itertools.cycle(self.order), value, strict=False))]
            members = [self._spaced(self.value(name)) + ":" + self._spaced(self.value(value[name])) for name in names]
            return "{" + (",".join(members) or next(self.spaces)) + "}"
        return json.dumps(value)

    def _spaced(self, text: str) -> str:
        return next(self.spaces) + text + next(self.spaces)

    def _character(self, character: str) -> str:
        style = next(self.styles)
        if style == "short" and character in _SHORT_ESCAPES:
            return _SHORT_ESCAPES[character]
        if style in ("plain", "short") and character not in '"\\' and character >= " ":
            return character
        units = character.encode("utf-16-be")
        digits = (units[i : i + 2].hex() for i in range(0, len(units), 2))
        return "".join(f"\\u{digit.upper() if style == 'upper' else digit}" for digit in digits)


CUTS: SearchStrategy[list[float]] = st.lists(st.floats(0, 1), max_size=6)
"""Places of cuts, as shares of the length."""


def pieces(data: bytes, places: list[float], tail: int = 1) -> list[bytes]:
    """Cut `data` at `places`; the last `tail` bytes stay together."""
    last = len(data) - tail
    ends = sorted({0, len(data), *(min(int(place * len(data)), last) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(ends)]


TUNNEL_IDS: SearchStrategy[str] = st.text(
    st.characters(exclude_characters="\0", exclude_categories=("Cs", "Cc")), min_size=1, max_size=40
).filter(lambda text: bool(text.strip()))
"""Identifiers of a tunnel that a relay must return unchanged."""
