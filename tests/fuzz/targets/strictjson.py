"""Strict JSON: accepted texts are JSON by RFC 8259 and have Python's value; rejected JSON is rejected for a reason."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from cbspec.protocol.strictjson import MAX_DEPTH, NotStrictJson, loads
from cbspec_conformance.oracles import rfc8259

_DIGITS: Final = re.compile(rb"[0-9]{4300}")  # longer integers are rejected by Python
_INFINITE: Final = (float("inf"), float("-inf"))


def check(data: bytes) -> None:
    """Read a text."""
    is_json = _is_json(data)
    try:
        found = loads(data)
    except NotStrictJson as error:
        assert str(error) == error.reason
        assert not is_json or _DIGITS.search(data) or not _python_reads_it_strictly(data), error
        return
    assert is_json
    assert _is_strict(found)
    assert json.loads(data) == found
    if not any(value in _INFINITE for value in _scalars(found) if isinstance(value, float)):
        assert rfc8259.read(data) == found
        assert loads(json.dumps(found).encode()) == found


def _is_json(data: bytes) -> bool:
    try:
        rfc8259.read(data)
    except (rfc8259.NotJson, RecursionError):
        return False
    return rfc8259.is_utf8(data) and not data.startswith(b"\xef\xbb\xbf")


def _python_reads_it_strictly(data: bytes) -> bool:
    """Whether Python reads a text, and it has no duplicate member, lone surrogate or excessive depth."""
    duplicates: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        duplicates.extend(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        return dict(pairs)

    try:
        return _is_strict(json.loads(data, object_pairs_hook=unique)) and not duplicates
    except RecursionError:
        return False


def _is_strict(value: object) -> bool:
    """Whether a value is within the depth limit and without lone surrogates."""
    surrogates = any(0xD800 <= ord(char) < 0xE000 for text in _scalars(value) if isinstance(text, str) for char in text)
    return _depth(value) <= MAX_DEPTH and not surrogates


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _scalars(value: object) -> Iterator[object]:
    """Yield all scalars of a value, member names included."""
    if isinstance(value, dict):
        yield from value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        yield value
    for item in inner or ():
        yield from _scalars(item)
