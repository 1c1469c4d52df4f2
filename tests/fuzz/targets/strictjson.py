"""Strict JSON: accepted texts are JSON by RFC 8259 and have Python's value; rejected JSON is rejected for a reason."""

from __future__ import annotations

import json
import re
from typing import Final

from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec_conformance.oracles import rfc8259

_STRICTER: Final = re.compile("more than once|half a surrogate pair|nests deeper|too many digits")
_INFINITE: Final = re.compile("Infinity")


def check(data: bytes) -> None:
    """Read a text."""
    is_json = _is_json(data)
    try:
        found = loads(data)
    except NotStrictJson as error:
        assert str(error) == error.reason
        assert not is_json or _STRICTER.search(error.reason), error
        return
    assert is_json
    assert json.loads(data) == found
    text = json.dumps(found)
    if not _INFINITE.search(text):  # numbers that are too large for a float
        assert rfc8259.read(data) == found
        assert loads(text.encode()) == found


def _is_json(data: bytes) -> bool:
    try:
        rfc8259.read(data)
    except (rfc8259.NotJson, RecursionError):
        return False
    return rfc8259.is_utf8(data) and not data.startswith(b"\xef\xbb\xbf")
