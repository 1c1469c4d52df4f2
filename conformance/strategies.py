"""Values for the properties: legal spellings of a message, ways to cut bytes, near misses.

Every spelling is legal by RFC 8259: the relay must understand it. Objects stay on one line, since the page doesn't say
how messages are told apart.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

_SPACES = st.text(" \t", max_size=3)
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


@st.composite
def _string(draw: st.DrawFn, text: str) -> str:
    parts = []
    for character in text:
        must = character in '"\\' or character < " "
        choices = [_escaped(character), _escaped(character).upper().replace("\\U", "\\u")]
        if character in _SHORT_ESCAPES:
            choices.insert(0, _SHORT_ESCAPES[character])
        if not must:
            choices.insert(0, character)
        # Most characters stay as they are: a text that is escaped throughout says no more and costs much more to draw.
        parts.append(draw(st.sampled_from(choices)) if must or draw(st.integers(0, 9)) == 0 else character)
    return '"' + "".join(parts) + '"'


@st.composite
def _value(draw: st.DrawFn, value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return draw(_string(value))
    if isinstance(value, list):
        items = [draw(_SPACES) + draw(_value(item)) + draw(_SPACES) for item in value]
        return "[" + (",".join(items) or draw(_SPACES)) + "]"
    if isinstance(value, Mapping):
        return draw(spelled(value))
    return json.dumps(value)


@st.composite
def spelled(draw: st.DrawFn, message: Mapping[str, Any]) -> str:
    """Draw a legal spelling of `message`: member order, white space, escapes."""
    names = draw(st.permutations(list(message)))
    members = [
        f"{draw(_SPACES)}{draw(_string(name))}{draw(_SPACES)}:{draw(_SPACES)}{draw(_value(message[name]))}{draw(_SPACES)}"
        for name in names
    ]
    return "{" + (",".join(members) or draw(_SPACES)) + "}"


def cuts(data_size: int, most: int = 6) -> SearchStrategy[list[int]]:
    """Draw places at which to cut so many bytes."""
    return st.lists(st.integers(1, max(data_size - 1, 1)), max_size=most, unique=True).map(sorted)


def pieces(data: bytes, places: list[int]) -> list[bytes]:
    """Cut `data` at `places`."""
    ends = [0, *[place for place in places if place < len(data)], len(data)]
    return [data[start:end] for start, end in itertools.pairwise(ends) if end > start]


TUNNEL_IDS: SearchStrategy[str] = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs", "Cc")), min_size=1, max_size=40
).filter(lambda text: bool(text.strip()))
"""Identifiers of a tunnel that any relay must give back as they came."""

NOT_STRINGS: SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**31), 2**31), st.lists(st.text(max_size=5), max_size=2), st.just({})
)
_NOT_PORTS: SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.text(max_size=5), st.just("3389"), st.lists(st.just(3389), max_size=1), st.just({})
)
_OUT_OF_RANGE: SearchStrategy[Any] = st.one_of(
    st.integers(-(2**63), -1),
    st.integers(65536, 2**63),
    st.floats(0.001, 65534.999, allow_nan=False).filter(lambda value: value != int(value)),
)

MISSING = object()
"""Stands for a member that is left out."""


def near_misses(member: str) -> SearchStrategy[Any]:
    """Draw a value that makes a tunnel_info's `member` invalid at MUST level; MISSING leaves it out."""
    if member in ("tunnel_id", "remote_host"):
        return st.one_of(st.just(MISSING), NOT_STRINGS)
    wrong = st.one_of(st.just(MISSING), _NOT_PORTS, _OUT_OF_RANGE)
    return st.one_of(wrong, st.just(0)) if member == "remote_port" else wrong


def without(message: Mapping[str, Any], member: str, value: object = MISSING) -> dict[str, Any]:
    """Return `message` with `member` left out (MISSING) or replaced."""
    rest = {name: old for name, old in message.items() if name != member}
    return rest if value is MISSING else {**message, member: value}
