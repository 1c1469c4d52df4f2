"""Decides whether a damaged request is invalid, from its bytes: by the schemas and Python's strict JSON reader.

Shrinking may undo the damage that a property has drawn, so only this decision counts.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any, Final, NoReturn

import cbspec_schemas
from cbspec_schemas.blame import python_validator

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON value")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)  # that is its only leniency


def read_json(text: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of one JSON text in UTF-8; of members with the same name the last counts. Raises ValueError."""
    return _DECODER.decode(text.decode())


def broken_members(text: bytes) -> set[str]:
    """Return the members of a request that violate its schema.

    Raises ValueError if the text is no request of a known type.
    """
    value = read_json(text)
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in cbspec_schemas.CLIENT_TYPES:
        raise ValueError("not a request of a known type")
    found: set[str] = set()
    for error in python_validator(str(kind)).iter_errors(value):
        missing = [name for name in error.schema.get("required", ()) if name not in value]
        found.update(map(str, list(error.absolute_path)[:1] or missing))
    return found


def is_no_message(text: bytes) -> bool:
    """Whether no reader may take anything in `text` for a message: no JSON, or no UTF-8, and no whole object in it.

    A text with a line feed may be several messages, and a byte order mark is an open point: neither counts.
    """
    if text.startswith(_BYTE_ORDER_MARK) or {0x0A, 0x0D} & set(text) or not text.strip() or _holds_object(text):
        return False
    try:
        read_json(text)
    except (ValueError, RecursionError):
        return True
    return False


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8."""
    return data.decode(errors="ignore").encode() == data


def _holds_object(data: bytes) -> bool:
    """Whether `data` contains a whole object anywhere: a reader that finds it may take it for a message."""
    text = data.decode("utf-8", "surrogateescape")
    for start in (match.start() for match in re.finditer(r"\{", text)):
        with contextlib.suppress(ValueError, RecursionError):  # too deep for this reader, and not for others
            _, end = _DECODER.raw_decode(text, start)
            text[start:end].encode()  # fails for an object that is not UTF-8
            return True
    return False


def is_closed(text: bytes) -> bool:
    """Whether quotes and braces are closed, as far as they can be read; in a stream, others include what follows."""
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
