"""JSON by the grammar of RFC 8259, with a reader of its own.

It shares no code with the decoders of relay, client and suite, nor with Python's. So no mistake of theirs can make the
suite take a damaged text for a valid one, or the reverse.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# Bytes that are not UTF-8 are read as lone surrogates (PEP 383), which no string may contain unescaped.
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f\ud800-\udfff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None}


class NotJson(ValueError):
    """A text is not JSON; the argument names the place of the error."""


def read(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of one JSON text in UTF-8; of members with the same name the last counts. Raises NotJson."""
    text = _decode(data)
    value, end = _value(text, _skip(text, 0))
    if _skip(text, end) != len(text):
        raise NotJson(f"text after the value, at character {end}")
    return value


def holds_object(data: bytes) -> bool:
    """Whether `data` contains a whole object anywhere: a reader that finds it may take it for a message."""
    text = _decode(data)
    for start in (match.start() for match in re.finditer(r"\{", text)):
        try:
            _value(text, start)
        except NotJson:
            continue
        return True
    return False


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8."""
    return not re.search(r"[\ud800-\udfff]", _decode(data))


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int) -> tuple[Any, int]:
    start = text[at : at + 1]
    if start == "{":
        members, at = _items(text, at, "}", _member)
        return dict(members), at
    if start == "[":
        return _items(text, at, "]", _value)
    if start == '"':
        return _string(text, at)
    for word, value in _WORDS.items():
        if text.startswith(word, at):
            return value, at + len(word)
    if number := _NUMBER.match(text, at):
        whole = number[1] is None and number[2] is None
        return (int(number[0]) if whole else float(number[0])), number.end()
    raise NotJson(f"no value at character {at}")


def _string(text: str, at: int) -> tuple[str, int]:
    match = _STRING.match(text, at)
    if match is None:
        raise NotJson(f"no string at character {at}")
    plain = _ESCAPE.sub(lambda e: chr(int(e[1], 16)) if e[1] else _SHORT.get(e[2], e[2]), match[0][1:-1])
    units = plain.encode("utf-16-le", "surrogatepass")
    return units.decode("utf-16-le", "replace"), match.end()


def _member(text: str, at: int) -> tuple[tuple[str, Any], int]:
    name, at = _string(text, at)
    at = _skip(text, at)
    if text[at : at + 1] != ":":
        raise NotJson(f"no colon at character {at}")
    value, at = _value(text, _skip(text, at + 1))
    return (name, value), at


def _items(text: str, at: int, end: str, read_item: Callable[[str, int], tuple[Any, int]]) -> tuple[list[Any], int]:
    """Return the items of an array or object that begins at `at`, and the place after it."""
    items: list[Any] = []
    at = _skip(text, at + 1)
    if text[at : at + 1] == end:
        return items, at + 1
    while True:
        item, at = read_item(text, _skip(text, at))
        items.append(item)
        at = _skip(text, at)
        mark = text[at : at + 1]
        if mark == end:
            return items, at + 1
        if mark != ",":
            raise NotJson(f"neither a comma nor the end at character {at}")
        at += 1
