"""Strict decoding of one JSON text.

Python's decoder accepts NaN, Infinity, repeated members and lone surrogates, and raises RecursionError on deep nesting.
Source: Notes / valid UTF-8 JSON; RFC 8259.
"""

from __future__ import annotations

import json
import re
from array import array
from itertools import accumulate
from typing import Any

MAX_DEPTH = 64
"""Levels of nesting that are accepted; the messages of the specification need two."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Possessive, and an unterminated string matches too: otherwise each of its quotes would be tried as a beginning.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # +1 or, as a signed byte, -1
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class NotStrictJson(ValueError):
    """The bytes are not one strict JSON text; `utf8` is True if they aren't UTF-8."""

    def __init__(self, reason: str, *, utf8: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.utf8 = utf8


def _no_constant(name: str) -> object:
    raise NotStrictJson(f"{name} is not a JSON value")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrictJson("a member occurs more than once")
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant)


def _decoded(text: str) -> Any:  # noqa: ANN401 - any JSON value
    # A search for white space on both sides costs as much as the decoding, and most texts have none.
    if text.startswith("{"):
        value, end = _DECODER.raw_decode(text)
        if end == len(text):
            return value
    return _DECODER.decode(text)


def depth(text: str) -> int:
    """Return the depth of nested brackets outside strings; `text` needn't be valid JSON."""
    outside = _STRING.sub("", text).encode("utf-8", "surrogatepass")
    return max(accumulate(array("b", outside.translate(_STEPS, _NO_BRACKETS)), initial=0))


def utf8_fault(data: bytes) -> str:
    """Return why `data` isn't UTF-8 without a byte order mark, or an empty text if it is."""
    if data.startswith(_BYTE_ORDER_MARK):
        return "it begins with a byte order mark"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"byte {error.start} is not valid UTF-8"
    return ""


def loads(data: bytes, *, max_depth: int = MAX_DEPTH) -> Any:  # noqa: ANN401 - any JSON value
    """Decode one JSON text in UTF-8 without a byte order mark.

    Raises NotStrictJson, also for a repeated member, half a surrogate pair, or brackets nested deeper than `max_depth`.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrictJson(utf8_fault(data), utf8=True) from None
    if text.startswith("\ufeff"):
        raise NotStrictJson(utf8_fault(data), utf8=True)
    # The number of brackets is a cheap upper bound of the depth.
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
        raise NotStrictJson("a string in it contains half a surrogate pair")
    return value
