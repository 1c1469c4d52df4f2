"""Strict JSON: what is accepted is what RFC 8259 and Python's parser say, and what is refused has a reason to be."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from cbspec.protocol.strictjson import MAX_DEPTH, NotStrictJson, loads
from cbspec_conformance.oracles import rfc8259
from tests.fuzz.target import Target

_DIGITS: Final = re.compile(rb"[0-9]{4300}")  # Python reads no integer of more


class _Twice(Exception):
    """A member is there twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Twice
    return dict(pairs)


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _halves(value: object) -> bool:
    match value:
        case str():
            return any(0xD800 <= ord(letter) < 0xE000 for letter in value)
        case list():
            return any(map(_halves, value))
        case dict():
            return any(_halves(name) or _halves(inner) for name, inner in value.items())
    return False


def _tame(value: object) -> bool:
    """Say whether a value is one that strict reading lets through, wherever it came from."""
    return _depth(value) <= MAX_DEPTH and not _halves(value)


def _is_json(data: bytes) -> bool:
    try:
        rfc8259.read(data)
    except (rfc8259.NotJson, RecursionError):
        return False
    return rfc8259.is_utf8(data) and not data.startswith(b"\xef\xbb\xbf")


def _check(data: bytes) -> None:
    is_json = _is_json(data)
    try:
        found = loads(data)
    except NotStrictJson as error:
        assert str(error) == error.reason
        assert not is_json or _DIGITS.search(data) or _has_reason(data), error
        return
    assert is_json
    assert _tame(found)
    assert json.loads(data) == found
    if math.inf not in _floats(found):
        assert rfc8259.read(data) == found
        assert loads(json.dumps(found).encode()) == found


def _has_reason(data: bytes) -> bool:
    """Say whether strict reading refuses what is JSON, by Python's own parser."""
    try:
        return not _tame(json.loads(data, object_pairs_hook=_once))
    except (_Twice, RecursionError):
        return True


def _floats(value: object) -> set[float]:
    match value:
        case float():
            return {abs(value)}
        case list():
            return set().union(*map(_floats, value))
        case dict():
            return set().union(*map(_floats, value.values()))
    return set()


TARGET: Final = Target(
    _check, share=10,
    longest=256,
    words=(
        b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\u", b"\\ud83d\\ude00", b"\\ud800", b"\\n", b"true", b"false",
        b"null",         b"NaN", b"Infinity", b"-0", b"1e400", b"1E+2", b"0.5", b"\xef\xbb\xbf", b"\xed\xa0\x80",
        b'"a":1', b"[" * 65,
    ),
)  # fmt: skip
