"""A second, independent decoder for received messages.

It is Python's own JSON parser without its leniencies, so that a bug in `cbspec.protocol.strictjson`, which the
simulator and the reference client use, cannot hide on both sides.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any, Final, NoReturn

_MANY_DIGITS = 1000


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded message. `requirement` and `fault` describe its first defect, and are "" if it has none."""

    value: Any = None
    requirement: str = ""
    fault: str = ""


def decode(text: bytes) -> Decoded:
    """Decode the text of one message."""
    if text.startswith(b"\xef\xbb\xbf"):
        return Decoded(None, "CB-MSG-001", "it begins with a byte order mark")
    if compressed := _compression(text):
        return Decoded(None, "CB-CMP-001", f"it is compressed ({compressed})")
    try:
        string = text.decode("utf-8")
    except UnicodeDecodeError as error:
        return Decoded(None, "CB-MSG-001", f"byte {error.start} (0x{text[error.start]:02x}) is not valid UTF-8")
    try:
        value = _DECODER.decode(string)
    except (ValueError, RecursionError) as error:
        return Decoded(None, "CB-MSG-002", f"it is not JSON: {error}")
    if not isinstance(value, dict):
        return Decoded(value, "CB-MSG-002", f"it is not a JSON object but {_kind(value)}")
    return Decoded(value)


def _integer(digits: str) -> int | float:
    # Python limits the digits of an integer; JSON does not.
    return int(digits) if len(digits) < _MANY_DIGITS else float(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON value")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse, parse_int=_integer)


def _kind(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _compression(text: bytes) -> str:
    if text[:1] in (b"{", b"[", b'"', b""):
        return ""
    for name, magic in (("zstd", b"\x28\xb5\x2f\xfd"), ("gzip", b"\x1f\x8b")):
        if text.startswith(magic):
            return name
    for name, window in (("zlib", 15), ("deflate", -15)):
        try:
            plain = zlib.decompressobj(window).decompress(text, 64)
        except zlib.error:
            continue
        if plain.lstrip()[:1] == b"{":
            return name
    return ""
