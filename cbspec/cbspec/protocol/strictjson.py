"""One JSON text, read without the parser's leniencies.

Python's parser takes NaN, Infinity, repeated members and lone surrogates for good, and meets deep nesting with a
RecursionError. Source: Notes / valid UTF-8 JSON; RFC 8259.
"""

from __future__ import annotations

import json
import re
from array import array
from itertools import accumulate
from typing import Any

MAX_DEPTH = 64
"""Levels of nesting that are read; no message of the specification needs more than two."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Possessive, and a string without end matches too: otherwise each of its quotes would be tried as a beginning.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # a level more or, as a signed byte, one less
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class NotStrictJson(ValueError):
    """The bytes are not one JSON text; the argument says why, in a few words.

    `utf8` is True where already the encoding is at fault.
    """

    def __init__(self, reason: str, *, utf8: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.utf8 = utf8


def _no_constant(name: str) -> object:
    raise NotStrictJson(f"{name} is no JSON value")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrictJson("a member is there more than once")
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant)


def _decoded(text: str) -> Any:  # noqa: ANN401 - any JSON value
    # The decoder looks for white space on both sides, which costs as much as reading: most texts have none.
    if text.startswith("{"):
        value, end = _DECODER.raw_decode(text)
        if end == len(text):
            return value
    return _DECODER.decode(text)


def depth(text: str) -> int:
    """Return how deep brackets nest in `text`, strings left out; it needn't be valid JSON."""
    outside = _STRING.sub("", text).encode("utf-8", "surrogatepass")
    return max(accumulate(array("b", outside.translate(_STEPS, _NO_BRACKETS)), initial=0))


def utf8_fault(data: bytes) -> str:
    """Return why `data` isn't UTF-8 without a byte order mark, or an empty text where it is."""
    if data.startswith(_BYTE_ORDER_MARK):
        return "it begins with a byte order mark"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"byte {error.start} is not valid UTF-8"
    return ""


def loads(data: bytes, *, max_depth: int = MAX_DEPTH) -> Any:  # noqa: ANN401 - any JSON value
    """Decode `data`, one JSON text in UTF-8 without a byte order mark.

    Raises NotStrictJson where it isn't one, where a member is repeated, a string holds half a surrogate pair, or
    brackets nest deeper than `max_depth`.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrictJson(utf8_fault(data), utf8=True) from None
    if text.startswith("\ufeff"):
        raise NotStrictJson(utf8_fault(data), utf8=True)
    # Counting brackets is a cheap upper bound; only a text that could be too deep is measured exactly.
    if text.count("[") + text.count("{") > max_depth and depth(text) > max_depth:
        raise NotStrictJson(f"it nests deeper than {max_depth} levels")
    try:
        value = _decoded(text)
    except json.JSONDecodeError as error:
        raise NotStrictJson(f"{error.msg.lower()} at character {error.pos}") from None
    except RecursionError:
        raise NotStrictJson("it nests deeper than the parser's stack") from None
    except NotStrictJson:
        raise
    except ValueError:
        raise NotStrictJson("a number in it has too many digits") from None
    if "\\u" in text and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise NotStrictJson("a string in it holds half a surrogate pair")
    return value
