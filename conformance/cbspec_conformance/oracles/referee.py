"""What the bytes of a damaged request are, decided again from those bytes: the schemas and a reader of its own.

A property draws damage, and shrinking takes some of it away: only what is decided here counts as damaged.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

import cbspec_schemas
from cbspec_conformance.oracles.rfc8259 import NotJson, holds_object, is_utf8, read

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def broken_members(text: bytes) -> set[str]:
    """Return the members in which a request is not as its schema demands; empty where it is valid.

    Raises NotJson where the text isn't JSON, ValueError where it is no request of a known type.
    """
    value = read(text)
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in cbspec_schemas.CLIENT_TYPES:
        raise ValueError("not a request of a known type")
    found: set[str] = set()
    for error in _validator(str(kind)).iter_errors(value):
        path: list[Any] = list(error.absolute_path)
        wanted = [path[0]] if path else [name for name in error.schema.get("required", ()) if name not in value]
        found.update(str(name) for name in wanted)
    return found


def is_no_message(text: bytes) -> bool:
    """Whether no reader may take anything in `text` for a message: not JSON or not UTF-8, and no whole object in it.

    A text with a line feed may be several, and one with a byte order mark in front is an open point: neither counts.
    """
    if text.startswith(_BYTE_ORDER_MARK) or {0x0A, 0x0D} & set(text) or not text.strip() or holds_object(text):
        return False
    try:
        read(text)
    except (NotJson, RecursionError):
        return True
    return not is_utf8(text)


def is_closed(text: bytes) -> bool:
    """Whether quotes and braces are closed as far as they can be read: in a stream, what isn't takes what follows."""
    in_string, escaped, depth = False, False, 0
    for byte in text:
        if in_string:
            in_string = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            in_string = True
        else:
            depth += (byte in b"{[") - (byte in b"}]")
    return not in_string and depth == 0


@cache
def _validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator(cbspec_schemas.load(kind))
